"""The sweep: every strategy on every symbol, resumable, each backtest counted in the trial ledger."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import structlog

from core.errors import UnknownSymbol
from pipeline.research.backtest_terms import BacktestTerms
from pipeline.research.datasets import ResearchData
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from research.sweep import Cell, Outcome
    from trading.strategies.base import Strategy

log = structlog.get_logger()
NAMED = "named"  # the ledger's parameter for the name under which a strategy was requested
FIGURES = ("profit_per_trade", "win_rate", "sharpe", "max_drawdown", "trade_count", "avg_hold_days")


def run_sweep(
    session: str,
    strategies: Sequence[str],
    symbols: Sequence[str] = (),
    *,
    vix_gate: bool = False,
    jobs: int = -1,
    scheduler: str | None = None,
    dataset: str | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
    resources: Resources | None = None,
) -> pd.DataFrame:
    """Backtest each strategy on each symbol up to `session`, one position a symbol; cells on record are not run again.

    Parameters
    ----------
    strategies
        Names as `make_strategy` takes them: of a built-in, of a preset, or of a class in a user's file.
    symbols
        All of the universe that have bars unless given.
    scheduler
        Address of a Dask scheduler; threads of this process unless given.
    dataset
        Name of the research dataset whose bars are used; the live bars unless given.
    on_progress
        Called with the number of finished cells and of all.

    Returns
    -------
    pd.DataFrame
        A row a cell: strategy, symbol, error (None) and `FIGURES`.
    """
    from research.sweep import cells, sweep
    from trading.strategies.registry import make_strategy

    resources = resources or live()
    rules = {name: rule_key(make_strategy(name)) for name in strategies}  # an unknown name fails before anything runs
    data = ResearchData.of(resources, dataset)
    bars = data.by_symbol(session)
    wanted = list(symbols) or sorted(bars)
    for symbol in wanted:
        if symbol not in bars:
            raise UnknownSymbol(symbol, bars)
    terms = BacktestTerms.of(resources)
    key_terms = {symbol: terms.key(bars[symbol]) for symbol in wanted}
    grid = cells(strategies, wanted, vix_gate=vix_gate)
    keys = {cell.key({**key_terms[cell.symbol], **rules[cell.strategy]}): cell for cell in grid}
    key_of = {(cell.strategy, cell.symbol): key for key, cell in keys.items()}
    finished = resources.trials.finished(keys)
    elsewhere = finished[[data.reference not in datasets for datasets in finished["datasets"]]]
    again = elsewhere.assign(dataset=data.reference).to_dict("records")
    resources.trials.record({str(name): value for name, value in row.items()} for row in again)  # the same trial, not another
    rows = [_row(keys[row["key"]], row["metrics"], None) for row in finished.to_dict("records")]
    done = set(finished["key"])
    on_progress(len(rows), len(keys))
    todo = [cell for key, cell in keys.items() if key not in done]
    for outcomes in sweep(todo, bars, terms.costs, terms.limits, jobs=jobs, scheduler=scheduler):
        resources.trials.record(
            _trial(key_of[each.cell.strategy, each.cell.symbol], each, bars[each.cell.symbol], data.reference)
            for each in outcomes
        )
        for outcome in outcomes:
            rows.append(_row(outcome.cell, outcome.metrics, outcome.error))
            if outcome.error:
                log.warning("cell_failed", strategy=outcome.cell.strategy, symbol=outcome.cell.symbol, error=outcome.error)
        on_progress(len(rows), len(keys))
    return pd.DataFrame(rows).sort_values(["strategy", "symbol"], ignore_index=True)


def rule_key(strategy: Strategy) -> dict[str, Any]:
    """Return a strategy's parameters and a hash of its code and the engine's: a change of either makes another backtest."""
    from core.compiled import kernels_stamp

    kind: Any = type(strategy)
    source = Path(inspect.getfile(getattr(kind, "rule", kind.signals))).read_bytes()
    return {"rule": strategy.describe(), "code": hashlib.sha256(source + kernels_stamp().encode()).hexdigest()}


def _row(cell: Cell, metrics: Mapping[str, Any] | None, error: str | None) -> dict[str, Any]:
    figures = metrics or {}
    return {
        "strategy": cell.strategy,
        "symbol": cell.symbol,
        "error": error,
        **{name: figures.get(name) for name in FIGURES},
    }


def _trial(key: str, outcome: Outcome, bars: pd.DataFrame, dataset: str | None) -> dict[str, Any]:
    """Return a row of the ledger, under the rule's own name: its presets are one family there."""
    from storage.research.trials import SWEEP
    from trading.strategies.registry import make_strategy

    cell = outcome.cell
    return {
        "key": key,
        "strategy": make_strategy(cell.strategy).name,
        "symbol": cell.symbol,
        "params": {**cell.params, NAMED: cell.strategy, "vix_gate": cell.vix_gate},
        "kind": SWEEP,
        "first_session": bars["session"].iloc[0].date(),
        "last_session": bars["session"].iloc[-1].date(),
        "metrics": outcome.metrics,
        "error": outcome.error,
        "dataset": dataset,
    }
