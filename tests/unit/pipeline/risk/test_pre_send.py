"""The heartbeat's bounds, at any age on either side."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.risk.pre_send import HeartbeatCheck
from storage.trading.heartbeats import Heartbeat
from trading.orders import entry_order

if TYPE_CHECKING:
    from core.models import OrderIntent

NOW = dt.datetime(2019, 1, 2, 15, tzinfo=dt.UTC)


@dataclass
class OneBeat:
    """The store's newest row."""

    at: dt.datetime | None

    def last(self, portfolio: str) -> Heartbeat | None:
        if self.at is None:
            return None
        return Heartbeat(portfolio, self.at, "log", "ok", 1.0, 1.0, 0.0, 0.0, 0.0, None, None, 0, {})


def order() -> OrderIntent:
    return entry_order(
        "main", "rsi", "AAA", decision_session=dt.date(2019, 1, 2), session=dt.date(2019, 1, 3), signed_quantity=1.0,
        stop_pct=2.0, target_pct=2.0, max_sessions=None,
    )  # fmt: skip


def reason(age_seconds: float | None, *, limit: float = 180.0, tolerance: float = 5.0) -> str | None:
    beats: Any = OneBeat(None if age_seconds is None else NOW - dt.timedelta(seconds=age_seconds))
    objection = HeartbeatCheck(beats, lambda: NOW, limit, tolerance).check(order())
    return None if objection is None else objection.reason


@given(age=st.floats(-1e8, 1e8), limit=st.floats(1, 1e5), tolerance=st.floats(0.001, 1e3))
def test_an_entry_passes_on_a_heartbeat_within_both_bounds_alone(age: float, limit: float, tolerance: float) -> None:
    taken = (NOW - (NOW - dt.timedelta(seconds=age))).total_seconds()  # a time has microseconds

    assert (reason(age, limit=limit, tolerance=tolerance) is None) == (-tolerance <= taken <= limit)


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (180, None),
        (181, "found the last heartbeat 181 s ago"),
        (-5, None),
        (-6, "found the last heartbeat 6 s in the future: a clock is wrong"),
        (-86_400 * 3650, "found the last heartbeat 315360000 s in the future: a clock is wrong"),
        (None, "found no heartbeat"),
    ],
)
def test_what_is_wrong_with_it_is_said(age: float | None, words: str | None) -> None:
    assert reason(age) == (None if words is None else f"expected the risk worker within 180 s, {words}")
