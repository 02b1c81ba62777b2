"""The session of a desk whose symbols trade by different calendars, and whose bars end on different days."""

from __future__ import annotations

import datetime as dt
import doctest
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from core.sessions import calendar_name, sessions_between
from core.settings import Settings
from pipeline import desk_calendar
from pipeline.desk_calendar import DeskCalendar, newest_common_session
from pipeline.resources import Resources
from pipeline.sessions import choose_session, newest_before, newest_session, session_in_progress

if TYPE_CHECKING:
    from pathlib import Path

FRIDAY, SATURDAY, SUNDAY = dt.date(2024, 7, 5), dt.date(2024, 7, 6), dt.date(2024, 7, 7)
MONDAY_MORNING = dt.datetime(2024, 7, 8, 6, 0, tzinfo=dt.UTC)


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(desk_calendar).failed == 0


def files(folder: Path, **last: dt.date) -> Resources:
    """A desk on a folder with daily bars of each symbol up to its last day."""
    for name, day in last.items():
        symbol = name.replace("__", "-").replace("_L", ".L")
        days = sessions_between(
            dt.date(2024, 1, 2) if day.year == 2024 else dt.date(day.year, 1, 2), day, calendar_name(symbol)
        )
        pd.DataFrame({"date": days, "close": 10.0}).to_csv(folder / f"{symbol}.csv", index=False)
    return Resources(Settings.of(provider="files", ingestion__files_dir=folder), clock=lambda: MONDAY_MORNING)


def live(*universe: str, now: dt.datetime = MONDAY_MORNING) -> Resources:
    return Resources(Settings.of(provider="yfinance", universe=universe), clock=lambda: now)


def test_crypto_bars_of_a_weekend_beside_stocks_make_no_session(tmp_path: Path) -> None:
    desk = files(tmp_path, AAPL=FRIDAY, BTC__USD=SUNDAY)

    assert newest_session(resources=desk) == "2024-07-05"
    for day in ("2024-07-06", "2024-07-07"):
        chosen = newest_before(day, None, resources=desk)
        assert (chosen.trades, chosen.reason.split(" is ")[1]) == (False, "not an XNYS session")


@pytest.mark.parametrize(
    ("last", "session"),
    [
        ({"AAPL": FRIDAY, "MSFT": dt.date(2024, 7, 3)}, "2024-07-03"),  # every symbol, not any
        ({"AAPL": FRIDAY, "BTC__USD": dt.date(2024, 7, 4)}, "2024-07-03"),  # the 4th is no session of AAPL
        ({"AAPL": dt.date(2024, 6, 14), "BTC__USD": SUNDAY}, "2024-06-14"),  # stocks end weeks before the crypto does
        ({"AAPL": FRIDAY, "XLF": dt.date(2018, 8, 30)}, "2024-07-05"),  # ended long ago
        ({"AAPL": FRIDAY, "BTC__USD": dt.date(2018, 8, 30)}, "2024-07-05"),
        ({"AAPL": FRIDAY, "VOD_L": dt.date(2018, 8, 30)}, "2024-07-05"),
        ({"AAPL": FRIDAY, "VOD_L": dt.date(2024, 7, 4)}, "2024-07-03"),
        ({"VOD_L": dt.date(2024, 7, 4)}, "2024-07-04"),
        ({"BTC__USD": SUNDAY}, "2024-07-07"),
        ({"BTC__USD": SATURDAY, "ETH__BTC": SUNDAY}, "2024-07-06"),
    ],
)
def test_the_newest_session_is_the_last_that_every_symbol_still_trading_has(
    tmp_path: Path, last: dict[str, dt.date], session: str
) -> None:
    assert newest_session(resources=files(tmp_path, **last)) == session


def test_a_symbol_ends_after_twenty_of_its_sessions() -> None:
    days = sessions_between(dt.date(2024, 5, 1), FRIDAY)

    def newest(behind: int) -> dt.date:
        return newest_common_session({"AAA": FRIDAY, "BBB": days[-1 - behind].date()})

    assert newest(20) == days[-21].date()
    assert newest(21) == FRIDAY


def test_a_live_desk_waits_for_the_markets_that_close() -> None:
    evening = dt.datetime(2024, 7, 5, 22, 0, tzinfo=dt.UTC)  # New York has closed, the crypto day has not

    assert newest_session(resources=live("AAPL", "BTC-USD", now=evening)) == "2024-07-05"
    assert newest_session(resources=live("BTC-USD", now=evening)) == "2024-07-04"
    assert newest_session(resources=live("BTC-USD", "ETH-BTC")) == "2024-07-07"
    assert newest_session(resources=live("EURUSD=X", "BTC-USD")) == "2024-07-05"
    noon = dt.datetime(2024, 7, 5, 17, 0, tzinfo=dt.UTC)  # London has closed, New York has not
    assert newest_session(resources=live("VOD.L", now=noon)) == "2024-07-05"
    assert newest_session(resources=live("VOD.L", "AAPL", now=noon)) == "2024-07-03"


def test_a_day_on_which_one_market_rests_is_no_session_and_says_whose() -> None:
    chosen = choose_session("2024-07-04", None, scheduled=False, resources=live("VOD.L", "AAPL"))

    assert (chosen.trades, chosen.reason) == (False, "Thursday 2024-07-04 is not an XNYS session")
    assert choose_session("2024-07-04", None, scheduled=False, resources=live("VOD.L")).trades
    assert choose_session("2024-07-06", None, scheduled=False, resources=live("BTC-USD")).trades


def test_a_scheduled_run_of_a_desk_around_the_clock_is_for_its_last_whole_day() -> None:
    evening = dt.datetime(2024, 7, 5, 21, 0, tzinfo=dt.UTC)

    chosen = choose_session(None, evening, scheduled=True, resources=live("BTC-USD", now=evening))

    assert (chosen.session, chosen.trades) == ("2024-07-04", True)


def test_the_session_in_progress_lasts_from_the_first_open_to_the_last_close() -> None:
    morning = dt.datetime(2024, 7, 5, 9, 0, tzinfo=dt.UTC)

    assert session_in_progress(None, None, resources=live("VOD.L", "AAPL", now=morning)).trades
    assert not session_in_progress(None, None, resources=live("AAPL", now=morning)).trades


def test_a_desk_of_nothing_follows_new_york() -> None:
    assert DeskCalendar.of_symbols([]).names == ("XNYS",)
