"""Infer the size of bars from their spacing: a folder of daily bars may hold weekly or monthly ones by mistake.

Bars of longer periods leave a pattern that days without trades do not: one bar in each week (month, quarter, year), never two,
at the same place in it. Two bars on consecutive sessions now and then are enough to call bars daily, however many sessions are
missing, unless the bars of a whole year have the pattern. Few bars prove nothing: what looks like longer bars then is doubtful,
and a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from core.sessions import calendar_name, sessions_between

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DAILY = 0.1  # share of bars one session after the last from which on bars are daily with gaps
_REGULAR = 0.8  # share of the steps between bars that must have the same size
_DOUBTFUL = 3  # bars from which on a pattern is worth a warning


@dataclass(frozen=True)
class _Period:
    """One bar a period: days from its start by which a label may differ from the usual one, and how often it must not."""

    name: str
    code: str
    tolerance_days: int
    share: float
    certain: int


_PERIODS: Final = (
    _Period("weekly", "W-SUN", 0, 0.6, 6),
    _Period("monthly", "M", 3, 0.75, 4),
    _Period("quarterly", "Q", 6, 0.75, 4),
    _Period("yearly", "Y", 10, 0.75, 4),
)
_CERTAIN_STEPS = 10  # bars from which on an even step of several sessions is no accident


@dataclass(frozen=True)
class LongBars:
    """Bars that are not daily: what they look like, and whether that is certain."""

    found: str
    certain: bool

    def __str__(self) -> str:
        return f"expected daily bars, found {self.found}"


def long_bars(sessions: pd.DatetimeIndex, exchange: str) -> LongBars | None:
    """Return the bars' size when it is longer than a session; None for daily bars, with gaps or without.

    >>> fridays = pd.date_range("2021-01-01", periods=30, freq="W-FRI")
    >>> str(long_bars(fridays, "XNYS"))
    'expected daily bars, found weekly ones (30 bars from 2021-01-01 to 2021-07-23, 5 sessions apart)'
    >>> long_bars(pd.bdate_range("2021-01-04", periods=30), "XNYS")
    """
    days = pd.DatetimeIndex(sessions.dropna().unique()).sort_values()
    whole = _long_bars(days, exchange)
    if whole is not None:
        return whole
    if len(days) < _DOUBTFUL:
        return None
    daily = pd.Series(_steps(days, exchange) <= 1).groupby(days.year[1:]).mean()
    years = [days[days.year == year] for year in daily.index[daily <= _DAILY]]
    parts = [_long_bars(year, exchange) for year in years if len(year) >= _CERTAIN_STEPS]
    return next((part for part in parts if part is not None and part.certain), None)


def long_bars_by_symbol(bars: pd.DataFrame) -> dict[str, LongBars]:
    """Return the symbols of a frame (`symbol`, `session`) whose bars are not daily."""
    sizes = {
        str(symbol): long_bars(pd.DatetimeIndex(days), calendar_name(str(symbol)))
        for symbol, days in bars.groupby("symbol")["session"]
    }
    return {symbol: size for symbol, size in sizes.items() if size is not None}


def _long_bars(days: pd.DatetimeIndex, exchange: str) -> LongBars | None:
    if len(days) < _DOUBTFUL:
        return None
    steps = _steps(days, exchange)
    if np.mean(steps <= 1) > _DAILY:
        return None
    apart = int(np.median(steps))
    where = f"({len(days)} bars from {days[0].date()} to {days[-1].date()}, {apart} sessions apart)"
    for period in _PERIODS:
        if _one_a_period(days, period):
            return LongBars(f"{period.name} ones {where}", len(days) >= period.certain)
    if np.mean(steps == apart) >= _REGULAR and len(days) >= _CERTAIN_STEPS // 2:
        return LongBars(f"one every {apart} sessions {where}", len(days) >= _CERTAIN_STEPS)
    return None


def _steps(days: pd.DatetimeIndex, exchange: str) -> NDArray[np.int64]:
    """Return how many sessions lie from each bar to the next."""
    return np.diff(np.searchsorted(sessions_between(days[0].date(), days[-1].date(), exchange), days))


def _one_a_period(days: pd.DatetimeIndex, period: _Period) -> bool:
    if days[-1].to_period(period.code) == days[-2].to_period(period.code):
        days = days[:-1]  # sources add the day so far to the period that is running
    periods = days.to_period(period.code)
    steps = np.diff(periods.astype("int64"))
    if (steps < 1).any() or np.mean(steps == 1) < _REGULAR:
        return False
    place: NDArray[np.int64] = (days - periods.start_time).days.to_numpy()
    return bool(np.mean(np.abs(place - np.median(place)) <= period.tolerance_days) >= period.share)
