"""The bars of every comparison: seeded random walks on real sessions. Owns no clock and no peer."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.sessions import sessions_between

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SESSIONS = 2520
STRATEGIES = ("bollinger:as_specified", "rsi:as_specified", "zscore:as_specified", "trend:as_specified")


def random_bars(symbols: int, sessions: int = SESSIONS, seed: int = 0) -> dict[str, pd.DataFrame]:
    """BARS with `vix` by symbol: 1.5 per cent a session, with gaps and ranges of about half of that."""
    days = sessions_between(dt.date(1990, 1, 2), dt.date(2025, 12, 31))[:sessions]
    found = {}
    for n in range(symbols):
        rng = np.random.default_rng([seed, n])
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.015, sessions)))
        open_ = np.concatenate([[50.0], close[:-1]]) * np.exp(rng.normal(0, 0.004, sessions))
        high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.006, sessions)))
        low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.006, sessions)))
        prices = {"open": open_, "high": high, "low": low, "close": close, "adj_close": close}
        found[f"S{n:03}"] = pd.DataFrame({"symbol": f"S{n:03}", "session": days, **prices, "volume": 1e6, "vix": 20.0})
    return found


def save(bars: Mapping[str, pd.DataFrame], path: Path) -> None:
    """The same bars for the peers, (symbols, sessions)."""
    prices = {name: np.array([frame[name] for frame in bars.values()]) for name in ("open", "high", "low", "close")}
    sessions = next(iter(bars.values()))["session"].to_numpy().astype("datetime64[D]").astype(np.int64)
    np.savez(path, **prices, sessions=sessions.astype("datetime64[D]").astype("datetime64[ns]").astype(np.int64))
