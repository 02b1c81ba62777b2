"""Time vectorbt on 10,000 exits of one rule on one symbol: `with_vectorbt_sweep.py BARS.npz TIMES CHUNK [HALF]`.

Runs in .venv-peers. Its Rust engine is twice as fast here as its numba engine. The points go through in chunks of columns,
which is its fastest way and bounds its memory; HALF is 0 or 1 for a process that does one half. The time limit is the sale so
many sessions after any entry signal, as in `with_vectorbt`.
"""

from __future__ import annotations

import itertools
import resource
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt
from rules import COMMISSION, SLIPPAGE, best_seconds, bollinger, load, say
from with_vectorbt import at_next

warnings.simplefilter("ignore")

STOPS, TARGETS, LIMITS = np.linspace(0.5, 5, 25), np.linspace(0.5, 8, 20), range(1, 21)


def sweep(bar: dict[str, Any], index: pd.DatetimeIndex, chunk: int, half: slice) -> int:
    """Trades, equity and metrics of the points."""
    rule = bollinger(bar)
    close, opens = pd.Series(bar["close"], index=index), bar["open"]
    entries = at_next(rule.entry)
    leave = {limit: at_next(rule.leave) | at_next(rule.entry, limit + 1) for limit in LIMITS}
    points, trades = list(itertools.product(STOPS, TARGETS, LIMITS))[half], 0
    for i in range(0, len(points), chunk):
        part = points[i : i + chunk]
        shape = (len(close), len(part))

        def wide(values: Any, shape: tuple[int, int] = shape) -> Any:
            return np.broadcast_to(values[:, None], shape)

        portfolio = vbt.Portfolio.from_signals(
            pd.DataFrame(wide(bar["close"]), index=index), open=wide(opens), high=wide(bar["high"]), low=wide(bar["low"]),
            entries=wide(entries), exits=np.column_stack([leave[limit] for _, _, limit in part]), price=wide(opens),
            sl_stop=np.array([[stop / 100 for stop, _, _ in part]]),
            tp_stop=np.array([[target / 100 for _, target, _ in part]]),
            fees=COMMISSION, slippage=SLIPPAGE, init_cash=100_000.0, freq="1D", stop_entry_price="fillprice", engine="rust",
        )  # fmt: skip
        deals = portfolio.trades
        figures = (
            portfolio.total_return(), portfolio.sharpe_ratio(), portfolio.max_drawdown(), deals.count(), deals.win_rate(),
            deals.profit_factor(),
        )  # fmt: skip
        trades += int(figures[3].sum())
    return trades


def main() -> None:
    bars, sessions = load(sys.argv[1])
    times, chunk, *rest = map(int, sys.argv[2:])
    half = slice(rest[0], None, 2) if rest else slice(None)
    index = pd.DatetimeIndex(sessions)
    wall, seconds, trades = best_seconds(lambda: sweep(bars[0], index, chunk, half), times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(wall=wall, seconds=seconds, engine="rust", peak_mb=peak, trades=trades, version=vbt.__version__)


if __name__ == "__main__":
    main()
