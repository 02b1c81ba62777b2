"""The bad fraction of a batch counts new bars alone."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from core.frames import BARS, QUARANTINE
from core.sessions import sessions_between
from ingestion.quarantine import NewBars, count_new

DAYS = sessions_between(dt.date(2024, 1, 2), dt.date(2024, 12, 31))
MOST = 0.05


def good(symbols: int, days: pd.DatetimeIndex) -> pd.DataFrame:
    rows = pd.DataFrame([(f"S{number:02}", day) for number in range(symbols) for day in days], columns=["symbol", "session"])
    return BARS.coerce(rows.assign(**dict.fromkeys(("open", "high", "low", "close", "adj_close", "volume"), 1.0)))


def bad(symbols: int, days: pd.DatetimeIndex) -> pd.DataFrame:
    rows = good(symbols, days)[["symbol", "session"]]
    return QUARANTINE.coerce(rows.assign(reason="null", detail="", payload="{}"))


def evening(symbols: int, refused: int) -> NewBars:
    """Ten stored sessions and a new one of each symbol; the new bar of some is refused."""
    batch = good(symbols, DAYS[:11])
    rejected = bad(refused, DAYS[10:11]) if refused else QUARANTINE.empty()
    fine = batch[~((batch["session"] == DAYS[10]) & batch["symbol"].isin(rejected["symbol"]))]
    return count_new(fine, rejected, good(symbols, DAYS[:10]), None, most=MOST)


@pytest.mark.parametrize(
    ("symbols", "refused", "accepted"),
    [(1, 0, True), (1, 1, True), (2, 1, True), (2, 2, False), (5, 1, True), (5, 5, False), (19, 2, True), (19, 19, False)],
)
def test_an_evening_with_few_bad_bars_is_accepted_and_one_with_many_is_not(symbols: int, refused: int, accepted: bool) -> None:
    new = evening(symbols, refused)

    assert (new.bars, new.bad) == (symbols, refused)
    assert (new.bad_fraction <= MOST) is accepted


def test_bars_known_as_good_do_not_hide_new_bad_ones() -> None:
    new = count_new(good(1, DAYS[:150]), bad(1, DAYS[150:200]), good(1, DAYS[:150]), None, most=MOST)

    assert (new.bars, new.bad, new.judged_over) == (50, 50, 50)


def test_a_bad_bar_is_new_until_it_was_quarantined_for_a_symbol_with_history() -> None:
    batch = (good(1, DAYS[:8]), bad(1, DAYS[8:11]))

    assert count_new(*batch, good(1, DAYS[:8]), bad(1, DAYS[8:10]), most=MOST).bad == 1
    assert count_new(*batch, None, bad(1, DAYS[8:10]), most=MOST).bad == 3, "a first load is judged whole"


def test_one_bad_bar_never_rejects_whatever_the_limit_unless_it_is_zero() -> None:
    batch = (good(1, DAYS[:10]), bad(1, DAYS[10:11]), good(1, DAYS[:10]), None)

    for most in (0.001, 0.03, 0.05, 0.5, 1.0):
        assert count_new(*batch, most=most).bad_fraction <= most
    assert count_new(*batch, most=0.0).bad_fraction > 0


def test_a_doubled_row_of_which_one_is_good_is_no_bad_bar() -> None:
    assert count_new(good(1, DAYS[:5]), bad(1, DAYS[4:5]), None, None, most=MOST).bad == 0


def test_nothing_is_no_bad_batch() -> None:
    assert count_new(BARS.empty(), QUARANTINE.empty(), None, None, most=MOST).bad_fraction == 0
