from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.frames import ACTIONS
from core.sessions import sessions_between
from ingestion.jumps import given_back_bps, moves_bps, rescaled_symbols, unexplained_bps
from ingestion.providers.files import FilesProvider
from research.leakage import with_errors
from tests.properties import examples

CORPUS = Path(__file__).resolve().parents[3].parent / "shared" / "data"
DAYS = sessions_between(dt.date(2021, 1, 4), dt.date(2021, 12, 31))
NO_SPLITS = ACTIONS.empty()


def walk(symbol: str = "AAA", volatility: float = 0.01, length: int = 120, seed: int = 1) -> pd.DataFrame:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, volatility, length)))
    return pd.DataFrame({"symbol": symbol, "session": DAYS[:length], "close": close})


def refused(bars: pd.DataFrame, splits: pd.DataFrame = NO_SPLITS) -> list[int]:
    return bars.index[unexplained_bps(bars, splits, fail_bps=1500) != 0].tolist()


def split(symbol: str, session: pd.Timestamp, value: float) -> pd.DataFrame:
    return ACTIONS.coerce(pd.DataFrame({"symbol": [symbol], "session": [session], "kind": ["split"], "value": [value]}))


@settings(max_examples=examples(40), deadline=None)
@given(
    factor=st.sampled_from([1 / 2, 1 / 3, 1 / 4, 1 / 7, 1 / 10, 1 / 20, 2, 4, 5, 10]),
    day=st.integers(30, 115),
    seed=st.integers(0, 99),
)
def test_an_unadjusted_split_is_refused_and_so_is_everything_after_it(factor: float, day: int, seed: int) -> None:
    bars = walk(seed=seed)
    bars.loc[day:, "close"] *= factor

    assert refused(bars) == list(range(day, 120))


def test_an_unadjusted_three_for_two_split_is_refused() -> None:
    bars = walk()
    bars.loc[60:, "close"] *= 2 / 3

    assert refused(bars) == list(range(60, 120))


def test_bars_before_and_after_a_missed_split_agree_once_the_level_is_back() -> None:
    bars = walk()
    bars.loc[60:64, "close"] /= 4

    assert refused(bars) == [60, 61, 62, 63, 64]


def test_a_recorded_split_explains_its_jump() -> None:
    bars = walk()
    bars.loc[60:, "close"] /= 4

    assert refused(bars, split("AAA", DAYS[60], 4.0)) == []
    assert refused(bars, split("BBB", DAYS[60], 4.0)) == list(range(60, 120))
    assert refused(bars, split("AAA", DAYS[50], 4.0)) == list(range(60, 120))


@pytest.mark.parametrize("factor", [0.6, 0.7, 1.4, 1.8, 2.6])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_move_that_is_given_back_is_flagged_and_nothing_of_it_refused(factor: float, length: int) -> None:
    bars = walk()
    bars.loc[60 : 59 + length, "close"] *= factor

    assert refused(bars) == []
    flagged = bars.index[given_back_bps(bars, fail_bps=1500) != 0].tolist()
    assert flagged == ([60] if length == 1 else []), "the flag knows the next close"


def test_a_wrong_tick_that_doubles_a_price_costs_its_own_bar_alone() -> None:
    bars = walk()
    bars.loc[60, "close"] *= 2

    assert refused(bars) == [60]


@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(2, 119))
def test_bars_after_a_bar_never_change_its_verdict(seed: int, cut: int) -> None:
    bars = with_errors({"AAA": walk(seed=seed)}, share=0.1, seed=seed)["AAA"]

    whole = unexplained_bps(bars, NO_SPLITS, fail_bps=1500)

    pd.testing.assert_series_equal(unexplained_bps(bars.iloc[:cut], NO_SPLITS, fail_bps=1500), whole.iloc[:cut])


def test_a_jump_after_an_unusable_close_is_seen_whatever_follows() -> None:
    bars = walk()
    bars.loc[60, "close"] = np.nan
    bars.loc[61:, "close"] /= 2

    assert refused(bars) == list(range(61, 120))
    assert refused(bars.iloc[:70]) == list(range(61, 70))


def test_a_violent_day_that_stays_is_accepted_and_visible_as_a_large_move() -> None:
    bars = walk()
    bars.loc[60:, "close"] *= 1.4

    assert refused(bars) == []
    assert bars.index[moves_bps(bars).abs() > 1500].tolist() == [60]


def test_a_price_in_pence_instead_of_pounds_is_refused() -> None:
    bars = walk()
    bars.loc[119, "close"] *= 100

    assert refused(bars) == [119]


def test_an_unadjusted_split_on_the_second_bar_of_a_young_symbol_is_refused() -> None:
    bars = walk(length=3)
    bars.loc[1:, "close"] /= 2

    assert refused(bars) == [1, 2]


def test_vix_may_double_in_a_day() -> None:
    bars = walk("^VIX")
    bars.loc[60:, "close"] *= 2

    assert refused(bars) == []
    assert moves_bps(bars).eq(0).all()


def test_symbols_are_judged_on_their_own() -> None:
    cheap, dear = walk("AAA"), walk("BBB").assign(close=lambda frame: frame["close"] * 40)

    assert refused(pd.concat([cheap, dear], ignore_index=True)) == []


def test_unusable_closes_are_passed_over() -> None:
    bars = walk()
    bars.loc[[60, 61], "close"] = [np.nan, 0.0]

    assert refused(bars) == []


def test_a_symbol_that_was_away_for_months_begins_anew() -> None:
    bars = walk().drop(index=range(30, 90)).reset_index(drop=True)
    bars.loc[30:, "close"] *= 2

    assert refused(bars) == []


def test_a_history_adjusted_since_it_was_stored_is_recognised() -> None:
    stored = pd.concat([walk("AAA"), walk("BBB"), walk("CCC")], ignore_index=True)
    fetched = stored[stored["session"] >= DAYS[110]].copy()
    fetched.loc[fetched["symbol"] == "AAA", "close"] /= 4
    fetched.loc[fetched.index[-1], "close"] *= 1.3  # one revised bar of CCC is no new scale

    assert rescaled_symbols(fetched, stored) == ("AAA",)


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="../shared/data is not beside this checkout")
def test_no_real_day_of_nineteen_symbols_in_twelve_years_is_refused() -> None:
    provider = FilesProvider(CORPUS)
    bars = provider.fetch([*provider.default_universe, "^VIX"], dt.date(2010, 1, 1), dt.date(2021, 12, 31)).bars

    assert (moves_bps(bars).abs() > 1500).sum() == 78
    assert refused(bars) == []
