"""Technical indicators on arrays of one symbol's bars.

TA-Lib computes whatever it has, so that the figures are the ones charts and papers show. Every function is causal: element t
depends on elements 0..t alone, bit for bit, and warm-up is NaN. Wilder's and exponential averages remember their first bar:
give them the whole history, always from the same first bar.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import talib

from features.kernels import Array, directional_movement

SESSIONS_A_YEAR = 252
TIE = 1e-9  # as a fraction of the price: a smaller difference is rounding, not movement


class Bands(NamedTuple):
    """Bollinger bands, in the unit of the price."""

    upper: Array
    middle: Array
    lower: Array


class Macd(NamedTuple):
    """MACD line, its signal line and their difference, in the unit of the price."""

    line: Array
    signal: Array
    histogram: Array


class Directional(NamedTuple):
    """Positive and negative directional indicators and the average directional index, 0 to 100."""

    plus_di: Array
    minus_di: Array
    adx: Array


def ratio(numerator: Array, denominator: Array) -> Array:
    """Return the quotient, NaN where the denominator is zero.

    >>> ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    safe = np.where(denominator == 0, np.nan, denominator)
    quotient: Array = numerator / safe
    return quotient


def above(values: Array | float, threshold: Array | float) -> Array:
    """Return 1.0 where `values` exceed `threshold`, 0.0 where they do not, NaN where either is NaN.

    >>> above(np.array([2.0, 1.0, np.nan]), 1.0).tolist()
    [1.0, 0.0, nan]
    """
    margin = np.asarray(values, dtype=np.float64) - threshold
    return np.where(np.isnan(margin), np.nan, (margin > 0).astype(np.float64))


def sma(values: Array, sessions: int) -> Array:
    """Return the simple moving average.

    >>> sma(np.array([1.0, 2.0, 6.0]), 2).tolist()
    [nan, 1.5, 4.0]
    """
    return talib.SMA(values, sessions)


def ema(values: Array, sessions: int) -> Array:
    """Return the exponential moving average with smoothing 2 / (sessions + 1), started by the simple average.

    >>> ema(np.array([1.0, 3.0, 6.0]), 2).round(6).tolist()
    [nan, 2.0, 4.666667]
    """
    return talib.EMA(values, sessions)


def rsi(close: Array, sessions: int = 14) -> Array:
    """Return the relative strength index, 0 to 100 (Wilder 1978).

    NaN until the price has moved for the first time: gains and losses are both 0 then, and their ratio is undefined. TA-Lib
    says 0 there, which would be as oversold as can be.

    >>> rsi(np.array([10.0, 11.0, 12.0, 11.0]), 2).round(6).tolist()
    [nan, nan, 100.0, 50.0]
    """
    strength = talib.RSI(close, sessions)
    if len(close) > 1 and close[1] == close[0]:  # rare: what follows is for a history that begins without a move
        moved = np.flatnonzero(close[1:] != close[:-1])
        strength[: moved[0] + 1 if len(moved) else len(close)] = np.nan
    return strength


def macd(close: Array, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd:
    """Return the moving average convergence divergence (Appel)."""
    return Macd(*talib.MACD(close, fast, slow, signal))


def directional(high: Array, low: Array, close: Array, sessions: int = 14) -> Directional:
    """Return the directional movement system (Wilder 1978), as TA-Lib's PLUS_DI, MINUS_DI and ADX, but for ties.

    A bar whose high rises exactly as far as its low falls has no direction. On prices in whole cents such bars are common, and
    TA-Lib compares the two moves as floats: whether 100.05 - 100.00 exceeds 99.10 - 99.05 is decided by rounding, and decided
    anew when a split rescales the history. Here moves within `TIE` of the price count as equal.
    """
    plus_di, minus_di, adx = np.empty((3, len(close)))
    directional_movement(high, low, close, sessions, TIE, plus_di, minus_di, adx)
    return Directional(plus_di, minus_di, adx)


def atr(high: Array, low: Array, close: Array, sessions: int = 14) -> Array:
    """Return the average true range in the unit of the price (Wilder 1978)."""
    return talib.ATR(high, low, close, sessions)


def bollinger(close: Array, sessions: int = 20, deviations: float = 2.0, basis: Literal["sma", "ema"] = "sma") -> Bands:
    """Return Bollinger bands: a moving average plus and minus `deviations` population standard deviations of the close.

    The deviation is taken around the simple average for either basis, as TA-Lib and most charts do.

    >>> bands = bollinger(np.array([1.0, 2.0, 3.0]), sessions=3, deviations=1.0)
    >>> [round(float(band[-1]), 4) for band in bands]
    [2.8165, 2.0, 1.1835]
    """
    average = getattr(talib.MA_Type, basis.upper())  # type: ignore[attr-defined]  # exported, though not by the stubs
    return Bands(*talib.BBANDS(close, sessions, deviations, deviations, average))


def zscore(close: Array, sessions: int) -> Array:
    """Return the distance of the close from its simple average in population standard deviations; NaN on a flat price.

    >>> zscore(np.array([1.0, 2.0, 3.0]), 3).round(4).tolist()
    [nan, nan, 1.2247]
    """
    return ratio(close - sma(close, sessions), deviation(close, sessions))


def deviation(values: Array, sessions: int) -> Array:
    """Return the population standard deviation of the last values, in their unit.

    >>> deviation(np.array([1.0, 3.0, 3.0]), 2).tolist()
    [nan, 1.0, 0.0]
    """
    return talib.STDDEV(values, sessions, 1.0)


def slope(values: Array, sessions: int) -> Array:
    """Return the slope per session of the least-squares line through the last values.

    >>> slope(np.array([1.0, 3.0, 5.0]), 3).tolist()
    [nan, nan, 2.0]
    """
    return talib.LINEARREG_SLOPE(values, sessions)


def simple_return(close: Array, sessions: int = 1) -> Array:
    """Return the fractional change over `sessions` elements.

    >>> simple_return(np.array([100.0, 110.0, 99.0])).round(6).tolist()
    [nan, 0.1, -0.1]
    """
    change = np.full(close.shape, np.nan)
    change[sessions:] = close[sessions:] / close[:-sessions] - 1
    return change


def volatility(close: Array, sessions: int = 20) -> Array:
    """Return the population standard deviation of log returns, annualised with 252 sessions, as a fraction."""
    log_return = np.full(close.shape, np.nan)
    log_return[1:] = np.log(close[1:] / close[:-1])
    annualised: Array = deviation(log_return, sessions) * np.sqrt(SESSIONS_A_YEAR)
    return annualised
