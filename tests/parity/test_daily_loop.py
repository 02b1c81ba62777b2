"""The desk's promise: the daily path with the paper broker makes the backtest's trades and equity, to the cent.

Each strategy lives through its sessions one by one, sees no bar after the present one, and is then compared with the backtest.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pytest

from backtest.engine import backtest
from core.sessions import sessions_between
from pipeline.signals import signals_of
from tests.standins.feed import walk
from tests.standins.memory_book import MemoryBook
from trading.brokers.paper import PaperBroker
from trading.brokers.placing import place
from trading.costs import Costs
from trading.decide import Holdings, decide
from trading.portfolio import trades_of
from trading.risk import Limits
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from trading.strategies.base import Strategy

START, END = dt.date(2017, 1, 3), dt.date(2018, 12, 31)
COSTS, CASH = Costs(1.0, 2.0), 100_000.0


def market() -> dict[str, pd.DataFrame]:
    """Four symbols, one listed late, one with a session missing, and VIX beside them."""
    bars = {name: walk(name, START, END, seed=3).assign(vix=20.0) for name in ("AAA", "BBB", "CCC", "DDD")}
    bars["CCC"] = bars["CCC"].iloc[200:].reset_index(drop=True)
    bars["DDD"] = bars["DDD"].drop(index=[150, 151, 400]).reset_index(drop=True)
    bars["AAA"].loc[::11, "vix"] = np.nan
    return bars


def live_through(
    bars: dict[str, pd.DataFrame], strategies: list[Strategy], limits: Limits, accept: pd.DataFrame | None
) -> tuple[pd.DataFrame, list[float]]:
    """Every session once: orders decided before fill, then the desk decides again."""
    book = MemoryBook()
    broker = PaperBroker(book, COSTS, initial_cash_usd=CASH)
    signals = pd.concat([signals_of(strategies, frame) for frame in bars.values()], ignore_index=True)
    whole = pd.concat(bars.values(), ignore_index=True)
    closes: dict[str, float] = {}
    equity: list[float] = []

    def act(day: dt.date, rows: pd.DataFrame, answers: pd.DataFrame | None, moment: Literal["open", "close"]) -> None:
        orders = [order for order, _ in book.open_orders("main")]
        holdings = Holdings("main", book.positions("main"), orders, broker.cash_usd(), closes, max([CASH, *equity]))
        yes, probability = (None, None) if answers is None else (answers[name].to_dict() for name in ("accept", "probability"))
        decisions = decide(day, rows, strategies, holdings, limits, accept=yes, probability=probability, moment=moment)
        place(book, broker, decisions.intents)

    for stamp in sessions_between(START, END):
        today = whole[whole["session"] == stamp]
        rows = signals[signals["session"] == stamp]
        yes = None if accept is None else accept[accept["session"] == stamp].set_index(["strategy", "symbol"])

        if any(strategy.entry == "open" for strategy in strategies):
            act(stamp.date(), rows, yes, "open")
        broker.advance(stamp.date(), today)
        closes |= dict(zip(today["symbol"], today["close"], strict=True))
        act(stamp.date(), rows, yes, "close")
        broker.advance(stamp.date(), today)
        equity.append(broker.account(closes).equity_usd)
    return trades_of(book.fills("main")), equity


CASES: dict[str, tuple[list[Any], Limits]] = {
    "bollinger": ([make_strategy("bollinger")], Limits()),
    "bollinger behind the VIX filter": ([make_strategy("bollinger", vix_filter=True)], Limits()),
    "rule exits alone": ([make_strategy("bollinger", {"stop_pct": None, "target_pct": None, "max_sessions": None})], Limits()),
    "tight slots": ([make_strategy("bollinger", {"deviations": 1.0, "stop_pct": 0.4})], Limits(2.0, 40.0, 2)),
    "open to close": ([make_strategy("gap", {"gap_pct": 0.4, "max_sessions": 2})], Limits(1.0, 30.0, 3)),
    "rsi": ([make_strategy("rsi", {"oversold": 35.0})], Limits()),
    "compression": ([make_strategy("compression", {"compressed": 1.0, "expanded": 1.005, "quiet_sessions": 1})], Limits()),
    "zscore": ([make_strategy("zscore")], Limits(0.25, 30.0, 3)),
    "in a drawdown": ([make_strategy("bollinger", {"deviations": 1.0})], Limits(2.0, 40.0, 3, 80.0, 6.0)),
    "half the size in a drawdown": (
        [make_strategy("bollinger", {"deviations": 1.0})],
        Limits(2.0, 40.0, 3, 80.0, halve_drawdown_pct=2.0),
    ),
    "trend": ([make_strategy("trend", {"slow_sessions": 40})], Limits(0.25, 30.0, 3)),
    "three that share the slots": ([make_strategy(name) for name in ("rsi", "zscore", "bollinger")], Limits(0.5, 40.0, 2)),
    "at the open and at the close": (
        [make_strategy("gap", {"gap_pct": 0.4}), make_strategy("bollinger", {"deviations": 1.0}, vix_filter=True)],
        Limits(1.0, 40.0, 2, 70.0),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_daily_path_makes_the_backtests_trades_to_the_cent(case: str) -> None:
    strategies, limits = CASES[case]
    bars = market()

    expected = backtest(bars, strategies, COSTS, limits=limits, initial_cash_usd=CASH)
    made, equity = live_through(bars, strategies, limits, None)

    finished = expected.trades[expected.trades["reason"] != "end_of_data"].reset_index(drop=True)
    assert len(finished) > 5, "too few trades to prove anything"
    pd.testing.assert_frame_equal(made, finished, rtol=1e-10)
    # A position open at the end is worth its last close to the desk; the backtest has sold it there, costs paid.
    still_open = len(expected.trades) - len(finished)
    np.testing.assert_allclose(
        equity[: len(equity) - bool(still_open)], expected.equity["equity_usd"][: len(equity) - bool(still_open)], atol=0.005
    )


@pytest.mark.parametrize("names", [("bollinger",), ("bollinger", "zscore")])
def test_the_filter_refuses_in_both_worlds_alike(names: tuple[str, ...]) -> None:
    strategies, limits = [make_strategy(name) for name in names], Limits(2.0, 40.0, 1)
    bars = market()
    rng = np.random.default_rng(5)
    keys = pd.concat([frame[["symbol", "session"]].assign(strategy=name) for name in names for frame in bars.values()])
    accept = keys.assign(accept=rng.random(len(keys)) < 0.5, probability=rng.random(len(keys))).reset_index(drop=True)

    expected = backtest(bars, strategies, COSTS, limits=limits, initial_cash_usd=CASH, accept=accept)
    made, _ = live_through(bars, strategies, limits, accept)

    everything = backtest(bars, strategies, COSTS, limits=limits, initial_cash_usd=CASH)
    assert 0 < len(expected.trades) < len(everything.trades)
    assert expected.metrics["refused_filter"] > 0
    finished = expected.trades[expected.trades["reason"] != "end_of_data"].reset_index(drop=True)
    pd.testing.assert_frame_equal(made, finished, rtol=1e-10)
