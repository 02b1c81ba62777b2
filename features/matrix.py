"""Compute the features of many symbols into one matrix: a row per feature, a column per bar. The formulas are here.

Memory that is used again costs nothing: a fresh matrix of 500 symbols costs more in page faults than its figures in arithmetic.
An average that several features need is computed once.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from core.errors import DataError
from core.frames import FEATURES
from core.sessions import calendar_name, closes_of, sessions_between
from features import indicators as ta
from features import kernels
from features.kernels import DAY, Instants
from features.regime import HIGH_ABOVE, LOW_BELOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from features.kernels import Array

VIX_FEATURES = ("vix", "vix_change_1", "vix_change_5", "vix_high", "vix_low")
PRICE_FEATURES = tuple(name for name in FEATURES if name not in VIX_FEATURES)
VIX_ROWS = slice(len(PRICE_FEATURES), len(FEATURES))  # the VIX features stand last
NEVER = np.iinfo(np.int64).min  # nothing to wait for


class Bars(NamedTuple):
    """Columns of bars, symbol after symbol, each sorted by session; symbol k has rows `starts[k]` to `starts[k + 1]`."""

    symbols: tuple[str, ...]
    starts: tuple[int, ...]
    sessions: Instants
    high: Array
    low: Array
    close: Array
    volume: Array

    def parts(self) -> Iterator[tuple[str, slice]]:
        """Yield each symbol with its rows."""
        for symbol, start, end in zip(self.symbols, self.starts, self.starts[1:], strict=False):
            yield symbol, slice(start, end)


class Sessions(NamedTuple):
    """The sessions of one calendar: close (UTC, ns), VIX features, and when those were known."""

    name: str
    first_day: int
    slot_of_day: Instants
    closes: Instants
    vix: Array
    vix_known: Instants


def columns_of(bars: pd.DataFrame) -> Bars:
    """Return the columns of a checked `BARS` frame, without copies."""
    names = bars["symbol"].to_numpy()
    starts = [0]
    while starts[-1] < len(names):
        starts.append(bisect_right(names, names[starts[-1]], starts[-1]))
    symbols = tuple(str(names[start]) for start in starts[:-1])
    sessions = bars["session"].to_numpy().view(np.int64)
    high, low, close, volume = (bars[name].to_numpy(dtype="float64") for name in ("high", "low", "close", "volume"))
    return Bars(symbols, tuple(starts), sessions, high, low, close, volume)


def sessions_of(name: str, first: pd.Timestamp, last: pd.Timestamp, vix: Array, known: pd.Series[int]) -> Sessions:
    """Return the table of a calendar from one session to another.

    Parameters
    ----------
    vix
        VIX features, shape (5, len(known)).
    known
        When each was known (UTC, ns), by session; NaN and `NEVER` on sessions that it lacks.
    """
    days = sessions_between(first, last, name)
    numbers = days.as_unit("ns").to_numpy().view(np.int64) // DAY
    slot_of_day = np.full(int(numbers[-1] - numbers[0]) + 1 if len(days) else 0, -1, dtype=np.int64)
    slot_of_day[numbers - numbers[:1]] = np.arange(len(days))
    at = known.index.get_indexer(days)
    levels = np.where(at >= 0, np.column_stack([vix, np.full(len(vix), np.nan)])[:, at], np.nan)
    known_at = np.where(at >= 0, np.append(known.to_numpy(dtype=np.int64), NEVER)[at], NEVER)
    closes = nanoseconds(closes_of(days, name))
    return Sessions(name, int(numbers[0]) if len(days) else 0, slot_of_day, closes, levels, known_at)


def nanoseconds(instants: pd.DatetimeIndex) -> Instants:
    """Return aware instants as nanoseconds UTC."""
    return instants.as_unit("ns").tz_convert("UTC").tz_localize(None).to_numpy().view(np.int64)


def slots_of(symbol: str, sessions: Instants, table: Sessions) -> Instants:
    """Return the position of each session in the table; a bar on any other day is an error."""
    slots = np.empty(len(sessions), dtype=np.int64)
    wrong = kernels.slots_of(sessions, table.first_day, table.slot_of_day, slots)
    if wrong >= 0:
        day = np.datetime64(int(sessions[wrong]), "ns").astype("datetime64[m]")
        raise DataError(f"{symbol}: expected bars on {table.name} sessions only, found one on {day}. Correct or remove it.")
    return slots


def fill_features(bars: Bars, tables: dict[str, Sessions], out: Array) -> None:
    """Write every feature of every symbol.

    Parameters
    ----------
    bars
        Columns of T bars.
    tables
        The sessions of each calendar in use, by its name.
    out
        Shape (len(FEATURES), T), rows in the order of `FEATURES`; may be the memory of an earlier call.
    """
    for symbol, rows in bars.parts():
        table = tables[calendar_name(symbol)]
        fill_prices(bars.high[rows], bars.low[rows], bars.close[rows], bars.volume[rows], out[: VIX_ROWS.start, rows])
        kernels.gather(table.vix, slots_of(symbol, bars.sessions[rows], table), out[VIX_ROWS, rows])


def fill_prices(high: Array, low: Array, close: Array, volume: Array, out: Array) -> None:
    """Write the features that need one symbol's bars alone, shape (len(PRICE_FEATURES), T); scale-free.

    Prices are divided by the first close before anything else.
    """
    first_close = close[0]
    high, low, close = high / first_close, low / first_close, close / first_close
    row = dict(zip(PRICE_FEATURES, out, strict=True))
    row["rsi_14"][:] = ta.rsi(close)
    for name, values in zip(("macd_pct", "macd_signal_pct", "macd_hist_pct"), ta.macd(close), strict=True):
        kernels.divide(values, close, row[name])
    kernels.directional_movement(high, low, close, 14, ta.TIE, row["plus_di_14"], row["minus_di_14"], row["adx_14"])
    _fill_ranges(high, low, close, row)
    _fill_averages(close, volume, row)
    _fill_growth(close, row)


def _fill_ranges(high: Array, low: Array, close: Array, row: dict[str, Array]) -> None:
    atr_14, atr_20 = ta.atr(high, low, close, 14), ta.atr(high, low, close, 20)
    kernels.divide(atr_14, close, row["atr_14_pct"])
    kernels.divide(atr_20, close, row["atr_20_pct"])
    kernels.divide(atr_14, atr_20, row["atr_ratio_14_20"])


def _fill_averages(close: Array, volume: Array, row: dict[str, Array]) -> None:
    """Bands, distances from averages and the trend; two deviations reach from the middle to a band, as in `ta.bollinger`."""
    mean, deviation = ta.sma(close, 20), ta.deviation(close, 20)
    reach = 2 * deviation
    kernels.band_position(close, mean, reach, row["bb_position_20"])
    kernels.band_width(mean, reach, row["bb_width_20"])
    kernels.band_position(close, ta.ema(close, 20), reach, row["bb_ema_position_20"])
    kernels.standardise(close, mean, deviation, row["zscore_20"])
    kernels.standardise(close, ta.sma(close, 60), ta.deviation(close, 60), row["zscore_60"])
    kernels.divide(close, mean, row["price_vs_sma_20"])
    row["price_vs_sma_20"] -= 1
    kernels.divide(volume, ta.sma(volume, 20), row["volume_ratio_20"])
    kernels.exceeds(close, ta.sma(close, 50), 1 + ta.TIE, row["uptrend_50"])


def _fill_growth(close: Array, row: dict[str, Array]) -> None:
    row["return_1"][:] = ta.simple_return(close)
    row["volatility_20"][:] = ta.volatility(close)
    logs = np.log(close)
    for sessions in (3, 5, 9, 14):
        row[f"slope_{sessions}"][:] = ta.slope(logs, sessions)


def vix_rows(level: Array) -> Array:
    """Return the VIX features of consecutive XNYS sessions, shape (5, T); changes are fractions over sessions."""
    changes = ta.simple_return(level, 1), ta.simple_return(level, 5)
    return np.stack([level, *changes, ta.above(level, HIGH_ABOVE), ta.above(LOW_BELOW, level)])
