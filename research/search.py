"""The search for parameters on one span of history: metric, constraints, choice. Its result is in-sample.

Constraints are Optuna's own (`Trial.set_constraint`), not pruning: only a finished backtest knows how often it trades.
The sampler prefers what is feasible and, as long as nothing is, moves towards the smaller violation (constrained TPE: Watanabe
and Hutter 2023, *c-TPE*).
"""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import GridSampler, TPESampler
from optuna.trial import TrialState

from backtest.engine import backtest
from backtest.panel import prepare
from core.errors import ConfigError
from research.spaces import grid, space_of
from research.walkforward import between
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from backtest.engine import Result
    from backtest.metrics import Figures
    from backtest.panel import Panel
    from research.spaces import Space
    from trading.costs import Costs
    from trading.risk import Limits

Metric = Literal["profit_per_trade", "win_rate_adjusted_profit", "trade_frequency", "profit_factor", "sharpe"]
Sampler = Literal["tpe", "grid"]
METRICS: tuple[Metric, ...] = get_args(Metric)
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
FIGURE_OF = {"trade_frequency": "trades_per_month"}  # the others bear the figure's own name
WITHOUT_TRADES = 10.0  # violation of an undefined figure: further off than a defined one usually is


@dataclass(frozen=True)
class Constraints:
    """Constraints that a parameter set must meet in training; None switches one off.

    Parameters
    ----------
    min_profit_per_trade_pct
        Mean net return of a trade, in percent.
    min_trades_a_month
        Of the whole portfolio, in months of 21 sessions.
    min_profit_factor
        Dollars won for each dollar lost; no loss at all meets it.
    """

    min_profit_per_trade_pct: float | None = 1.0
    min_trades_a_month: float | None = 4.0
    min_profit_factor: float | None = 1.5

    def violations(self, figures: Figures) -> dict[str, float]:
        """Each constraint's shortfall as a share of what it asks for; at most 0 where it is met.

        Shares, because the sampler adds up violations of different units.
        """
        profit, month, factor = (figures[name] for name in ("profit_per_trade", "trades_per_month", "profit_factor"))
        if factor is None and profit is not None and profit > 0:
            factor = np.inf  # nothing was lost
        asked = {
            "min_profit_per_trade_pct": (self.min_profit_per_trade_pct, None if profit is None else 100 * profit),
            "min_trades_a_month": (self.min_trades_a_month, month),
            "min_profit_factor": (self.min_profit_factor, factor),
        }
        return {name: _shortfall(least, found) for name, (least, found) in asked.items() if least is not None}


def _shortfall(least: float, found: float | None) -> float:
    if found is None:
        return WITHOUT_TRADES
    return max(float(least - found) / max(abs(least), 1e-9), -1.0)


@dataclass(frozen=True)
class Task:
    """A search: its strategy, metric, constraints, and span of sessions.

    Parameters
    ----------
    strategy
        Name of a built-in, or `path/to/file.py:Class`.
    first, last
        Sessions of the training window; entries are decided from `first` on, and nothing after `last` is seen.
    """

    strategy: str
    first: dt.date
    last: dt.date
    costs: Costs
    limits: Limits
    metric: Metric = "profit_per_trade"
    constraints: Constraints = field(default_factory=Constraints)
    vix_gate: bool = False
    initial_cash_usd: float = 100_000.0

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ConfigError(f"Metric: expected one of {', '.join(METRICS)}, found {self.metric!r}.")

    def panel(self, bars: Mapping[str, pd.DataFrame], first: dt.date | None = None, last: dt.date | None = None) -> Panel:
        """Return the panel of backtests from `first` to `last`, the task's own sessions unless given."""
        return prepare(between(bars, first or self.first, last or self.last))

    def evaluate(self, panel: Panel, params: Mapping[str, Any], first: dt.date | None = None) -> Result:
        """Backtest one parameter set on all of a panel, entries being decided from `first` on."""
        return backtest(
            panel,
            make_strategy(self.strategy, params, vix_filter=self.vix_gate),
            self.costs,
            limits=self.limits,
            initial_cash_usd=self.initial_cash_usd,
            start=first or self.first,
        )


@dataclass(frozen=True)
class Tried:
    """One trial: `metrics` and the `value` of the metric, or the `error` that it ended with; the names of what rejects it."""

    number: int
    params: dict[str, Any]
    metrics: Figures | None
    value: float | None = None
    error: str | None = None
    rejected_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Best:
    """The feasible parameter set with the highest metric, the earliest of equals; figures are in-sample."""

    params: dict[str, Any]
    metrics: Figures
    value: float
    trials: int


@dataclass(frozen=True)
class Refused:
    """No parameter set met the constraints: how many trials each rejected. One trial may be rejected by several."""

    trials: int
    rejected: dict[str, int]
    error: str | None = None

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in self.rejected.items())
        first = f" First failure: {self.error}." if self.error else ""
        return f"All {self.trials} trials rejected: {counts or 'none was run'}.{first} Relax a constraint or allow more trials."


