"""A quarter of a year of two books, one of them deployed with a promise, and what research and training left on record."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd

from core.deployments import Deployment, Sleeve, Stage, State
from core.frames import TRADES
from monitoring.performance.expectation import Expectation
from monitoring.performance.sequential import Promise
from storage.models.experiments import Experiment
from storage.models.promotions import Promotion
from tests.standins.long_record import write_long_record

if TYPE_CHECKING:
    from pipeline.resources import Resources

FIRST, LAST = dt.date(2024, 1, 2), dt.date(2024, 3, 28)
PROMISE = Expectation(
    "", 1000, 400, Promise(0.01, 0.03, 400, 40), 0.6, 0.0005, 0.01, Promise(0.05, 1.0, 1000, 48), None, None, 0
)


def write_researched(desk: Resources) -> None:
    """Write a record of two books, a deployment with a promise and a gap; a run, trials, an A/B test and a promotion."""
    days = write_long_record(desk.engine, FIRST, LAST, books=("main", "trio"), width=5)
    sleeve = Sleeve("trio/bollinger", "bollinger", ("SYM1",), 100_000.0)
    promise = {"": PROMISE.as_dict(), "trio/bollinger": PROMISE.as_dict()}
    made = Deployment("trio", 1, Stage.PAPER, State.ACTIVE, (sleeve,), 100_000.0, "desk", None, promise, "ann", "why")
    desk.deployments.add(made)
    causes = {"signal_usd": 0.0, "fill_usd": -3.0, "cost_usd": -1.0, "missed_usd": 0.0}
    counts = {name.replace("_usd", "_differences"): 0 for name in causes}
    about = {"portfolio": "trio", "strategy": "s", "session": days[-1], "record_usd": 1.0, "backtest_usd": 5.0, "details": []}
    desk.parity_ledger.add({**about, **causes, **counts})
    curve = pd.DataFrame({"session": pd.date_range("2024-01-02", periods=3), "equity_usd": [1.0, 2.0, 3.0], "drawdown": 0.0})
    meta = {"strategy": "rsi", "symbols": ["AAPL"], "first_session": "2024-01-02", "last_session": "2024-01-04"}
    desk.runs.save(kind="unfiltered", meta=meta, metrics={"sharpe": 1.5}, trades=TRADES.empty(), equity=curve)
    span = {"first_session": FIRST, "last_session": LAST, "error": None}
    desk.trials.record(
        {
            "key": f"k{number}",
            "strategy": "rsi",
            "symbol": "AAPL",
            "params": {"oversold": 20 + number % 2, "stop_pct": None},
            "kind": "sweep",
            "metrics": {"sharpe": float(number), "trade_count": 40, "profit_per_trade": 0.01 * number},
            **span,
        }
        for number in range(4)
    )
    desk.experiments.begin(Experiment("entry-filter:1-vs-2", "entry-filter", "1", ("2",), {}, FIRST))
    with desk.promotions.one_at_a_time("entry-filter") as connection:
        desk.promotions.add(connection, Promotion("entry-filter", "promote", "1", "2", "better", "ann"))
