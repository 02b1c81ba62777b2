"""The sweep: every strategy on every symbol, resumable, counted. Owns the order of these; each backtest is the engine's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import structlog

from core.errors import UnknownSymbol
from pipeline.research import bars_by_symbol
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from backtest.sweep import Outcome

log = structlog.get_logger()
FIGURES = ("profit_per_trade", "win_rate", "sharpe", "max_drawdown", "trade_count", "avg_hold_days")


def run(
    session: str,
    strategies: Sequence[str],
    symbols: Sequence[str] = (),
    *,
    vix_gate: bool = False,
    jobs: int = -1,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
    resources: Resources | None = None,
) -> pd.DataFrame:
    """Backtest each strategy on each symbol up to `session`, one position a symbol; what is on record is not run again.

    Parameters
    ----------
    symbols
        All of the universe that have bars unless given.
    on_progress
        Called with the number of finished cells and of all.

    Returns
    -------
    pd.DataFrame
        One row a cell: strategy, symbol, error (None) and `FIGURES`.
    """
    from backtest.sweep import cells, sweep
    from storage.trials import Trials
    from trading.strategies.registry import make_strategy

    found = resources or live()
    for name in strategies:
        make_strategy(name)  # an unknown one fails here, before anything runs
    bars = bars_by_symbol(found, session)
    wanted = list(symbols) or sorted(bars)
    for symbol in wanted:
        if symbol not in bars:
            raise UnknownSymbol(symbol, bars)
    grid = cells(strategies, wanted, vix_gate=vix_gate)
    keys = {cell.key(_terms(found, bars[cell.symbol])): cell for cell in grid}
    ledger = Trials(found.engine)
    known = ledger.finished(keys)
    rows = [_row(row["strategy"], row["symbol"], row["metrics"], None) for row in known.to_dict("records")]
    todo = {key: cell for key, cell in keys.items() if key not in set(known["key"])}
    key_of = {(cell.strategy, cell.symbol): key for key, cell in todo.items()}
    on_progress(len(rows), len(grid))
    for outcome in sweep(list(todo.values()), bars, found.costs, found.limits, jobs=jobs):
        cell = outcome.cell
        ledger.record([_trial(key_of[cell.strategy, cell.symbol], outcome, bars[cell.symbol])])
        rows.append(_row(cell.strategy, cell.symbol, outcome.metrics, outcome.error))
        if outcome.error:
            log.warning("cell_failed", strategy=cell.strategy, symbol=cell.symbol, error=outcome.error)
        on_progress(len(rows), len(grid))
    return pd.DataFrame(rows).sort_values(["strategy", "symbol"], ignore_index=True)


def _terms(found: Resources, bars: pd.DataFrame) -> dict[str, Any]:
    """What else decides the outcome of a cell: the bars, the costs and the limits."""
    content = pd.util.hash_pandas_object(bars.drop(columns="known_at", errors="ignore"), index=False)
    return {"bars": int(content.sum()), "costs": str(found.costs), "limits": str(found.limits)}


def _row(strategy: str, symbol: str, metrics: Mapping[str, Any] | None, error: str | None) -> dict[str, Any]:
    figures = metrics or {}
    return {"strategy": strategy, "symbol": symbol, "error": error, **{name: figures.get(name) for name in FIGURES}}


def _trial(key: str, outcome: Outcome, bars: pd.DataFrame) -> dict[str, Any]:
    cell = outcome.cell
    return {
        "key": key,
        "strategy": cell.strategy,
        "symbol": cell.symbol,
        "params": {**cell.params, "vix_gate": cell.vix_gate},
        "kind": "sweep",
        "first_session": bars["session"].iloc[0].date(),
        "last_session": bars["session"].iloc[-1].date(),
        "metrics": outcome.metrics,
        "error": outcome.error,
    }
