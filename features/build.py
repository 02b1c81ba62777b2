"""Bars and VIX to the feature frame: every feature of `core.frames.FEATURES`, once. Owns their definitions and warm-up; no I/O.

A row labelled with session t is a function of bars 0..t and of VIX up to session t. Prices are divided by the symbol's first
close before anything is computed, so that neither a currency, a split nor a symbol's price level changes a feature.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from core.errors import DataError
from core.frames import BARS, FEATURE_FRAME, FEATURES, PRICES
from core.sessions import calendar_name, closes_of
from features import indicators as ta
from features.indicators import above, ratio
from features.regime import HIGH_ABOVE, LOW_BELOW, vix_at, vix_by_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from features.indicators import Array

PUBLICATION_LAG: Final = pd.Timedelta(minutes=15)  # bars without `known_at` count as known this long after their close
VIX_LAG: Final = pd.Timedelta(minutes=15)  # Cboe's last VIX of a session is a quarter of an hour after the shares' close

# Wilder's average over 20 bars weighs a bar 500 bars old by 0.95 ** 500 = 7e-12: a revision that old moves no feature by more
# than rounding does, so it does not make a feature younger.
MEMORY_BARS: Final = 500
MEMORY_VIX_SESSIONS: Final = 6

# Bars (for VIX features: VIX sessions) before the first value; those rows stay NaN.
WARM_UP: Final[Mapping[str, int]] = MappingProxyType(
    {
        "rsi_14": 14,
        "macd_pct": 33,
        "macd_signal_pct": 33,
        "macd_hist_pct": 33,
        "adx_14": 27,
        "plus_di_14": 14,
        "minus_di_14": 14,
        "bb_position_20": 19,
        "bb_width_20": 19,
        "bb_ema_position_20": 19,
        "atr_14_pct": 14,
        "atr_20_pct": 20,
        "atr_ratio_14_20": 20,
        "volatility_20": 20,
        "price_vs_sma_20": 19,
        "volume_ratio_20": 19,
        "uptrend_50": 49,
        "slope_3": 2,
        "slope_5": 4,
        "slope_9": 8,
        "slope_14": 13,
        "zscore_20": 19,
        "zscore_60": 59,
        "return_1": 1,
        "vix": 0,
        "vix_change_1": 1,
        "vix_change_5": 5,
        "vix_high": 0,
        "vix_low": 0,
    }
)


def build_features(bars: pd.DataFrame, vix: pd.DataFrame | None) -> pd.DataFrame:
    """Compute every feature of every symbol.

    Parameters
    ----------
    bars
        `BARS` of any number of symbols, each from its first bar; optional column known_at (UTC) says when a bar was known.
    vix
        Columns session, close (index points) and optionally known_at; None when there is no VIX at all.

    Returns
    -------
    pd.DataFrame
        `FEATURE_FRAME`. `event_timestamp` is the close of the session (UTC), `created_timestamp` the moment at which all that
        the row depends on was known. NaN during warm-up, on zero denominators, and where VIX is unknown.

    Raises
    ------
    DataError
        When bars break their schema or lie outside the trading calendar.
    """
    BARS.check(bars)
    if bars.empty:
        return FEATURE_FRAME.empty()
    levels = vix_by_session(vix)
    known = _vix_known_at(vix)
    frames = [_one_symbol(str(symbol), group, levels, known) for symbol, group in bars.groupby("symbol", sort=True)]
    return FEATURE_FRAME.check(pd.concat(frames, ignore_index=True))


def price_features(bars: pd.DataFrame) -> dict[str, Array]:
    """Compute the features that need one symbol's bars alone; scale-free."""
    first_close = float(bars["close"].iloc[0])
    _, high, low, close = (bars[column].to_numpy(dtype="float64") / first_close for column in PRICES)
    volume = bars["volume"].to_numpy(dtype="float64")
    direction = ta.directional(high, low, close)
    line = ta.macd(close)
    bands = ta.bollinger(close)
    ema_bands = ta.bollinger(close, basis="ema")
    atr_14, atr_20 = ta.atr(high, low, close, 14), ta.atr(high, low, close, 20)
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
        "atr_14_pct": ratio(atr_14, close),
        "atr_20_pct": ratio(atr_20, close),
        "atr_ratio_14_20": ratio(atr_14, atr_20),
        "volatility_20": ta.volatility(close),
        "price_vs_sma_20": ratio(close, ta.sma(close, 20)) - 1,
        "volume_ratio_20": ratio(volume, ta.sma(volume, 20)),
        "uptrend_50": above(ratio(close, ta.sma(close, 50)), 1 + ta.TIE),
        "slope_3": ta.log_slope(close, 3),
        "slope_5": ta.log_slope(close, 5),
        "slope_9": ta.log_slope(close, 9),
        "slope_14": ta.log_slope(close, 14),
        "zscore_20": ta.zscore(close, 20),
        "zscore_60": ta.zscore(close, 60),
        "return_1": ta.simple_return(close),
    }


