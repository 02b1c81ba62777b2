"""Time backtrader on the four rules: `with_backtrader.py BARS.npz TIMES`. Runs in .venv-peers."""

from __future__ import annotations

import sys
from typing import Any

import backtrader
import numpy as np
import pandas as pd
from rules import COMMISSION, RULES, SLIPPAGE, best_seconds, load, say


class Ruled(backtrader.Strategy):
    """Enter and leave at the next open; stop and target are orders of which one cancels the other."""

    params = (("rule", None),)

    def start(self) -> None:
        self.pending: Any = None
        self.brackets: list[Any] = []
        self.entered = -1
        self.count = 0

    def notify_order(self, order: Any) -> None:
        if order.status != order.Completed:
            return
        if order.isbuy():
            self.entered, self.pending = len(self) - 1, None
            price, rule = order.executed.price, self.p.rule
            if not np.isnan(rule.stop):
                stop = self.sell(size=order.executed.size, exectype=backtrader.Order.Stop, price=price * (1 - rule.stop))
                target = self.sell(
                    size=order.executed.size, exectype=backtrader.Order.Limit, price=price * (1 + rule.target), oco=stop
                )
                self.brackets = [stop, target]
        else:
            self.count += 1
            self.pending, self.brackets = None, []

    def next(self) -> None:
        i, rule = len(self) - 1, self.p.rule
        if self.position:
            due = 0 < rule.limit <= i - self.entered + 1
            if self.pending is None and (rule.leave[i] or due):
                for order in self.brackets:
                    self.cancel(order)
                self.pending = self.close()
        elif self.pending is None and rule.entry[i]:
            self.pending = self.buy(size=int(0.9 * self.broker.getvalue() / self.data.close[0]))


def one(frame: pd.DataFrame, bar: dict[str, Any], rule: Any) -> int:
    cerebro = backtrader.Cerebro(stdstats=False)
    cerebro.adddata(backtrader.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(Ruled, rule=rule(bar))
    cerebro.broker.setcash(100_000)
    cerebro.broker.setcommission(commission=COMMISSION)
    cerebro.broker.set_slippage_perc(SLIPPAGE)
    for analyser in ("TimeReturn", "SharpeRatio_A", "DrawDown", "TradeAnalyzer", "Returns"):
        cerebro.addanalyzer(getattr(backtrader.analyzers, analyser))
    return int(cerebro.run()[0].count)


def main() -> None:
    bars, sessions = load(sys.argv[1])
    index = pd.DatetimeIndex(sessions)
    frames = [pd.DataFrame({**bar, "volume": 1e6}, index=index) for bar in bars]

    def run() -> int:
        return sum(one(frame, bar, rule) for frame, bar in zip(frames, bars, strict=True) for rule in RULES.values())

    wall, seconds, trades = best_seconds(run, int(sys.argv[2]))
    runs = len(bars) * len(RULES)
    say(wall=wall, seconds=seconds, runs=runs, trades=trades, version=backtrader.__version__)


if __name__ == "__main__":
    main()
