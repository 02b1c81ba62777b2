"""The leak finder on leaks that were planted, and on what the desk really computes."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy.signal import detrend, savgol_filter

from core.errors import DataError
from core.frames import BARS, FEATURES
from features.build import build_features
from ingestion.jumps import given_back_bps
from pipeline.research.leakage_check import leaks_in_cleaning
from research.leakage import DECIDED_AT_OPEN, find_leaks, warm_up, with_errors
from tests.standins.feed import walk
from trading.strategies.base import to_signals
from trading.strategies.registry import STRATEGIES, make_strategy

if TYPE_CHECKING:
    from collections.abc import Callable

MARKET = {
    name: walk(name, dt.date(2015, 1, 2), dt.date(2017, 12, 29)).assign(vix=lambda rows: 15.0 + np.arange(len(rows)) % 20)
    for name in ("AAA", "BBB")
}


def low_pass(close: pd.Series[float]) -> np.ndarray[Any, Any]:
    spectrum = np.fft.rfft(close)
    spectrum[20:] = 0
    return np.fft.irfft(spectrum, len(close))


def sparse(close: pd.Series[float]) -> pd.Series[float]:
    return close.where(np.arange(len(close)) % 7 == 0)


def week(bars: pd.DataFrame) -> pd.Series[pd.Period]:
    return bars["session"].dt.to_period("W")


LEAKS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "centred rolling mean": lambda b: b["close"].rolling(11, center=True).mean(),
    "centred rolling max": lambda b: b["high"].rolling(5, center=True, min_periods=1).max(),
    "shift(-1)": lambda b: b["close"].shift(-1),
    "return of the next session": lambda b: b["close"].pct_change().shift(-1),
    "next open": lambda b: b["open"].shift(-1) / b["close"],
    "highest of the next five": lambda b: b["high"][::-1].rolling(5, min_periods=1).max()[::-1],
    "window shifted back": lambda b: b["close"].rolling(10).mean().shift(-3),
    "full-sample z-score": lambda b: (b["close"] - b["close"].mean()) / b["close"].std(),
    "full-sample min-max": lambda b: (b["close"] - b["close"].min()) / (b["close"].max() - b["close"].min()),
    "full-sample rank": lambda b: b["close"].rank(pct=True),
    "full-sample quantile": lambda b: b["close"] > b["close"].quantile(0.9),
    "price to the last price": lambda b: b["close"] / b["close"].iloc[-1],
    "share of all volume": lambda b: b["volume"] / b["volume"].sum(),
    "backward fill": lambda b: sparse(b["close"]).bfill(),
    "interpolation": lambda b: sparse(b["close"]).interpolate(),
    "gaps filled with the mean": lambda b: sparse(b["close"]).fillna(sparse(b["close"]).mean()),
    "week's last close on each day": lambda b: b["close"].groupby(week(b)).transform("last"),
    "week's high on each day": lambda b: b["high"].groupby(week(b)).transform("max"),
    "month's mean on each day": lambda b: b["close"].groupby(b["session"].dt.to_period("M")).transform("mean"),
    "central difference": lambda b: np.gradient(b["close"]),
    "average from the end": lambda b: b["close"][::-1].ewm(span=10).mean()[::-1],
    "sum of what is to come": lambda b: b["volume"][::-1].cumsum()[::-1],
    "Savitzky-Golay filter": lambda b: savgol_filter(b["close"], 21, 3) if len(b) > 20 else np.full(len(b), np.nan),
    "linear trend of everything": lambda b: detrend(b["close"]),
    "low pass by Fourier": lambda b: low_pass(b["close"]),
    "bars since the lowest close": lambda b: np.arange(len(b)) - int(b["close"].to_numpy().argmin()),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_planted_leak_is_found_by_name(name: str) -> None:
    compute = lambda bars: pd.DataFrame({"honest": bars["close"].rolling(5).mean(), name: LEAKS[name](bars)})  # noqa: E731

    (leak,) = find_leaks(compute, MARKET, cuts=40)

    assert leak.column == name
    assert leak.session <= leak.known_until
    assert leak.symbol in MARKET
    assert leak.how in {"cut", "noise"}


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("vix_filter", [False, True], ids=["plain", "filtered"])
def test_no_strategy_of_the_desk_leaks(name: str, vix_filter: bool) -> None:
    strategy = make_strategy(name, vix_filter=vix_filter)
    at_open = DECIDED_AT_OPEN if strategy.entry == "open" else ()

    assert find_leaks(strategy.signals, MARKET, cuts=150, decided_at_open=at_open) == []


def features(bars: pd.DataFrame) -> pd.DataFrame:
    vix = bars[["session", "vix"]].rename(columns={"vix": "close"})
    return build_features(bars[list(BARS.columns)], vix)[list(FEATURES)]


def test_no_feature_of_the_desk_leaks() -> None:
    assert find_leaks(features, MARKET, cuts=60) == []


def test_an_entry_at_the_open_that_knows_its_own_close_is_found() -> None:
    knows_the_close = lambda bars: to_signals(bars, entry=(bars["close"] > bars["open"]).to_numpy())  # noqa: E731

    assert find_leaks(knows_the_close, MARKET, cuts=40) == [], "decided at the close it would be honest"
    (leak,) = find_leaks(knows_the_close, MARKET, cuts=40, decided_at_open=DECIDED_AT_OPEN)

    assert (leak.column, leak.how) == ("entry", "own bar")


def test_a_leak_where_nothing_fires_is_found_too() -> None:
    def silent(bars: pd.DataFrame) -> pd.DataFrame:
        return to_signals(bars, entry=np.zeros(len(bars)), strength=bars["close"].shift(-1).to_numpy())

    assert [leak.column for leak in find_leaks(silent, MARKET, cuts=20)] == ["strength"]


def test_nothing_to_check_is_said() -> None:
    with pytest.raises(DataError, match="three bars"):
        find_leaks(features, {"AAA": MARKET["AAA"].head(2)})
    with pytest.raises(DataError, match="one row a bar"):
        find_leaks(lambda bars: bars.head(1), MARKET)


def test_windows_settle_with_their_window_and_recursive_averages_later() -> None:
    needed = warm_up(features, MARKET["AAA"])

    assert needed["zscore_20"] == 19
    assert needed["price_vs_sma_20"] == 19
    assert needed["return_1"] == 1
    assert 100 < needed["rsi_14"] < 400
    assert needed["rsi_14"] < needed["adx_14"]


def test_the_cleaning_of_bars_knows_no_later_bar() -> None:
    assert leaks_in_cleaning(MARKET, jump_fail_bps=1500, cuts=150) == []


def test_a_cleaning_rule_that_waits_for_the_next_close_is_found() -> None:
    def flags(bars: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"refused": given_back_bps(bars, fail_bps=1500) != 0})

    (leak,) = find_leaks(flags, with_errors(MARKET), cuts=300)
    assert (leak.column, leak.how) == ("refused", "cut")
