"""Time backtesting.py on the four rules: `with_backtesting.py BARS.npz TIMES`. Runs in .venv-peers."""

from __future__ import annotations

import sys
import warnings

import backtesting
import numpy as np
import pandas as pd
from rules import COMMISSION, RULES, SLIPPAGE, best_seconds, load, say

warnings.simplefilter("ignore")


class Ruled(backtesting.Strategy):
    """Enter and leave at the next open, with stop, target and time limit."""

    rule = None

    def init(self) -> None:
        found = self.rule({name.lower(): np.asarray(getattr(self.data, name)) for name in ("Open", "High", "Low", "Close")})
        self.limit, self.stop, self.target = found.limit, found.stop, found.target
        self.entry, self.leave = np.asarray(found.entry), np.asarray(found.leave)

    def next(self) -> None:
        i = len(self.data) - 1
        if self.position:
            held = i - self.trades[-1].entry_bar + 1
            if self.leave[i] or 0 < self.limit <= held:
                self.position.close()
        elif self.entry[i]:
            price = self.data.Close[-1]
            stop = None if np.isnan(self.stop) else price * (1 - self.stop)
            target = None if np.isnan(self.target) else price * (1 + self.target)
            self.buy(sl=stop, tp=target)


def main() -> None:
    bars, sessions = load(sys.argv[1])
    frames = [pd.DataFrame({k.capitalize(): v for k, v in bar.items()} | {"Volume": 1e6}, index=sessions) for bar in bars]

    def run() -> int:
        trades = 0
        for frame in frames:
            for rule in RULES.values():
                test = backtesting.Backtest(
                    frame, Ruled, cash=100_000, commission=COMMISSION, spread=SLIPPAGE, finalize_trades=True
                )
                trades += int(test.run(rule=staticmethod(rule).__func__)["# Trades"])
        return trades

    wall, seconds, trades = best_seconds(run, int(sys.argv[2]))
    say(wall=wall, seconds=seconds, runs=len(bars) * len(RULES), trades=trades, version=backtesting.__version__)


if __name__ == "__main__":
    backtesting.backtesting._tqdm = lambda items, **_: items  # no progress bar
    main()
