"""Compute the feature frame from bars and VIX: every feature of `core.frames.FEATURES`, with its warm-up. No I/O.

A row labelled with session t is a function of bars 0..t and of VIX up to session t. Prices are divided by the symbol's first
close before anything is computed, so that neither a currency, a split nor a symbol's price level changes a feature.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from core.frames import BARS, FEATURE_FRAME, FEATURES
from core.sessions import calendar_name, closes_of
from features.kernels import newest
from features.matrix import (
    NEVER,
    columns_of,
    fill_features,
    nanoseconds,
    sessions_of,
    slots_of,
    vix_rows,
)
from features.regime import vix_by_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from features.kernels import Instants
    from features.matrix import Bars, Sessions

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
    columns = columns_of(bars)
    tables = session_tables(columns, vix)
    values = np.empty((len(FEATURES), len(bars)))
    fill_features(columns, tables, values)
    known_at = nanoseconds(pd.DatetimeIndex(bars["known_at"])) if "known_at" in bars else None
    event, created = _instants_of(columns, tables, known_at)
    keys = {
        "symbol": bars["symbol"].to_numpy(copy=True),
        "session": bars["session"].to_numpy(copy=True),
        "event_timestamp": _utc(event),
        "created_timestamp": _utc(created),
    }
    # Sorted and typed as the bars were, which have been checked: looking at every row again would cost as much as computing it.
    return pd.concat(
        [pd.DataFrame(keys, copy=False), pd.DataFrame(values.T, columns=list(FEATURES), copy=False)], axis=1, copy=False
    )


def session_tables(bars: Bars, vix: pd.DataFrame | None) -> dict[str, Sessions]:
    """Return the session table of each calendar in these bars, by the calendar's name."""
    levels, vix_known = vix_by_session(vix), _vix_known_at(vix)
    rows = vix_rows(np.asarray(levels, dtype=np.float64))
    first, last = (pd.Timestamp(instant).normalize() for instant in (bars.sessions.min(), bars.sessions.max()))
    names = {calendar_name(symbol) for symbol in bars.symbols}
    return {name: sessions_of(name, first, last, rows, vix_known.reindex(levels.index, fill_value=NEVER)) for name in names}


def _instants_of(bars: Bars, tables: dict[str, Sessions], known_at: Instants | None) -> tuple[Instants, Instants]:
    """Return the close of each bar's session, and when the newest of its row's inputs became known.

    Those are its bars, as far back as they matter, and its VIX.
    """
    event, created = np.empty_like(bars.sessions), np.empty_like(bars.sessions)
    for symbol, rows in bars.parts():
        table = tables[calendar_name(symbol)]
        slots = slots_of(symbol, bars.sessions[rows], table)
        np.take(table.closes, slots, out=event[rows])
        bar_known = event[rows] + PUBLICATION_LAG.value if known_at is None else known_at[rows]
        newest(bar_known, MEMORY_BARS, created[rows])
        np.maximum(created[rows], table.vix_known[slots], out=created[rows])
    return event, created


def _vix_known_at(vix: pd.DataFrame | None) -> pd.Series[int]:
    """Return when the VIX features of each session became known (ns); never before Cboe's last value of the session."""
    if vix is None or vix.empty:
        return pd.Series(dtype="int64", index=pd.DatetimeIndex([]))
    on_sessions = vix[vix["session"].isin(vix_by_session(vix).index)].sort_values("session")
    sessions = pd.DatetimeIndex(on_sessions["session"])
    published = nanoseconds(closes_of(sessions) + VIX_LAG)
    stored = (
        nanoseconds(pd.DatetimeIndex(on_sessions["known_at"]))
        if "known_at" in on_sessions
        else published + PUBLICATION_LAG.value
    )
    latest = np.empty_like(published)
    newest(np.maximum(stored, published), MEMORY_VIX_SESSIONS, latest)
    return pd.Series(latest, index=sessions)


def _utc(instants: Instants) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(instants.view("datetime64[ns]")).tz_localize("UTC")
