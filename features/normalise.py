"""Normalised prices: the close with its moving average, standard deviation and z-score. For people and charts.

Models read the scale-free features of `features.build` instead.
"""

from __future__ import annotations

import pandas as pd

from features import indicators as ta

SESSIONS = 20


def normalise(bars: pd.DataFrame) -> pd.DataFrame:
    """Return columns symbol, session, close, sma_20, std_20 (population) and zscore_20 by bar; NaN in the first 19 of a symbol.

    Parameters
    ----------
    bars
        BARS; prices and results are in the symbol's currency.

    >>> bars = pd.DataFrame({"symbol": "AAA", "session": pd.bdate_range("2024-01-01", periods=20), "close": range(1, 21)})
    >>> normalise(bars)[["sma_20", "std_20", "zscore_20"]].iloc[-1].round(4).tolist()
    [10.5, 5.7663, 1.6475]
    """
    parts = [_one_symbol(group) for _, group in bars.groupby("symbol", sort=True)]
    return pd.concat(parts, ignore_index=True)


def _one_symbol(bars: pd.DataFrame) -> pd.DataFrame:
    close = bars["close"].to_numpy(dtype="float64")
    bands = ta.bollinger(close)
    return bars[["symbol", "session", "close"]].assign(
        sma_20=bands.middle, std_20=(bands.upper - bands.middle) / 2, zscore_20=ta.zscore(close, SESSIONS)
    )
