"""The newest session of a desk whose symbols trade by different calendars, and whose bars end on different days."""

from __future__ import annotations

import datetime as dt
import doctest
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from core.sessions import calendar_name, sessions_between
from core.settings import Settings
from pipeline import sessions
from pipeline.resources import Resources
from pipeline.sessions import choose_session, newest_before, newest_common_session, newest_session

if TYPE_CHECKING:
    from pathlib import Path

FRIDAY, SUNDAY = dt.date(2024, 7, 5), dt.date(2024, 7, 7)
FOURTH, UK_HOLIDAY = dt.date(2024, 7, 4), dt.date(2024, 5, 6)
MONDAY_MORNING = dt.datetime(2024, 7, 8, 6, 0, tzinfo=dt.UTC)


def files(folder: Path, last: dict[str, dt.date]) -> Resources:
    """A desk on a folder with daily bars of each symbol up to its last day."""
    for symbol, day in last.items():
        days = sessions_between(dt.date(day.year, 1, 2), day, calendar_name(symbol))
        pd.DataFrame({"date": days, "close": 10.0}).to_csv(folder / f"{symbol}.csv", index=False)
    return Resources(Settings.of(provider="files", ingestion__files_dir=folder), clock=lambda: MONDAY_MORNING)


def live(*universe: str, now: dt.datetime = MONDAY_MORNING) -> Resources:
    return Resources(Settings.of(provider="yfinance", universe=universe), clock=lambda: now)


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(sessions).failed == 0


def test_crypto_bars_of_a_weekend_beside_stocks_make_no_session(tmp_path: Path) -> None:
    desk = files(tmp_path, {"AAPL": FRIDAY, "BTC-USD": SUNDAY})

    assert newest_session(resources=desk) == "2024-07-05"
    assert newest_before(None, None, resources=desk).session == "2024-07-05"
    for day in ("2024-07-06", "2024-07-07"):
        chosen = newest_before(day, None, resources=desk)
        assert (chosen.trades, chosen.reason.split(" is ")[1]) == (False, "not an XNYS session")


@pytest.mark.parametrize(
    ("last", "session"),
    [
        ({"AAPL": FRIDAY, "MSFT": dt.date(2024, 7, 3)}, "2024-07-03"),  # every symbol, not any
        ({"AAPL": FRIDAY, "BTC-USD": FOURTH}, "2024-07-03"),  # the 4th is no session of New York
        ({"AAPL": FRIDAY, "BTC-USD": FRIDAY}, "2024-07-05"),
        ({"AAPL": dt.date(2024, 6, 14), "BTC-USD": FRIDAY}, "2024-06-14"),  # stocks end weeks before the crypto does
        ({"AAPL": FRIDAY, "XLF": dt.date(2018, 8, 30)}, "2024-07-05"),  # ended long ago
        ({"AAPL": FRIDAY, "BTC-USD": dt.date(2018, 8, 30)}, "2024-07-05"),
        ({"AAPL": FRIDAY, "VOD.L": dt.date(2018, 8, 30)}, "2024-07-05"),
        ({"AAPL": FRIDAY, "VOD.L": FOURTH}, "2024-07-03"),  # London traded on the 5th: its bar is missing
        ({"AAPL": UK_HOLIDAY, "VOD.L": dt.date(2024, 5, 3)}, "2024-05-06"),  # London rested: nothing is missing
        ({"BTC-USD": SUNDAY}, "2024-07-05"),
        ({"VOD.L": FRIDAY}, "2024-07-05"),
    ],
)
def test_the_newest_session_is_the_last_that_every_symbol_still_trading_has(
    tmp_path: Path, last: dict[str, dt.date], session: str
) -> None:
    assert newest_session(resources=files(tmp_path, last)) == session


def test_a_symbol_ends_after_twenty_of_its_sessions() -> None:
    days = sessions_between(dt.date(2024, 5, 1), FRIDAY)

    def newest(behind: int) -> dt.date:
        return newest_common_session({"AAA": FRIDAY, "BBB": days[-1 - behind].date()})

    assert newest(20) == days[-21].date()
    assert newest(21) == FRIDAY


def test_a_live_desk_runs_for_the_last_session_that_new_york_has_closed() -> None:
    evening = dt.datetime(2024, 7, 5, 22, 0, tzinfo=dt.UTC)  # New York has closed, the crypto day has not

    for universe in (("AAPL", "BTC-USD"), ("BTC-USD",), ("VOD.L", "AAPL")):
        assert newest_session(resources=live(*universe, now=evening)) == "2024-07-05"
        assert newest_session(resources=live(*universe)) == "2024-07-05"
        assert not choose_session(SUNDAY.isoformat(), None, scheduled=False, resources=live(*universe)).trades
