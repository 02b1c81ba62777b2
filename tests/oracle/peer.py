"""The same strategy on the same bars, here and in backtesting.py, and why a trade may differ. Owns the named rules.

backtesting.py runs in `.venv-peers`, which `make peers` creates, and computes the indicators itself. Costs are zero on both
sides.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backtest.engine import backtest
from ingestion.providers.files import FilesProvider
from trading.costs import Costs
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "data"
PEER = ROOT / ".venv-peers" / "bin" / "python"
SYMBOLS = ("AAPL", "SPY", "TQQQ")
CLOSE_TO = 1e-9  # of a price

CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("bollinger:as_specified", {}),
    ("bollinger:as_specified", {"band_sessions": 10, "deviations": 1.5, "stop_pct": 4.0, "target_pct": 6.0, "max_sessions": 7}),
    ("rsi:as_specified", {}),
)

RULES: Mapping[str, str] = {
    "first bar": "backtesting.py leaves out one bar after the indicators' warm-up; an entry decided on it is ours alone",
    "end of data": "both close what is open on the last bar, ours at its close and backtesting.py at its open",
}

Trade = tuple[int, int, float, float]  # bars of entry and exit, and their prices


@dataclass
class Comparison:
    """One strategy on one symbol: how many trades were equal, and the others by the rule that explains them."""

    strategy: str
    symbol: str
    bars: int
    ours: int
    theirs: int
    equal: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[tuple[Trade | None, Trade | None]] = field(default_factory=list)


def corpus_bars(symbols: Sequence[str] = SYMBOLS) -> dict[str, pd.DataFrame]:
    """BARS with `vix` of the real data folder, 2010 to 2021, by symbol."""
    found = FilesProvider(CORPUS).fetch(symbols, dt.date(2010, 1, 1), dt.date(2021, 12, 31)).bars
    return {str(symbol): group.reset_index(drop=True).assign(vix=20.0) for symbol, group in found.groupby("symbol")}


def compare(name: str, params: Mapping[str, Any], bars: pd.DataFrame, theirs_on: pd.DataFrame | None = None) -> Comparison:
    """Trade one symbol on both sides and pair the trades by their entry; other bars for the peer are for a test of this."""
    symbol, last = str(bars["symbol"].iloc[0]), len(bars) - 1
    strategy = make_strategy(name, params)
    ours, first = our_trades(strategy, bars)
    theirs = their_trades(strategy.name, strategy.describe(), bars if theirs_on is None else theirs_on)
    result = Comparison(name if not params else f"{name}, other parameters", symbol, len(bars), len(ours), len(theirs))
    by_entry, other = {trade[0]: trade for trade in ours}, {trade[0]: trade for trade in theirs}
    for entry in sorted({*by_entry, *other}):
        mine, peer = by_entry.get(entry), other.get(entry)
        if mine and peer and mine[:2] == peer[:2] and np.allclose(mine[2:], peer[2:], rtol=CLOSE_TO, atol=0):
            result.equal += 1
        elif rule := why(mine, peer, bars, first, last):
            result.explained[rule] += 1
        else:
            result.unexplained.append((mine, peer))
    return result


def why(mine: Trade | None, peer: Trade | None, bars: pd.DataFrame, first: int, last: int) -> str | None:
    """The named rule behind a difference, if one is."""
    if mine and peer is None and mine[0] == first + 1:
        return "first bar"
    if mine and peer and mine[1] == peer[1] == last and (mine[3], peer[3]) == (bars["close"].iloc[-1], bars["open"].iloc[-1]):
        return "end of data"
    return None


def our_trades(strategy: Any, bars: pd.DataFrame) -> tuple[list[Trade], int]:
    """Trades by bar number, and the first bar on which an indicator has a value."""
    trades = backtest({str(bars["symbol"].iloc[0]): bars}, strategy, Costs(0.0, 0.0)).trades
    bar_of = pd.Index(bars["session"])
    entry, exit_ = (bar_of.get_indexer(pd.DatetimeIndex(trades[name])).tolist() for name in ("entry_session", "exit_session"))
    params = strategy.describe()
    first = params["band_sessions"] - 1 if strategy.name == "bollinger" else params["rsi_sessions"]
    return list(zip(entry, exit_, trades["entry_price"].tolist(), trades["exit_price"].tolist(), strict=True)), first


def their_trades(name: str, params: Mapping[str, Any], bars: pd.DataFrame) -> list[Trade]:
    """Trades of backtesting.py by bar number."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bars.npz"
        np.savez(path, **{column.capitalize(): bars[column].to_numpy() for column in ("open", "high", "low", "close")})
        asked = json.dumps({"bars": str(path), "strategy": name, "params": dict(params)})
        script = Path(__file__).with_name("with_backtesting.py")
        done = subprocess.run([str(PEER), str(script)], input=asked, capture_output=True, text=True, check=True, timeout=300)
    return [(int(a), int(b), c, d) for a, b, c, d in json.loads(done.stdout)["trades"]]
