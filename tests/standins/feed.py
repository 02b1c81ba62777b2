"""A provider that serves whatever bars a test puts into it, bad ones included."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.frames import ACTIONS
from core.sessions import calendar_name, sessions_between
from ingestion.providers.base import Download, select

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence


def walk(symbol: str, start: dt.date, end: dt.date, seed: int = 0) -> pd.DataFrame:
    """Plausible bars of one symbol: a random walk of one per cent a session."""
    days = sessions_between(start, end, calendar_name(symbol))
    rng = np.random.default_rng([seed, *symbol.encode()])
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(days))))
    open_ = close * np.exp(rng.normal(0, 0.003, len(days)))
    return pd.DataFrame(
        {
            "symbol": symbol,
            "session": days,
            "open": open_,
            "high": np.maximum(open_, close) * 1.004,
            "low": np.minimum(open_, close) * 0.996,
            "close": close,
            "adj_close": close,
            "volume": rng.integers(100_000, 200_000, len(days)).astype("float64"),
        }
    )


@dataclass
class Feed:
    """Serves `table`; what it does not hold has failed, as with a real source."""

    table: pd.DataFrame
    actions: pd.DataFrame = field(default_factory=ACTIONS.empty)
    name: str = "feed"
    default_universe: tuple[str, ...] = ("AAA", "BBB")
    asked: list[tuple[tuple[str, ...], dt.date, dt.date]] = field(default_factory=list)

    def fetch(self, symbols: Sequence[str], start: dt.date, end: dt.date) -> Download:
        """See `ingestion.providers.base.Provider.fetch`; bars after `end` are served too, as a careless source would."""
        self.asked.append((tuple(symbols), start, end))
        found = select(self.table, symbols, start, max(end, self.table["session"].max().date()), where="the feed")
        bars = found.bars.sort_values(["symbol", "session"], kind="stable", ignore_index=True)
        return Download(bars=bars, actions=self.actions, failed=found.failed)


def swinging(symbol: str, start: dt.date, end: dt.date, seed: int = 0) -> pd.DataFrame:
    """Bars of one symbol that come back to 100 after a fall, so that reversion earns."""
    bars = walk(symbol, start, end, seed=seed)
    noise, level = np.random.default_rng([seed, 1]).normal(0, 0.02, len(bars)), np.zeros(len(bars))
    for t in range(1, len(bars)):
        level[t] = 0.8 * level[t - 1] + noise[t]
    close = 100 * np.exp(level)
    open_ = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998
    return bars.assign(open=open_, high=high, low=low, close=close, adj_close=close)
