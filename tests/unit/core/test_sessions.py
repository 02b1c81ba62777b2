"""Sessions, symbols and the clock's traps."""

from __future__ import annotations

import datetime as dt

import pytest

from core.sessions import (
    calendar_name,
    close_of,
    closes_of,
    is_session,
    last_closed_session,
    next_session,
    normalise_symbol,
    open_of,
    session_at,
    sessions_between,
)

UTC = dt.UTC


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("BTC/USD", "BTC-USD"),
        ("BTCUSD", "BTC-USD"),
        ("btc-usd", "BTC-USD"),
        (" spy ", "SPY"),
        ("BRK.B", "BRK-B"),
        ("^VIX", "^VIX"),
    ],
)
def test_spellings_of_a_symbol_become_one(spelling: str, expected: str) -> None:
    assert normalise_symbol(spelling) == expected


def test_crypto_trades_every_day_and_equities_do_not() -> None:
    assert calendar_name("BTC-USD") == "24/7"
    assert calendar_name("AAPL") == "XNYS"
    assert is_session(dt.date(2024, 7, 4), "24/7")
    assert not is_session(dt.date(2024, 7, 4))


def test_a_session_closes_an_utc_hour_earlier_in_summer() -> None:
    friday, monday = dt.date(2024, 3, 8), dt.date(2024, 3, 11)
    assert close_of(friday) == dt.datetime(2024, 3, 8, 21, tzinfo=UTC)
    assert close_of(monday) == dt.datetime(2024, 3, 11, 20, tzinfo=UTC)
    assert open_of(monday) == dt.datetime(2024, 3, 11, 13, 30, tzinfo=UTC)


def test_a_half_day_closes_at_one_in_new_york() -> None:
    assert close_of(dt.date(2023, 11, 24)) == dt.datetime(2023, 11, 24, 18, tzinfo=UTC)


def test_a_session_is_in_progress_from_its_open_until_its_close() -> None:
    half_day, second = dt.date(2023, 11, 24), dt.timedelta(seconds=1)
    opened, closed = open_of(half_day), close_of(half_day)

    assert [session_at(moment) for moment in (opened - second, opened, closed - second, closed)] == [
        None,
        half_day,
        half_day,
        None,
    ]
    assert session_at(dt.datetime(2023, 11, 25, 17, tzinfo=UTC)) is None  # a Saturday
    assert session_at(dt.datetime(2023, 11, 25, tzinfo=UTC), "24/7") == dt.date(2023, 11, 25)


def test_the_last_closed_session_changes_at_the_close_and_not_before() -> None:
    close = dt.datetime(2024, 3, 8, 21, tzinfo=UTC)
    assert last_closed_session(close - dt.timedelta(seconds=1)) == dt.date(2024, 3, 7)
    assert last_closed_session(close) == dt.date(2024, 3, 8)
    assert last_closed_session(close + dt.timedelta(days=2)) == dt.date(2024, 3, 8)


def test_a_naive_clock_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        last_closed_session(dt.datetime(2024, 3, 8, 21))  # noqa: DTZ001 the naive time is the point


def test_the_next_session_skips_weekends_and_holidays() -> None:
    assert next_session(dt.date(2024, 3, 28)) == dt.date(2024, 4, 1)
    assert next_session(dt.date(2024, 3, 30)) == dt.date(2024, 4, 1)


def test_sessions_between_leaves_out_holidays_and_closes_follow_them() -> None:
    sessions = sessions_between(dt.date(2023, 11, 22), dt.date(2023, 11, 24))
    assert [day.date().isoformat() for day in sessions] == ["2023-11-22", "2023-11-24"]
    assert [close.hour for close in closes_of(sessions)] == [21, 18]


def test_a_range_before_the_calendar_is_empty() -> None:
    assert len(sessions_between(dt.date(1950, 1, 1), dt.date(1950, 2, 1))) == 0
