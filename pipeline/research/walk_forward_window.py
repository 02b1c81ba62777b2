"""One window of a walk-forward search on given bars: its study, its trial-ledger rows, and the test that follows.

The order of windows and their joined record are `pipeline.research.walk_forward`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.research.backtest_terms import bars_hash

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from optuna.storages import BaseStorage

    from backtest.metrics import Figures
    from backtest.panel import Panel
    from research.out_of_sample import TrackRecord
    from research.search import Best, Constraints, Metric, Refused, Sampler, Task, Tried
    from research.walkforward import Window
    from storage.research.trials import Trials


@dataclass(frozen=True)
class SearchPlan:
    """Parameters of a walk-forward search.

    Parameters
    ----------
    strategy
        Name of a built-in, with or without a preset, or `path/to/file.py:Class`.
    symbols
        All that have bars unless given; they share cash and position slots.
    trials
        Parameter sets for each window.
    train_sessions, test_sessions, anchored
        See `research.walkforward.windows`.
    constraints
        Those of the settings unless given.
    """

    strategy: str
    metric: Metric = "profit_per_trade"
    symbols: tuple[str, ...] = ()
    trials: int = 100
    sampler: Sampler = "tpe"
    train_sessions: int = 756
    test_sessions: int = 252
    anchored: bool = False
    vix_gate: bool = False
    constraints: Constraints | None = None


@dataclass(frozen=True)
class Step:
    """One window: the choice of its training, and the record of its test; cash where nothing was feasible."""

    window: Window
    choice: Best | Refused
    record: TrackRecord


class Progress:
    """A count of finished backtests; threads may report at once."""

    def __init__(self, of: int, report: Callable[[int, int], None]) -> None:
        self.of, self._report, self._counter = of, report, count(1)

    def more(self, backtests: int) -> None:
        """Add backtests to the total."""
        self.of += backtests

    def step(self) -> None:
        """Count one finished backtest."""
        self._report(next(self._counter), self.of)


@dataclass(frozen=True)
class Search:
    """A plan on the bars that it runs on.

    Attributes
    ----------
    task
        With the sessions of the first window; `at` gives those of another.
    axis
        All bars, aligned: their sessions and their number a year.
    dataset
        NAME@SHA256 of the research dataset that the bars are of; None: live bars.
    """

    plan: SearchPlan
    task: Task
    bars: dict[str, pd.DataFrame]
    axis: Panel
    spans: list[Window]
    seed: int
    dataset: str | None = None

    @cached_property
    def size(self) -> int:
        """Trials that each window takes."""
        from research.search import size_of

        return size_of(self.plan.strategy, self.plan.sampler, self.plan.trials)

    @cached_property
    def content(self) -> dict[str, int]:
        """A hash of each symbol's bars."""
        return {symbol: bars_hash(frame) for symbol, frame in self.bars.items()}

    @property
    def family(self) -> str:
        """The strategy's name in the ledger: presets of one strategy are one family."""
        from trading.strategies.registry import make_strategy

        return make_strategy(self.plan.strategy).name

    @property
    def label(self) -> str:
        """The walk-forward in a line."""
        return f"{self.plan.strategy} {self.plan.metric} {self.spans[0].train_start} to {self.spans[-1].test_end}"

    @property
    def described(self) -> dict[str, Any]:
        """The plan, as plain values."""
        given = {name: value for name, value in asdict(self.plan).items() if name not in {"constraints", "symbols"}}
        return {**given, **asdict(self.task.constraints), "symbols": ",".join(self.bars), "seed": self.seed, **self.tag}

    @property
    def tag(self) -> dict[str, str]:
        """The dataset under its name; nothing for live bars."""
        return {} if self.dataset is None else {"dataset": self.dataset}

    def study_name(self, task: Task) -> str:
        """Return the study's name: the same for every worker with the same plan, bars and settings, and for no other."""
        from research.search import fingerprint
        from research.spaces import space_of

        space = str(space_of(self.plan.strategy))
        about = [fingerprint(task), self.content, space, self.plan.trials, self.plan.sampler, self.seed]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        return f"{self.family[:200]} {task.first} to {task.last} {digest[:16]}"

    def at(self, no: int) -> Task:
        """Return the task of a window."""
        return replace(self.task, first=self.spans[no].train_start, last=self.spans[no].train_end)

    def step(self, no: int, storage: BaseStorage, ledger: Trials, worker: int, progress: Progress) -> Step:
        """Search one training window and trade its choice on the test window."""
        from research.out_of_sample import TrackRecord, cash_record
        from research.search import Best, optimise_window

        task, window, ran = self.at(no), self.spans[no], count()

        def on_trial(tried: Tried) -> None:
            ledger.record(
                [self._row("optimise", tried.params, task.first, task.last, metrics=tried.metrics, error=tried.error)]
            )
            next(ran)
            progress.step()

        best = optimise_window(
            self.bars, task, trials=self.plan.trials, sampler=self.plan.sampler, seed=self.seed + no + 1000 * worker,
            total=self.plan.trials, storage=storage, study_name=self.study_name(task), on_trial=on_trial,
        )  # fmt: skip
        for _ in range(self.size - next(ran)):  # others ran them, or an earlier process did
            progress.step()
        first, last = window.test_start, window.test_end
        if not isinstance(best, Best):
            days = self.axis.sessions
            inside = days[days.slice_indexer(pd.Timestamp(first), pd.Timestamp(last))]
            return Step(window, best, cash_record(inside, task.initial_cash_usd, self.axis.bars_a_year))
        record = TrackRecord.of(task.evaluate(task.panel(self.bars, first, last), best.params, first))
        ledger.record([self._row("walk_forward", best.params, first, last, metrics=record.metrics)])
        return Step(window, best, record)

    def _row(
        self,
        kind: str,
        params: dict[str, Any],
        first: dt.date,
        last: dt.date,
        *,
        metrics: Figures | None,
        error: str | None = None,
    ) -> dict[str, Any]:
        """Return a row of the trial ledger; its key describes the backtest alone, not its purpose."""
        from research.sweep import Cell

        symbols, task = ",".join(self.bars), self.task
        terms = {"first": first, "last": last, "bars": self.content, "cash": task.initial_cash_usd}
        terms |= {"costs": str(task.costs), "limits": str(task.limits)}
        return {
            "key": Cell(self.family, symbols, params, self.plan.vix_gate).key(terms),
            "strategy": self.family,
            "symbol": symbols,
            "params": {**params, "vix_gate": self.plan.vix_gate},
            "kind": kind,
            "first_session": first,
            "last_session": last,
            "metrics": metrics,
            "error": error,
            "dataset": self.dataset,
        }
