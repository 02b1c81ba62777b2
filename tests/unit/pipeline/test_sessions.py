"""Which session a run is for."""

from __future__ import annotations

import datetime as dt

import pytest

from core.settings import Settings
from pipeline.resources import Resources
from pipeline.sessions import SessionChoice, choose_session, newest_before

NOW = dt.datetime(2024, 7, 5, 23, 0, tzinfo=dt.UTC)  # Friday after the close


@pytest.fixture
def live() -> Resources:
    return Resources(Settings.of(provider="yfinance"), clock=lambda: NOW)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("logical", "session"),
    [
        ("2024-07-03 21:00", "2024-07-03"),  # 17:00 New York in summer; a half day
        ("2024-01-03 22:00", "2024-01-03"),  # 17:00 New York in winter
        ("2024-03-08 22:00", "2024-03-08"),  # the last session before the clocks change
        ("2024-03-11 21:00", "2024-03-11"),  # the first one after
    ],
)
def test_a_scheduled_run_is_for_its_day_in_new_york(live: Resources, logical: str, session: str) -> None:
    assert choose_session(None, utc(logical), scheduled=True, resources=live) == SessionChoice(session, trades=True)


@pytest.mark.parametrize(("day", "name"), [("2024-07-04", "Thursday"), ("2024-06-29", "Saturday"), ("2024-06-30", "Sunday")])
def test_a_weekend_or_holiday_is_not_traded_and_says_so(live: Resources, day: str, name: str) -> None:
    for chosen in (
        choose_session(day, None, scheduled=False, resources=live),
        choose_session(None, utc(f"{day} 21:00"), scheduled=True, resources=live),
        choose_session(None, utc(f"{day} 00:00"), scheduled=False, resources=live),
    ):
        assert (chosen.trades, chosen.reason) == (False, f"{name} {day} is not an XNYS session")


def test_a_date_typed_by_a_person_is_that_date_and_not_the_evening_before_in_new_york(live: Resources) -> None:
    assert choose_session(None, utc("2024-07-02 00:00"), scheduled=False, resources=live).session == "2024-07-02"


def test_a_session_that_has_not_closed_is_not_traded_and_says_so(live: Resources) -> None:
    chosen = choose_session("2024-07-08", None, scheduled=False, resources=live)
    assert chosen.trades is False
    assert chosen.reason == "No bars of 2024-07-08 yet: the newest available session is 2024-07-05"


@pytest.mark.parametrize("logical", [None, NOW])
def test_a_manual_run_without_a_date_is_for_the_newest_session(live: Resources, logical: dt.datetime | None) -> None:
    assert choose_session(None, logical, scheduled=False, resources=live).session == "2024-07-05"


def test_a_training_run_learns_from_the_last_session_closed_at_its_date(live: Resources) -> None:
    assert newest_before(None, utc("2024-07-01 10:00"), resources=live).session == "2024-06-28"
    assert newest_before("2024-03-28", NOW, resources=live).session == "2024-03-28"
