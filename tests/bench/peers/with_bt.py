"""Time bt on the four rules' entries and exits: `with_bt.py BARS.npz TIMES`. Runs in .venv-peers.

bt rebalances to weights at closes: it has no stop, target or time limit, so it does less than the others.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import bt
import numpy as np
import pandas as pd
from rules import COMMISSION, RULES, best_seconds, load, say

warnings.simplefilter("ignore")


def held(entry: Any, leave: Any) -> Any:
    """1.0 from an entry to the exit after it, else 0.0."""
    state = np.where(leave, 0.0, np.where(entry, 1.0, np.nan))
    return pd.Series(state).ffill().fillna(0.0).to_numpy()


def one(bar: dict[str, Any], index: pd.DatetimeIndex, rule: Any) -> int:
    found, prices = rule(bar), pd.DataFrame({"close": bar["close"]}, index=index)
    weights = pd.DataFrame({"close": held(found.entry, found.leave)}, index=index)
    strategy = bt.Strategy("rule", [bt.algos.WeighTarget(weights), bt.algos.Rebalance()])
    test = bt.Backtest(strategy, prices, commissions=lambda q, p: abs(q) * p * COMMISSION, progress_bar=False)
    result = bt.run(test, progress_bar=False)
    return len(result.get_transactions()) // 2


def main() -> None:
    bars, sessions = load(sys.argv[1])
    index = pd.DatetimeIndex(sessions)

    def run() -> int:
        return sum(one(bar, index, rule) for bar in bars for rule in RULES.values())

    wall, seconds, trades = best_seconds(run, int(sys.argv[2]))
    say(wall=wall, seconds=seconds, runs=len(bars) * len(RULES), trades=trades, version=bt.__version__)


if __name__ == "__main__":
    main()
