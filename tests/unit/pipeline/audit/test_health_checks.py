"""The checks of the desk's health on their own: the time of day, calendars, orders, disk, keys, a real HTTP server."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from core.models import Leg, OrderIntent, OrderState, Side
from pipeline.audit import health_checks as checks
from storage.airflow_tasks import WaitingTask
from tests.standins.mail import free_port

if TYPE_CHECKING:
    from pathlib import Path

NEW_YORK = ZoneInfo("America/New_York")
WEDNESDAY = dt.date(2024, 7, 3)  # a half day; the 4th is a holiday
NOW = dt.datetime(2024, 7, 3, 23, tzinfo=dt.UTC)


def at(day: int, hour: int, minute: int = 0) -> dt.datetime:
    return dt.datetime(2024, 7, day, hour, minute, tzinfo=NEW_YORK)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (at(3, 9), "2024-07-02"),
        (at(3, 13, 30), "2024-07-02"),  # closed early, and the load is at 17:00 all the same
        (at(3, 18, 59), "2024-07-02"),
        (at(3, 19), "2024-07-03"),
        (at(4, 12), "2024-07-03"),
        (at(5, 18, 59), "2024-07-03"),
        (at(7, 12), "2024-07-05"),
    ],
)
def test_a_session_is_due_once_its_load_and_the_grace_are_over(now: dt.datetime, due: str) -> None:
    assert str(checks.due_session(now, 120.0)) == due


def test_a_symbol_is_behind_by_its_own_calendar() -> None:
    newest = {"AAPL": WEDNESDAY, "VOD.L": dt.date(2024, 7, 3), "BTC-USD": dt.date(2024, 7, 3), "IBM": dt.date(2024, 7, 2)}

    assert checks.check_bars(newest, ["AAPL", "VOD.L", "BTC-USD"], WEDNESDAY).healthy
    behind = checks.check_bars(newest, ["AAPL", "IBM", "MSFT"], WEDNESDAY)
    assert not behind.healthy
    assert behind.detail == "expected bars up to 2024-07-03, found 2 symbols behind: IBM 2024-07-02, MSFT never loaded"
    holiday = dt.date(2024, 7, 4)
    assert checks.check_bars({"AAPL": WEDNESDAY, "VOD.L": WEDNESDAY}, ["AAPL"], holiday).healthy
    assert not checks.check_bars({"VOD.L": WEDNESDAY}, ["VOD.L"], holiday).healthy, "London traded"


def test_features_reach_the_close_of_the_session_that_is_due() -> None:
    close = dt.datetime(2024, 7, 3, 17, tzinfo=dt.UTC)

    assert checks.check_features(close, WEDNESDAY).healthy
    assert checks.check_features(close - dt.timedelta(days=1), WEDNESDAY).detail == (
        "expected features of 2024-07-03, found the newest of 2024-07-02"
    )
    assert not checks.check_features(None, WEDNESDAY).healthy


def order(name: str, session: dt.date) -> OrderIntent:
    decided = session - dt.timedelta(days=1)
    return OrderIntent(name, "main", "bollinger", "AAPL", session, decided, Leg.ENTRY, Side.BUY, Decimal(1))


def test_orders_that_wait_unsent_or_never_end_are_named() -> None:
    old, today = WEDNESDAY - dt.timedelta(days=1), WEDNESDAY
    orders = [
        (order("unsent", today), OrderState.INTENT),
        (order("fresh", today), OrderState.INTENT),
        (order("working", today), OrderState.ACCEPTED),
        (order("endless", old), OrderState.CANCEL_PENDING),
    ]
    decided = {"unsent": NOW - dt.timedelta(hours=2), "fresh": NOW}
    found = checks.check_orders(orders, decided, unsent_before=NOW - dt.timedelta(hours=1), due=today)

    assert not found.healthy
    assert found.detail == "1 unsent: unsent; 1 without an end since before 2024-07-03: endless (cancel_pending)"
    assert checks.check_orders(orders[1:3], decided, unsent_before=NOW - dt.timedelta(hours=1), due=today).healthy


def test_a_long_list_is_cut_and_counted() -> None:
    newest = checks.check_bars({}, [f"S{i}" for i in range(8)], WEDNESDAY).detail

    assert newest.endswith("S4 never loaded and 3 more")


def test_tasks_that_wait_are_named_and_no_airflow_is_no_fault() -> None:
    waiting = [WaitingTask("daily_market_data", "load_bars", "run", NOW)]

    assert checks.check_tasks(None, 60.0).healthy
    assert checks.check_tasks([], 60.0).healthy
    assert "daily_market_data.load_bars since 2024-07-03 23:00 UTC" in checks.check_tasks(waiting, 60.0).detail


def test_the_disk_needs_both_gigabytes_and_percent(tmp_path: Path) -> None:
    assert checks.check_disk(tmp_path, 0.0, 0.0).healthy
    for limits in ((1e9, 0.0), (0.0, 99.999)):
        found = checks.check_disk(tmp_path, *limits)
        assert not found.healthy
        assert f"expected {limits[0]:g} GB and {limits[1]:g} % at least" in found.detail


def test_the_age_of_the_secrets_counts_from_when_they_were_made(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    assert checks.check_key_age(path, NOW, 90.0).detail == "this installation has made no secrets"
    path.write_text("{}")
    made = (NOW - dt.timedelta(days=91)).timestamp()
    os.utime(path, (made, made))

    assert checks.check_key_age(path, NOW, 91.0).healthy
    assert checks.check_key_age(path, NOW, 90.0).detail == ("the installation's secrets are 91 days old; expected at most 90")
    assert checks.check_key_age(path, NOW, None).healthy


def test_an_address_is_named_without_the_password_in_it() -> None:
    found = checks.check_http(f"http://desk:hunter2@127.0.0.1:{free_port()}/health")

    assert not found.healthy
    assert found.detail.startswith("does not answer at http://127.0.0.1:")
    assert "hunter2" not in found.detail
