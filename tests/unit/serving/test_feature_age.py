"""The age of features, bounded on both sides."""

from __future__ import annotations

import datetime as dt

import pytest

from core.errors import StaleData
from serving.inputs import require_age

FRIDAY = dt.date(2018, 12, 14)


@pytest.mark.parametrize("session", [FRIDAY, dt.date(2018, 12, 13), dt.date(2018, 12, 11)])
def test_features_of_the_last_sessions_are_taken(session: dt.date) -> None:
    require_age("AAA", session, FRIDAY, 3)


@pytest.mark.parametrize(
    ("session", "words"),
    [
        (dt.date(2018, 12, 10), "4 sessions before 2018-12-14; at most 3 are allowed"),
        (dt.date(2018, 12, 17), "of 2018-12-17, and the last closed session is 2018-12-14: a clock is wrong"),
        (dt.date(2030, 1, 2), "of 2030-01-02, and the last closed session is 2018-12-14"),
    ],
)
def test_older_ones_and_those_of_a_session_to_come_are_refused(session: dt.date, words: str) -> None:
    with pytest.raises(StaleData, match=words):
        require_age("AAA", session, FRIDAY, 3)
