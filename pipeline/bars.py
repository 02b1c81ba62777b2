"""Stored bars as features, strategies and backtests take them: whole, by symbol with the VIX, one close, returns."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, Protocol

from features.regime import with_vix

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from storage.market.bars import BarStore

VIX: Final = "^VIX"
CALENDAR_DAYS_PER_SESSION: Final = 1.6  # an upper bound, holidays included
RECENT = dt.timedelta(days=31)


class ReadableBars(Protocol):
    """Bars that are read by symbol and date: the store's, or those that a research dataset pins."""

    def read(
        self, symbols: Sequence[str] | None = None, start: dt.date | None = None, end: dt.date | None = None
    ) -> pd.DataFrame:
        """Return BARS and known_at, both dates included."""


def load_bars(bars: ReadableBars, session: str, symbols: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the bars of the symbols and the bars of the VIX up to `session`, each with `known_at`."""
    end = dt.date.fromisoformat(session)
    return bars.read(list(symbols), end=end), bars.read([VIX], end=end)


def bars_by_symbol(bars: ReadableBars, session: str, symbols: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return the bars of each symbol up to `session`, with the VIX known at each close."""
    frame, vix = load_bars(bars, session, symbols)
    return {str(symbol): with_vix(group.reset_index(drop=True), vix) for symbol, group in frame.groupby("symbol")}


def close_at(bars: BarStore, symbol: str, day: dt.date) -> float | None:
    """Return the newest close of a symbol at or before a day, at most a month old; None when there is none."""
    frame = bars.read([symbol], start=day - RECENT, end=day)
    return None if frame.empty else float(frame.sort_values("session")["close"].iloc[-1])


def mark_at(bars: BarStore, symbol: str, day: dt.date) -> float | None:
    """Return the newest close of a symbol at or before a day, however old; None when there never was one."""
    return bars.last_closes([symbol], day).get(symbol, (day, None))[1]


def window_returns(bars: BarStore, symbols: list[str], end: dt.date, sessions: int) -> pd.DataFrame:
    """Return the returns of the last sessions, one column a symbol; a symbol without bars in the window has NaN."""
    days = int(sessions * CALENDAR_DAYS_PER_SESSION) + 10
    rows = bars.read(symbols, start=end - dt.timedelta(days=days), end=end)
    closes = rows.pivot(index="session", columns="symbol", values="close").reindex(columns=symbols)
    return closes.pct_change(fill_method=None).tail(sessions)
