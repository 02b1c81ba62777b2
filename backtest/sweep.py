"""Many backtests at once: each strategy on each symbol. Owns the cells and their fan-out; it stores nothing.

Cells run in threads, for the kernel holds no interpreter lock. A cell that fails is an outcome like the others.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from joblib import Parallel, delayed

from backtest.engine import backtest
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from backtest.metrics import Figures
    from trading.costs import Costs
    from trading.risk import Limits


@dataclass(frozen=True)
class Cell:
    """One backtest of a sweep: a strategy with parameters on one symbol."""

    strategy: str
    symbol: str
    params: dict[str, Any] = field(default_factory=dict)
    vix_gate: bool = False

    def key(self, terms: Mapping[str, Any]) -> str:
        """Hash of the cell and of `terms` (span, costs, limits, version of the data): the same backtest has the same key."""
        return hashlib.sha256(json.dumps([asdict(self), dict(terms)], sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """What a cell came to: `metrics`, or `error` when it failed."""

    cell: Cell
    metrics: Figures | None
    error: str | None = None


def cells(strategies: Sequence[str], symbols: Sequence[str], *, vix_gate: bool = False) -> list[Cell]:
    """Every strategy on every symbol, in the order given."""
    return [Cell(strategy, symbol, vix_gate=vix_gate) for strategy in strategies for symbol in symbols]


def sweep(
    todo: Sequence[Cell], bars: Mapping[str, pd.DataFrame], costs: Costs, limits: Limits, *, jobs: int = -1
) -> Iterator[Outcome]:
    """Yield the outcome of each cell as it finishes, in any order.

    Parameters
    ----------
    bars
        BARS with `vix` by symbol.
    jobs
        Threads; -1 is one a core.
    """
    runs = (delayed(_run)(cell, bars, costs, limits) for cell in todo)
    finished: Iterator[Outcome] = Parallel(n_jobs=jobs, backend="threading", return_as="generator_unordered")(runs)
    yield from finished


def _run(cell: Cell, bars: Mapping[str, pd.DataFrame], costs: Costs, limits: Limits) -> Outcome:
    try:
        strategy = make_strategy(cell.strategy, cell.params, vix_gate=cell.vix_gate)
        return Outcome(cell, backtest({cell.symbol: bars[cell.symbol]}, strategy, costs, limits=limits).metrics)
    except Exception as error:  # noqa: BLE001  # one failed cell is reported and the rest kept
        return Outcome(cell, None, f"{type(error).__name__}: {error}")
