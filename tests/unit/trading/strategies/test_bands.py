"""Average and band of a strategy at its signals and trades, under filters, switches and parameters by symbol."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.indicators import bollinger, zscore
from tests.standins.feed import walk
from trading.strategies.bands import with_bands
from trading.strategies.per_symbol import PerSymbol, Switch
from trading.strategies.registry import STRATEGIES, make_strategy
from trading.strategies.vix_filter import VixFilter

START, END = dt.date(2017, 1, 3), dt.date(2017, 12, 29)
BARS = {name: walk(name, START, END, seed=3) for name in ("AAA", "BBB")}


def rows(*keys: tuple[str, str, int]) -> pd.DataFrame:
    """Rows of a strategy, a symbol and the number of a bar."""
    made = [{"strategy": name, "symbol": symbol, "session": BARS["AAA"]["session"].iloc[at]} for name, symbol, at in keys]
    return pd.DataFrame(made, index=range(10, 10 + len(made)))


def test_the_band_of_a_signal_is_the_one_its_entry_was_judged_by() -> None:
    rule = make_strategy("bollinger", {"deviations": 1.0})
    signals = rule.signals(BARS["AAA"].assign(vix=20.0))
    at = [int(place) for place in np.flatnonzero(signals["entry"])]
    assert len(at) > 5

    found = with_bands(rows(*(("bollinger", "AAA", place) for place in at)), [rule], BARS, on="session")

    close = BARS["AAA"]["close"].to_numpy()
    assert (close[at] < found["band_price"].to_numpy()).all()
    assert (found["mean_price"] > found["band_price"]).all()
    assert found["mean_price"].tolist() == pytest.approx([close[place - 19 : place + 1].mean() for place in at])
    assert list(found.index) == list(range(10, 10 + len(at)))


def test_the_band_of_a_z_score_is_the_price_at_which_it_enters() -> None:
    rule = make_strategy("zscore", {"entry_z": -1.5})
    found = with_bands(rows(*(("zscore", "AAA", place) for place in range(80, 200))), [rule], BARS, on="session")

    close = BARS["AAA"]["close"].to_numpy()
    below = close[80:200] <= found["band_price"].to_numpy()
    assert below.tolist() == (zscore(close, 60)[80:200] <= -1.5).tolist()
    assert 0 < below.sum() < 120


def test_filters_and_switches_have_the_band_of_the_rule_inside_and_a_symbol_its_own() -> None:
    wide, tight = make_strategy("bollinger", {"deviations": 3.0}), make_strategy("bollinger", {"deviations": 1.0})
    traded = VixFilter(Switch(PerSymbol({"BBB": tight}, wide)))  # type: ignore[arg-type]

    found = with_bands(rows(("bollinger_vix", "AAA", 100), ("bollinger_vix", "BBB", 100)), [traded], BARS, on="session")

    for symbol, deviations, band in zip(("AAA", "BBB"), (3.0, 1.0), found["band_price"], strict=True):
        assert band == bollinger(BARS[symbol]["close"].to_numpy(), 20, deviations).lower[100]


def test_without_a_band_a_bar_or_a_strategy_there_is_none() -> None:
    rule, other = make_strategy("bollinger"), make_strategy("rsi")
    asked = rows(("bollinger", "AAA", 5), ("rsi", "AAA", 100), ("bollinger", "CCC", 100), ("gone", "AAA", 100))
    unknown_session = pd.DataFrame([{"strategy": "bollinger", "symbol": "AAA", "session": pd.Timestamp("2030-01-02")}])

    for frame in (asked, unknown_session):
        found = with_bands(frame, [rule, other], BARS, on="session")
        assert found[["mean_price", "band_price"]].isna().all(axis=None)
    assert list(with_bands(asked.iloc[:0], [rule], BARS, on="session")) == [*asked, "mean_price", "band_price"]


def test_two_built_in_rules_have_bands() -> None:
    bars = BARS["AAA"].assign(vix=20.0)
    from trading.strategies.bands import lines_of

    assert {name for name in STRATEGIES if lines_of(make_strategy(name), bars) is not None} == {"bollinger", "zscore"}
