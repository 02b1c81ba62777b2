"""The four rules of the comparison for the peers: bare TA-Lib on arrays of one symbol. Runs in .venv-peers; knows no engine."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import talib

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COMMISSION, SLIPPAGE = 1e-4, 2e-4  # fractions, those of `trading.costs.Costs`
NEVER = 0  # no time limit


class Rule(NamedTuple):
    """Entries and exits decided at each close, (bars,); stop and target as fractions, NaN = none; time limit in sessions."""

    entry: Any
    leave: Any
    stop: float
    target: float
    limit: int


def bollinger(bar: Mapping[str, Any]) -> Rule:
    """`bollinger:as_specified`."""
    close = bar["close"]
    _, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    return Rule(close < lower, close >= middle, 0.008, 0.015, 2)


def rsi(bar: Mapping[str, Any]) -> Rule:
    """`rsi:as_specified`."""
    index = talib.RSI(bar["close"], 14)
    return Rule(index < 25, index > 50, 0.01, 0.02, 3)


def zscore(bar: Mapping[str, Any]) -> Rule:
    """`zscore:as_specified`."""
    high, low, close = bar["high"], bar["low"], bar["close"]
    z = (close - talib.SMA(close, 60)) / talib.STDDEV(close, 60)
    index, adx, broken = talib.RSI(close, 14), talib.ADX(high, low, close, 14), np.abs(z) >= 3
    entry = (z <= -1) & ~broken & (index >= 30) & (index <= 70) & (adx < 30)
    return Rule(entry, (z >= -0.5) | broken, np.nan, np.nan, NEVER)


def trend(bar: Mapping[str, Any]) -> Rule:
    """`trend:as_specified`."""
    close = bar["close"]
    fast, slow = talib.EMA(close, 15), talib.EMA(close, 100)
    adx = talib.ADX(bar["high"], bar["low"], close, 14)
    return Rule((fast > slow) & (adx >= 20), fast < slow, np.nan, np.nan, NEVER)


RULES = {"bollinger": bollinger, "rsi": rsi, "zscore": zscore, "trend": trend}


def load(path: str) -> tuple[list[dict[str, Any]], Any]:
    """Bars by symbol and the sessions, from the file that `compare` wrote."""
    with np.load(path) as file:
        prices = {name: file[name] for name in ("open", "high", "low", "close")}
        sessions = file["sessions"].astype("datetime64[ns]")
    return [{name: values[s] for name, values in prices.items()} for s in range(len(prices["open"]))], sessions


def best_seconds(run: Callable[[], Any], times: int) -> tuple[float, float, Any]:
    """Seconds on the wall and of the processor of the fastest of so many runs, and what a run gave.

    A run before them warms up, unless one run is asked for: what takes seconds in plain Python needs none.
    """
    outcome = run() if times > 1 else None
    wall, processor = [], []
    for _ in range(times):
        started, busy = time.perf_counter(), time.process_time()
        outcome = run()
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - busy)
    return min(wall), min(processor), outcome


def say(**figures: Any) -> None:
    """Hand figures to `compare`, as the last line of the output."""
    sys.stdout.write(json.dumps(figures) + "\n")
