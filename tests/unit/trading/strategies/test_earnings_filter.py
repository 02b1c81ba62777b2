"""The earnings filter against dates a person can count on a calendar, and against a slow second implementation."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, DataError
from core.sessions import next_session, sessions_between
from tests.properties import examples
from tests.standins.feed import walk
from trading.strategies.base import Parameters, to_signals
from trading.strategies.earnings_filter import EarningsFilter, lapsed
from trading.strategies.registry import make_strategy

START, END = dt.date(2021, 4, 1), dt.date(2021, 6, 30)  # 2021-04-02 Good Friday and 2021-05-31 Memorial Day are holidays


class Always(Parameters):
    """Enters and leaves on every bar."""

    name = "always"
    entry = "next_open"
    exit = "next_open"
    max_sessions: int | None = 2

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        return to_signals(bars, entry=[1] * len(bars), exit_long=True, stop_pct=1.0, target_pct=2.0, strength=3.0)


class AtOpen(Always):
    """The same, decided and filled at the open."""

    name = "at_open"
    entry = "open"


def bars(symbol: str = "AAPL") -> pd.DataFrame:
    return walk(symbol, START, END)


def refused_fills(earnings_filter: EarningsFilter, frame: pd.DataFrame) -> list[str]:
    """Fill sessions of the entries that the filter took out."""
    signals = earnings_filter.signals(frame)
    decided = signals.loc[signals["entry"] == 0, "session"].dt.date
    return [str(day if earnings_filter.entry == "open" else next_session(day)) for day in decided]


def test_fills_within_two_sessions_before_and_after_an_announcement_are_refused() -> None:
    earnings_filter = EarningsFilter(Always(), {"AAPL": [dt.date(2021, 4, 28)]})  # a Wednesday

    assert refused_fills(earnings_filter, bars()) == ["2021-04-26", "2021-04-27", "2021-04-28", "2021-04-29", "2021-04-30"]


def test_the_spans_count_sessions_over_a_weekend_and_a_holiday() -> None:
    earnings_filter = EarningsFilter(Always(), {"AAPL": [dt.date(2021, 6, 1)]}, sessions_before=2, sessions_after=0)

    assert refused_fills(earnings_filter, bars()) == ["2021-05-27", "2021-05-28", "2021-06-01"]


def test_a_date_without_a_session_counts_as_the_next_one() -> None:
    on_saturday = EarningsFilter(Always(), {"AAPL": [dt.date(2021, 5, 29)]}, sessions_before=1, sessions_after=1)

    assert refused_fills(on_saturday, bars()) == ["2021-05-28", "2021-06-01", "2021-06-02"]


def test_a_strategy_that_decides_at_the_open_is_refused_on_the_sessions_themselves() -> None:
    earnings_filter = EarningsFilter(AtOpen(), {"AAPL": [dt.date(2021, 4, 28)]}, sessions_before=1, sessions_after=0)

    assert refused_fills(earnings_filter, bars()) == ["2021-04-27", "2021-04-28"]


def test_no_sessions_around_it_still_close_the_day_itself() -> None:
    earnings_filter = EarningsFilter(Always(), {"AAPL": [dt.date(2021, 4, 28)]}, sessions_before=0, sessions_after=0)

    assert refused_fills(earnings_filter, bars()) == ["2021-04-28"]


def test_nothing_but_entries_is_touched() -> None:
    earnings_filter = EarningsFilter(Always(), {"AAPL": [dt.date(2021, 4, 28)]})

    pd.testing.assert_frame_equal(
        earnings_filter.signals(bars()).drop(columns="entry"), Always().signals(bars()).drop(columns="entry"), check_exact=True
    )


def test_a_symbol_without_announcements_is_never_held_back() -> None:
    earnings_filter = EarningsFilter(Always(), {"AAPL": [dt.date(2021, 4, 28)], "MSFT": []})

    assert refused_fills(earnings_filter, bars("SPY")) == []
    assert refused_fills(earnings_filter, bars("MSFT")) == []


def test_a_missing_bar_does_not_shift_the_fill() -> None:
    frame = bars().drop(index=17).reset_index(drop=True)  # 2021-04-27: the fill after 2021-04-26 is on that day all the same
    earnings_filter = EarningsFilter(Always(), {"AAPL": [dt.date(2021, 4, 28)]}, sessions_before=1, sessions_after=0)

    assert "2021-04-27" not in set(frame["session"].dt.date.map(str))
    assert refused_fills(earnings_filter, frame) == ["2021-04-27"]


def test_crypto_pairs_count_days() -> None:
    days = pd.DataFrame({"symbol": "BTC-USD", "session": pd.date_range("2021-05-01", "2021-05-10")})
    earnings_filter = EarningsFilter(AtOpen(), {"BTC-USD": [dt.date(2021, 5, 3)]}, sessions_before=2, sessions_after=0)

    assert refused_fills(earnings_filter, days) == ["2021-05-01", "2021-05-02", "2021-05-03"]


def test_dates_beyond_the_exchanges_calendar_are_harmless() -> None:
    far = {"AAPL": [dt.date(1970, 1, 1), dt.date(2150, 1, 1)]}

    assert refused_fills(EarningsFilter(Always(), far), bars()) == []


def test_no_bars_are_no_error() -> None:
    assert EarningsFilter(Always(), {"AAPL": [START]}).signals(bars().head(0)).empty


def test_bars_that_do_not_say_whose_they_are_are_refused() -> None:
    with pytest.raises(DataError, match="expected a column symbol"):
        EarningsFilter(Always(), {"AAPL": [START]}).signals(bars().drop(columns="symbol"))


@pytest.mark.parametrize("name", ["sessions_before", "sessions_after"])
def test_a_negative_span_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"expected {name} of 0 or more, found -1"):
        EarningsFilter(Always(), {}, **{name: -1})


def test_it_says_what_it_is_and_what_calendar_it_knows() -> None:
    earnings_filter = make_strategy("bollinger", vix_filter=True, earnings={"AAPL": [dt.date(2021, 4, 28)]})
    other = make_strategy("bollinger", vix_filter=True, earnings={"AAPL": [dt.date(2021, 4, 29)]})

    assert earnings_filter.name == "bollinger_vix", "positions opened without the filter must find their exits"
    assert earnings_filter.describe()["earnings_sessions_before"] == 2
    assert earnings_filter.describe()["vix_regimes"] == ["medium", "high"]
    assert earnings_filter.describe()["earnings_calendar"] != other.describe()["earnings_calendar"]
    assert hash(earnings_filter) != hash(make_strategy("rsi", earnings={}))


def test_symbols_whose_next_date_is_unknown_are_named() -> None:
    calendar = {"AAPL": [dt.date(2021, 4, 28)], "MSFT": [dt.date(2021, 4, 27), dt.date(2021, 7, 27)], "SPY": []}

    assert lapsed(calendar, dt.date(2021, 4, 28)) == []
    assert lapsed(calendar, dt.date(2021, 4, 29)) == ["AAPL"]


DAYS = [stamp.date() for stamp in sessions_between(START, END)]


@settings(max_examples=examples(200), deadline=None)
@given(
    announced=st.sets(st.dates(START, END), max_size=6),
    before=st.integers(0, 5),
    after=st.integers(0, 5),
    at_open=st.booleans(),
)
def test_it_refuses_what_counting_sessions_one_by_one_refuses(
    announced: set[dt.date], before: int, after: int, at_open: bool
) -> None:
    strategy = AtOpen() if at_open else Always()
    earnings_filter = EarningsFilter(strategy, {"AAPL": announced}, before, after)

    def near(fill: dt.date) -> bool:
        for date in announced:
            felt = next_session(date - dt.timedelta(days=1))
            between = len(sessions_between(min(fill, felt), max(fill, felt))) - 1
            if (fill <= felt and between <= before) or (fill >= felt and between <= after):
                return True
        return False

    fills = DAYS if at_open else [next_session(day) for day in DAYS]
    assert (earnings_filter.signals(bars())["entry"] == 0).tolist() == [near(fill) for fill in fills]
