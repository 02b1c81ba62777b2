"""Trade a rule in backtesting.py: a JSON request on stdin, trades as JSON on stdout. Runs in .venv-peers; knows no engine.

The indicators are computed here a second time, with pandas. Stops and targets are percentages of the fill, so they are set on
the order once the fill is known to be the next open.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import backtesting
import numpy as np
import pandas as pd

warnings.simplefilter("ignore")
backtesting.backtesting._tqdm = lambda items, **_: items  # no progress bar


Signals = tuple[pd.Series, pd.Series, pd.Series]  # the indicator, entries, exits


def bollinger(close: pd.Series, params: dict[str, Any]) -> Signals:
    """Bands around the simple average, population standard deviation."""
    window = close.rolling(params["band_sessions"])
    lower = window.mean() - params["deviations"] * window.std(ddof=0)
    return lower, close < lower, close >= window.mean()


def rsi(close: pd.Series, params: dict[str, Any]) -> Signals:
    """Wilder's index, started by plain means."""
    n, change = params["rsi_sessions"], close.diff().to_numpy()
    index = np.full(len(close), np.nan)
    gain, loss = np.maximum(change[1 : n + 1], 0).mean(), np.maximum(-change[1 : n + 1], 0).mean()
    for i in range(n, len(close)):
        if i > n:
            gain, loss = (gain * (n - 1) + max(change[i], 0)) / n, (loss * (n - 1) + max(-change[i], 0)) / n
        index[i] = 100 * gain / (gain + loss) if gain + loss else 0.0
    found = pd.Series(index, index=close.index)
    return found, found < params["oversold"], found > params["recovered"]


RULES = {"bollinger": bollinger, "rsi": rsi}


class Ruled(backtesting.Strategy):
    """One share at the next open after an entry; out at the stop, the target, or the open after a rule or time exit."""

    name: str
    params: dict[str, Any]

    def init(self) -> None:
        close = pd.Series(np.asarray(self.data.Close))
        indicator, self.entry, self.leave = (found.to_numpy() for found in RULES[self.name](close, self.params))
        self.I(lambda: indicator, name=self.name, plot=False)  # declared, so that the library knows the warm-up
        self.opens = np.asarray(self.data.Open)

    def next(self) -> None:
        i = len(self.data) - 1
        if self.position:
            limit = self.params["max_sessions"]
            if self.leave[i] or (limit and i - self.trades[-1].entry_bar + 1 >= limit):
                self.position.close()
        elif self.entry[i] and i + 1 < len(self.opens):
            stop, target = self.params["stop_pct"], self.params["target_pct"]
            self.buy(size=1)._replace(
                sl_price=self.opens[i + 1] * (1 - stop / 100) if stop else None,
                tp_price=self.opens[i + 1] * (1 + target / 100) if target else None,
            )


def main() -> None:
    asked = json.load(sys.stdin)
    with np.load(asked["bars"]) as file:
        frame = pd.DataFrame({name: file[name] for name in ("Open", "High", "Low", "Close")})
    frame.index = pd.date_range("2000-01-01", periods=len(frame))  # bars are counted, not dated
    Ruled.name, Ruled.params = asked["strategy"], asked["params"]
    test = backtesting.Backtest(frame, Ruled, cash=1e12, commission=0.0, finalize_trades=True)
    trades = test.run()._trades
    columns = ["EntryBar", "ExitBar", "EntryPrice", "ExitPrice"]
    sys.stdout.write(json.dumps({"version": backtesting.__version__, "trades": trades[columns].to_numpy().tolist()}))


if __name__ == "__main__":
    main()
