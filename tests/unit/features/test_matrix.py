"""The feature matrix against the formulas written one line a feature, in fresh and in used memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from core.errors import DataError
from core.frames import BARS, FEATURE_FRAME, FEATURES
from features import indicators as ta
from features.build import build_features, session_tables
from features.indicators import above, ratio
from features.matrix import PRICE_FEATURES, VIX_FEATURES, columns_of, fill_features, fill_prices
from tests.standins.feed import walk


def formulas(bars: pd.DataFrame) -> dict[str, np.ndarray]:
    """Every price feature from the indicators' public functions alone; nothing shared, nothing compiled."""
    first_close = bars["close"].iloc[0]
    high, low, close = (bars[name].to_numpy() / first_close for name in ("high", "low", "close"))
    volume = bars["volume"].to_numpy()
    bands, ema_bands = ta.bollinger(close), ta.bollinger(close, basis="ema")
    line, direction = ta.macd(close), ta.directional(high, low, close)
    return {
        "rsi_14": ta.rsi(close),
        "macd_pct": ratio(line.line, close),
        "macd_signal_pct": ratio(line.signal, close),
        "macd_hist_pct": ratio(line.histogram, close),
        "adx_14": direction.adx,
        "plus_di_14": direction.plus_di,
        "minus_di_14": direction.minus_di,
        "bb_position_20": ratio(close - bands.lower, bands.upper - bands.lower),
        "bb_width_20": ratio(bands.upper - bands.lower, bands.middle),
        "bb_ema_position_20": ratio(close - ema_bands.lower, ema_bands.upper - ema_bands.lower),
        "atr_14_pct": ratio(ta.atr(high, low, close, 14), close),
        "atr_20_pct": ratio(ta.atr(high, low, close, 20), close),
        "atr_ratio_14_20": ratio(ta.atr(high, low, close, 14), ta.atr(high, low, close, 20)),
        "volatility_20": ta.volatility(close),
        "price_vs_sma_20": ratio(close, ta.sma(close, 20)) - 1,
        "volume_ratio_20": ratio(volume, ta.sma(volume, 20)),
        "uptrend_50": above(ratio(close, ta.sma(close, 50)), 1 + ta.TIE),
        **{f"slope_{n}": ta.slope(np.log(close), n) for n in (3, 5, 9, 14)},
        "zscore_20": ta.zscore(close, 20),
        "zscore_60": ta.zscore(close, 60),
        "return_1": ta.simple_return(close),
    }


def price_features(bars: pd.DataFrame) -> dict[str, np.ndarray]:
    values = np.empty((len(PRICE_FEATURES), len(bars)))
    fill_prices(*(bars[name].to_numpy(dtype="float64") for name in ("high", "low", "close", "volume")), values)
    return dict(zip(PRICE_FEATURES, values, strict=True))


def flat(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.assign(open=5.0, high=5.0, low=5.0, close=5.0, volume=0.0)


@pytest.mark.parametrize("rows", [1, 2, 20, 61, 260])
@pytest.mark.parametrize("change", [lambda bars: bars, flat], ids=["a walk", "no movement, no volume"])
def test_every_price_feature_has_the_bits_of_its_formula(rows, change, bars):
    one = change(bars[bars["symbol"] == "BBB"].head(rows))
    found, expected = price_features(one), formulas(one)
    assert tuple(found) == PRICE_FEATURES == tuple(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_the_rows_stand_in_the_order_of_the_frame():
    assert (*PRICE_FEATURES, *VIX_FEATURES) == FEATURES


def test_used_memory_is_filled_with_the_same_bits_as_the_frame(bars, vix):
    columns = columns_of(bars)
    matrix = np.full((len(FEATURES), len(bars)), 7.0)
    for _ in range(2):
        fill_features(columns, session_tables(columns, vix), matrix)
        np.testing.assert_array_equal(matrix.T, build_features(bars, vix)[list(FEATURES)])


def most_memory(columns, tables, matrix) -> int:
    tracemalloc.start()
    fill_features(columns, tables, matrix)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def test_filling_used_memory_needs_no_more_for_forty_symbols_than_for_four(bars, vix):
    one = bars[bars["symbol"] == "AAA"]
    many = columns_of(BARS.coerce(pd.concat([one.assign(symbol=f"S{n:02}") for n in range(40)])))
    few = many._replace(symbols=many.symbols[:4], starts=many.starts[:5])
    tables, matrix = session_tables(many, vix), np.empty((len(FEATURES), len(many.close)))
    fill_features(many, tables, matrix)  # compiled by now
    assert most_memory(many, tables, matrix) < 1.1 * most_memory(few, tables, matrix) < matrix.nbytes / 10


def test_columns_know_where_each_symbol_starts(bars):
    columns = columns_of(bars)
    assert columns.symbols == ("AAA", "BBB")
    assert columns.starts == (0, 300, 560)
    assert dict(columns.parts()) == {"AAA": slice(0, 300), "BBB": slice(300, 560)}


def test_the_frame_keeps_its_schema_and_leaves_the_bars(bars, vix):
    before = bars.copy()
    frame = FEATURE_FRAME.check(build_features(bars, vix))
    assert list(frame) == list(FEATURE_FRAME.columns)
    assert isinstance(frame.index, pd.RangeIndex)
    frame["symbol"], frame["rsi_14"] = "other", 0.0
    frame.loc[:, "session"] = pd.Timestamp("2000-01-01")
    pd.testing.assert_frame_equal(bars, before)


def test_shares_and_coins_follow_their_own_calendars(bars, vix):
    shares = bars[bars["symbol"] == "AAA"]
    days = pd.date_range(shares["session"].iloc[0], periods=len(shares))
    both = BARS.coerce(pd.concat([shares, shares.assign(symbol="BTC-USD", session=days)]))
    frame = build_features(both, vix)
    coins = frame[frame["symbol"] == "BTC-USD"].set_index("session")
    assert coins.loc["2015-01-03", "event_timestamp"] == pd.Timestamp("2015-01-04", tz="UTC")  # a Saturday
    assert np.isnan(coins.loc["2015-01-03", "vix"])
    assert coins.loc["2015-01-05", "vix"] == vix.set_index("session").loc["2015-01-05", "close"]
    np.testing.assert_array_equal(coins["rsi_14"], frame.loc[frame["symbol"] == "AAA", "rsi_14"])


@pytest.mark.parametrize("wrong", ["2015-01-01", "1985-01-02", "2015-01-02 09:30"])
def test_a_bar_outside_its_calendar_is_named(wrong, bars):
    moved = bars[bars["symbol"] == "AAA"].copy()
    moved.loc[moved.index[0], "session"] = pd.Timestamp(wrong)
    with pytest.raises(DataError, match=f"AAA: expected bars on XNYS sessions only, found one on {wrong[:10]}"):
        build_features(moved, None)


def test_more_symbols_do_not_change_the_first(bars, vix):
    from datetime import date

    other = walk("ZZZ", date(2015, 1, 2), date(2016, 6, 1))
    more = build_features(BARS.coerce(pd.concat([bars, other])), vix).head(len(bars))
    pd.testing.assert_frame_equal(more, build_features(bars, vix), check_exact=True)
