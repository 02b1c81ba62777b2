"""Many backtests at once: each strategy on each symbol, in threads or on a Dask cluster.

Cells of a symbol run together, so that its bars are aligned once: in threads of this process, for the kernels hold no
interpreter lock, or in the workers of a Dask cluster. A cell that fails is an outcome like the others, and so is one whose
worker was lost.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from joblib import Parallel, delayed

from backtest.engine import backtest
from backtest.panel import prepare
from core.errors import RetryLater
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from backtest.metrics import Figures
    from trading.costs import Costs
    from trading.risk import Limits

BATCH = 64  # cells of a symbol that one thread or worker takes at a time
CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Cell:
    """One backtest of a sweep: a strategy with parameters on one symbol."""

    strategy: str
    symbol: str
    params: dict[str, Any] = field(default_factory=dict)
    vix_gate: bool = False

    def key(self, terms: Mapping[str, Any]) -> str:
        """Return a hash of the cell and of `terms` (span, costs, limits, data): the same backtest has the same key."""
        return hashlib.sha256(json.dumps([asdict(self), dict(terms)], sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """The outcome of a cell: `metrics`, or `error` when it failed."""

    cell: Cell
    metrics: Figures | None
    error: str | None = None


def cells(strategies: Sequence[str], symbols: Sequence[str], *, vix_gate: bool = False) -> list[Cell]:
    """Return every strategy on every symbol, in the order given; one named twice counts once.

    Examples
    --------
    >>> [(cell.strategy, cell.symbol) for cell in cells(["rsi", "rsi"], ["AAA", "BBB"])]
    [('rsi', 'AAA'), ('rsi', 'BBB')]
    """
    return [
        Cell(strategy, symbol, vix_gate=vix_gate) for strategy in dict.fromkeys(strategies) for symbol in dict.fromkeys(symbols)
    ]


def sweep(
    todo: Sequence[Cell],
    bars: Mapping[str, pd.DataFrame],
    costs: Costs,
    limits: Limits,
    *,
    jobs: int = -1,
    scheduler: str | None = None,
) -> Iterator[list[Outcome]]:
    """Yield outcomes, some cells of one symbol at a time, as they finish, in any order.

    Parameters
    ----------
    bars
        BARS with `vix` by symbol.
    jobs
        Threads; -1 is one a core.
    scheduler
        Address of a Dask scheduler, whose workers then do the work; they need this package installed.

    Raises
    ------
    RetryLater
        When nobody answers at the scheduler's address.
    """
    batches = _batches(todo)
    if scheduler is not None:
        yield from _on_dask(batches, bars, costs, limits, scheduler)
        return
    threads = min(_cores() if jobs < 0 else max(jobs, 1), len(batches))
    if threads <= 1:
        yield from (run_batch(batch, bars[batch[0].symbol], costs, limits) for batch in batches)
        return
    runs = (delayed(run_batch)(batch, bars[batch[0].symbol], costs, limits) for batch in batches)
    yield from Parallel(n_jobs=threads, backend="threading", return_as="generator_unordered")(runs)


def run_batch(batch: Sequence[Cell], bars: pd.DataFrame, costs: Costs, limits: Limits) -> list[Outcome]:
    """Backtest cells of one symbol on its bars, and return their outcomes."""
    try:
        panel = prepare({batch[0].symbol: bars})
    except Exception as error:  # noqa: BLE001  # bad bars of one symbol are reported, the others are swept
        return [Outcome(cell, None, _one_line(error)) for cell in batch]
    found = []
    for cell in batch:
        try:
            strategy = make_strategy(cell.strategy, cell.params, vix_filter=cell.vix_gate)
            found.append(Outcome(cell, backtest(panel, strategy, costs, limits=limits).metrics))
        except Exception as error:  # noqa: BLE001  # one failed cell is reported and the rest kept
            found.append(Outcome(cell, None, _one_line(error)))
    return found


def _batches(todo: Sequence[Cell]) -> list[list[Cell]]:
    by_symbol: dict[str, list[Cell]] = {}
    for cell in todo:
        by_symbol.setdefault(cell.symbol, []).append(cell)
    return [cells[i : i + BATCH] for cells in by_symbol.values() for i in range(0, len(cells), BATCH)]


def _on_dask(
    batches: Sequence[list[Cell]], bars: Mapping[str, pd.DataFrame], costs: Costs, limits: Limits, scheduler: str
) -> Iterator[list[Outcome]]:
    """Run each batch on a worker. Once the scheduler is gone what is not finished has failed, by name, and can be run again."""
    from distributed import Client, as_completed

    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError) as error:
        raise RetryLater(f"No Dask scheduler answers at {scheduler} ({error}). Start one: `dask scheduler`.") from error
    with client:
        open_ = {
            client.submit(run_batch, batch, bars[batch[0].symbol], costs, limits, pure=False, retries=1): batch
            for batch in batches
        }
        for future in as_completed(open_, loop=client.loop):  # type: ignore[no-untyped-call]
            batch = open_.pop(future)
            try:
                yield future.result()
            except Exception as error:  # noqa: BLE001  # the worker died, or the scheduler has gone
                yield [Outcome(cell, None, f"The Dask cluster lost it ({_one_line(error)}); sweep again.") for cell in batch]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _one_line(error: Exception) -> str:
    """Return the error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