def optimise_window(
    bars: Mapping[str, pd.DataFrame],
    task: Task,
    *,
    trials: int,
    sampler: Sampler = "tpe",
    seed: int = 0,
    total: int | None = None,
    storage: BaseStorage | None = None,
    study_name: str | None = None,
    on_trial: Callable[[Tried], None] = lambda _tried: None,
) -> Best | Refused:
    """Run at most `trials` more trials of a study and judge everything that it holds.

    With one worker the same seed gives the same trials. Workers that share a study should each have a seed of their own.

    Parameters
    ----------
    bars
        BARS with `vix` by symbol, all of history; the task says which sessions are seen.
    total
        Trials after which the study is finished, whoever ran them; also what a grid is made for. None: `trials`.
    storage, study_name
        Where the study is kept and shared; in memory unless given.
    on_trial
        Called after each trial of this call.
    """
    size = size_of(task.strategy, sampler, total or trials)
    space = space_of(task.strategy)
    cells = grid(space, total or trials) if sampler == "grid" else None

    def finish(study: optuna.Study, trial: FrozenTrial) -> None:
        on_trial(tried(trial))
        if len(finished(study)) >= size:
            study.stop()

    with quiet():
        study = optuna.create_study(
            storage=storage, study_name=study_name, sampler=_sampler(cells, seed), direction="maximize", load_if_exists=True
        )
        left = min(trials, size - len(finished(study)))
        if left > 0:
            objective = _objective(task.panel(bars), task, space, cells)
            study.optimize(objective, n_trials=left, catch=(Exception,), callbacks=[finish])
    return choose_best(finished(study))


def finished(study: optuna.Study) -> list[Tried]:
    """The trials that came to an end; one whose worker died is not among them, it is tried again under another number."""
    return [one for one in map(tried, study.get_trials(deepcopy=False)) if one.metrics is not None or one.error is not None]


def trials_of(storage: BaseStorage, study_name: str) -> list[Tried]:
    """The finished trials of a stored study, whoever ran them."""
    with quiet():
        return finished(optuna.load_study(study_name=study_name, storage=storage))


def size_of(strategy: str, sampler: Sampler, trials: int) -> int:
    """Return the number of trials of a search: a grid with fewer cells than `trials` ends with its last."""
    space = space_of(strategy)
    if sampler not in SAMPLERS:
        raise ConfigError(f"Sampler: expected one of {', '.join(SAMPLERS)}, found {sampler!r}.")
    if trials < 1:
        raise ConfigError(f"trials: expected 1 or more, found {trials}.")
    if sampler != "grid":
        return trials
    cells = [len(values) for values in grid(space, trials).values()]
    return min(trials, int(np.prod(cells)))


def choose_best(seen: Sequence[Tried]) -> Best | Refused:
    """The best feasible trial, or which constraint rejected how many."""
    feasible = [one for one in seen if one.value is not None and not one.rejected_by]
    if feasible:
        best = max(feasible, key=lambda one: (one.value, -one.number))
        return Best(best.params, best.metrics or {}, float(best.value or 0.0), len(seen))
    counts = Counter(name for one in seen for name in one.rejected_by)
    return Refused(len(seen), dict(counts.most_common()), next((one.error for one in seen if one.error), None))


def tried(trial: FrozenTrial) -> Tried:
    """Return a study's trial with its figures, and its violations when it is not feasible."""
    about = trial.user_attrs
    if trial.state != TrialState.COMPLETE:
        return Tried(trial.number, about.get("params", {}), None, None, about.get("error"), ("failed",))
    broken = tuple(name for name, shortfall in trial.constraints.items() if shortfall > 0)
    return Tried(trial.number, about["params"], about["metrics"], trial.value, None, broken)


def _objective(
    panel: Panel, task: Task, space: Space, cells: Mapping[str, list[Any]] | None
) -> Callable[[optuna.Trial], float]:
    """Return the objective that Optuna maximises; params, figures and errors are stored with the trial."""

    def objective(trial: optuna.Trial) -> float:
        if cells is None:
            params = {name: dimension.suggest(trial, name) for name, dimension in space.items()}
        else:
            params = {name: trial.suggest_categorical(name, values) for name, values in cells.items()}
        trial.set_user_attr("params", params)
        try:
            figures = task.evaluate(panel, params).metrics
        except Exception as error:
            trial.set_user_attr("error", f"{type(error).__name__}: {error}")
            raise
        trial.set_user_attr("metrics", figures)
        value = figures[FIGURE_OF.get(task.metric, task.metric)]
        trial.set_constraint(f"{task.metric}_undefined", 1.0 if value is None else 0.0)
        for name, shortfall in task.constraints.violations(figures).items():
            trial.set_constraint(name, shortfall)
        return 0.0 if value is None else float(value)  # never chosen: the constraint above rejects it

    return objective


def _sampler(cells: Mapping[str, list[Any]] | None, seed: int) -> BaseSampler:
    return TPESampler(seed=seed) if cells is None else GridSampler(cells, seed=seed)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Optuna without its log of every trial, and without its notes on what is experimental."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        yield
    optuna.logging.set_verbosity(before)


def fingerprint(task: Task) -> dict[str, Any]:
    """Everything about a task that decides what its trials come to, as text."""
    return {name: str(value) for name, value in asdict(task).items()}
