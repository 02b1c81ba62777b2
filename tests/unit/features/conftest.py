"""Bars and VIX for the feature tests: random walks in whole cents on real sessions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.frames import BARS
from core.sessions import sessions_between


def walk(symbol: str, seed: int, rows: int, price: float = 100.0) -> pd.DataFrame:
    """Bars of a random walk with ranges and gaps, in whole cents, so that ties occur as they do in real bars."""
    rng = np.random.default_rng(seed)
    sessions = sessions_between(pd.Timestamp("2015-01-02"), pd.Timestamp("2019-12-31"))[:rows]
    close = price * np.exp(rng.normal(0.0002, 0.012, rows).cumsum())
    start = close * np.exp(rng.normal(0, 0.006, rows))
    high = np.maximum(start, close) * np.exp(np.abs(rng.normal(0, 0.005, rows)))
    low = np.minimum(start, close) * np.exp(-np.abs(rng.normal(0, 0.005, rows)))
    prices = {
        name: values.round(2) for name, values in zip(("open", "high", "low", "close"), (start, high, low, close), strict=True)
    }
    volume = rng.integers(1_000_000, 9_000_000, rows).astype("float64")
    return BARS.coerce(
        pd.DataFrame({"symbol": symbol, "session": sessions, **prices, "adj_close": prices["close"], "volume": volume})
    )


@pytest.fixture(scope="session")
def bars() -> pd.DataFrame:
    """Two symbols, 300 and 260 bars."""
    return BARS.coerce(pd.concat([walk("AAA", 1, 300), walk("BBB", 2, 260, price=7.5)]))


@pytest.fixture(scope="session")
def vix(bars: pd.DataFrame) -> pd.DataFrame:
    """VIX on every session of the bars, moving through all three regimes."""
    sessions = bars["session"].drop_duplicates()
    rng = np.random.default_rng(3)
    return pd.DataFrame({"session": sessions.to_numpy(), "close": (19 * np.exp(rng.normal(0, 0.3, len(sessions)))).round(2)})