def vix_features(levels: pd.Series[float], session: pd.Series[pd.Timestamp]) -> dict[str, Array]:
    """Compute the VIX features at the given sessions; changes are fractions over XNYS sessions."""
    level = np.asarray(levels, dtype=np.float64)
    columns = {
        "vix": level,
        "vix_change_1": ta.simple_return(level, 1),
        "vix_change_5": ta.simple_return(level, 5),
        "vix_high": above(level, HIGH_ABOVE),
        "vix_low": above(LOW_BELOW, level),
    }
    return {name: vix_at(session, pd.Series(values, index=levels.index)) for name, values in columns.items()}


def _one_symbol(symbol: str, bars: pd.DataFrame, levels: pd.Series[float], vix_known: pd.Series[int]) -> pd.DataFrame:
    values = {**price_features(bars), **vix_features(levels, bars["session"])}
    try:
        closes = closes_of(pd.DatetimeIndex(bars["session"]), calendar_name(symbol))
    except KeyError as error:
        raise DataError(f"{symbol}: expected bars on {calendar_name(symbol)} sessions only, found others: {error}.") from error
    return pd.DataFrame(
        {
            "symbol": symbol,
            "session": bars["session"].to_numpy(),
            "event_timestamp": closes,
            "created_timestamp": _created(bars, closes, vix_known),
            **{name: values[name] for name in FEATURES},
        }
    )


def _created(bars: pd.DataFrame, closes: pd.DatetimeIndex, vix_known: pd.Series[int]) -> pd.DatetimeIndex:
    """When the newest of the inputs of each row became known: its bars, as far back as they matter, and its VIX."""
    bar_known = pd.DatetimeIndex(bars["known_at"]) if "known_at" in bars else closes + PUBLICATION_LAG
    at_row = vix_known.reindex(pd.DatetimeIndex(bars["session"]), fill_value=np.iinfo(np.int64).min)
    return _instants(np.maximum(_newest(_nanoseconds(bar_known), MEMORY_BARS), at_row.to_numpy()))


def _vix_known_at(vix: pd.DataFrame | None) -> pd.Series[int]:
    """When the VIX features of each session became known, as nanoseconds; never before Cboe's last value of the session."""
    if vix is None or vix.empty:
        return pd.Series(dtype="int64", index=pd.DatetimeIndex([]))
    on_sessions = vix[vix["session"].isin(vix_by_session(vix).index)].sort_values("session")
    sessions = pd.DatetimeIndex(on_sessions["session"])
    published = _nanoseconds(closes_of(sessions) + VIX_LAG)
    known = (
        _nanoseconds(pd.DatetimeIndex(on_sessions["known_at"]))
        if "known_at" in on_sessions
        else published + PUBLICATION_LAG.value
    )
    return pd.Series(_newest(np.maximum(known, published), MEMORY_VIX_SESSIONS), index=sessions)


def _newest(instants: NDArray[np.int64], memory: int) -> NDArray[np.int64]:
    """Largest of the last `memory` values at each element."""
    padded = np.concatenate([np.full(memory - 1, np.iinfo(np.int64).min), instants])
    newest: NDArray[np.int64] = np.lib.stride_tricks.sliding_window_view(padded, memory).max(axis=1)
    return newest


def _nanoseconds(instants: pd.DatetimeIndex) -> NDArray[np.int64]:
    return instants.as_unit("ns").tz_convert("UTC").tz_localize(None).to_numpy().astype("int64")


def _instants(nanoseconds: NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(nanoseconds.view("datetime64[ns]")).tz_localize("UTC")
