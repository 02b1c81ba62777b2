"""Time vectorbt on the four rules, all columns at once: `with_vectorbt.py BARS.npz TIMES six|same`. Runs in .venv-peers.

Every way it offers is timed and the fastest counts: its numba and its Rust engine. It has no time limit; the sale so many
sessions after any entry signal stands for one, which costs it nothing in the loop.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt
from rules import COMMISSION, NEVER, RULES, SLIPPAGE, best_seconds, load, say

warnings.simplefilter("ignore")


def at_next(mask: Any, later: int = 1) -> Any:
    """The mask so many bars later."""
    moved = np.zeros_like(mask)
    moved[later:] = mask[:-later]
    return moved


def signals(bars: list[dict[str, Any]]) -> dict[str, Any]:
    """Entries, exits, stops and targets, (bars, columns); decided at a close, filled at the next open."""
    found = [rule(bar) for bar in bars for rule in RULES.values()]
    leave = []
    for one in found:
        exits = at_next(one.leave)
        leave.append(exits if one.limit == NEVER else exits | at_next(one.entry, one.limit + 1))
    return {
        "entries": np.column_stack([at_next(one.entry) for one in found]),
        "exits": np.column_stack(leave),
        "sl_stop": np.array([[one.stop for one in found]]),
        "tp_stop": np.array([[one.target for one in found]]),
    }


def six(portfolio: Any) -> Any:
    """The figures most often asked for; the last is the number of trades."""
    deals = portfolio.trades
    _ = portfolio.total_return(), portfolio.sharpe_ratio(), portfolio.max_drawdown(), deals.win_rate(), deals.profit_factor()
    return deals.count()


def same(portfolio: Any) -> Any:
    """The figures of `backtest.metrics`; the last is the number of trades."""
    deals = portfolio.trades
    _ = (
        portfolio.final_value(), portfolio.annualized_return(), portfolio.annualized_volatility(), portfolio.sortino_ratio(),
        portfolio.gross_exposure().mean(), deals.returns.mean(), deals.winning.returns.mean(), deals.losing.returns.mean(),
        deals.duration.mean(), portfolio.orders.fees.sum(),
    )  # fmt: skip
    return six(portfolio)


FIGURES = {"six": six, "same": same}


def run(bars: list[dict[str, Any]], sessions: Any, engine: str, figures: str) -> int:
    """Signals, trades, equity and metrics of all columns."""
    prices = {name: np.column_stack([bar[name] for bar in bars for _ in RULES]) for name in ("open", "high", "low", "close")}
    index = pd.DatetimeIndex(sessions)
    portfolio = vbt.Portfolio.from_signals(
        pd.DataFrame(prices.pop("close"), index=index), **prices, **signals(bars), price=prices["open"], fees=COMMISSION,
        slippage=SLIPPAGE, init_cash=100_000.0, freq="1D", stop_entry_price="fillprice", engine=engine,
    )  # fmt: skip
    value, trades = portfolio.value(), FIGURES[figures](portfolio)
    return int(trades.sum()) if len(value) else 0


def main() -> None:
    bars, sessions = load(sys.argv[1])
    seconds = {}
    for engine in ("numba", "rust"):
        _, seconds[engine], trades = best_seconds(
            lambda engine=engine: run(bars, sessions, engine, sys.argv[3]), int(sys.argv[2])
        )
    fastest = min(seconds, key=seconds.__getitem__)
    say(
        seconds=seconds[fastest], engine=fastest, by_engine=seconds, runs=len(bars) * len(RULES),
        trades=trades, version=vbt.__version__,
    )  # fmt: skip


if __name__ == "__main__":
    main()
