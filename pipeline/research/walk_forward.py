"""Walk-forward optimisation on stored bars: search each window, score the next one, join, weigh, record.

Owns the order of these; a window is `pipeline.research.walk_forward_window`, a joined record and its weight are
`research.out_of_sample`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import UnknownSymbol
from pipeline.bars import bars_by_symbol
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from optuna.storages import BaseStorage

    from core.settings import Settings
    from pipeline.research.walk_forward_window import Plan, Progress, Search, Step
    from research.out_of_sample import Record, Verdict
    from research.search import Constraints
    from research.statistics import Interval

EXPERIMENT = "optimise"


@dataclass(frozen=True)
class WalkForward:
    """Outcome of an optimisation.

    Attributes
    ----------
    record
        Of all test windows, joined; each was traded with parameters chosen on earlier sessions alone.
    profit_interval, sharpe_interval
        95 % by the stationary bootstrap: mean net return of a trade, annualised Sharpe ratio. None where not defined.
    tuned
        Every parameter as the newest training window with a feasible set chose it; None when there is none.
    run_id
        Of the stored run. `mlflow_run_id` is the parent run.
    """

    steps: tuple[Step, ...]
    record: Record
    verdict: Verdict
    profit_interval: Interval | None
    sharpe_interval: Interval | None
    tuned: dict[str, Any] | None
    run_id: str
    mlflow_run_id: str


def constraints_of(settings: Settings) -> Constraints:
    """What the settings ask of a parameter set."""
    from research.search import Constraints

    return Constraints(
        settings.optimise_min_profit_per_trade_pct,
        settings.optimise_min_trades_a_month,
        settings.optimise_min_profit_factor,
    )


def run(
    session: str,
    plan: Plan,
    *,
    jobs: int = 1,
    worker: int = 0,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
    resources: Resources | None = None,
) -> WalkForward:
    """Optimise on each training window, trade the choice on the sessions after it, and weigh the joined record.

    With one worker the same bars, settings and plan give the same outcome, whatever `jobs` is. What a study has finished is not
    run again.

    Parameters
    ----------
    jobs
        Windows searched at once, in threads; -1 is one a core.
    worker
        Number of this process when several share the work: each runs the same plan under a number of its own.
    on_progress
        Called with the number of finished backtests and of all.
    """
    from joblib import Parallel, delayed

    from pipeline.research.walk_forward_window import Progress
    from research.search import quiet
    from storage.research.studies import open_studies

    resources = resources or live()
    search = search_of(resources, session, plan)
    progress = Progress(search.size * len(search.spans), on_progress)
    storage = open_studies(_address(resources))
    with resources.tracking.run(EXPERIMENT, search.label, search.described) as parent, quiet():
        steps = []
        todo = (delayed(search.step)(no, storage, resources.trials, worker, progress) for no in range(len(search.spans)))
        for step in Parallel(n_jobs=jobs, backend="threading", return_as="generator")(todo):
            _track_step(resources, step, parent)
            steps.append(step)
        tried = _returns(search, storage, jobs, progress)
        outcome = _weigh(resources, search, steps, tried, parent)
        _track(resources, outcome)
    return outcome


def search_of(resources: Resources, session: str, plan: Plan) -> Search:
    """The search that a plan asks for, on the stored bars up to `session`; what it cannot run on is said here."""
    from backtest.panel import prepare
    from pipeline.research.walk_forward_window import Search
    from research.search import Task, size_of
    from research.walkforward import windows

    size_of(plan.strategy, plan.sampler, plan.trials)  # what cannot be searched fails before bars are loaded
    settings, known = resources.settings, bars_by_symbol(resources.bars, session, resources.universe())
    for symbol in plan.symbols:
        if symbol not in known:
            raise UnknownSymbol(symbol, known)
    bars = {symbol: known[symbol] for symbol in sorted(plan.symbols or known)}
    axis = prepare(bars)
    spans = windows(
        axis.sessions,
        train_sessions=plan.train_sessions,
        test_sessions=plan.test_sessions,
        anchored=plan.anchored,
        embargo_sessions=settings.embargo_sessions,
    )
    task = Task(
        plan.strategy,
        spans[0].train_start,
        spans[0].train_end,
        resources.costs,
        resources.limits,
        metric=plan.metric,
        constraints=plan.constraints or constraints_of(settings),
        vix_gate=plan.vix_gate,
        initial_cash_usd=settings.initial_cash_usd,
    )
    return Search(plan, task, bars, axis, spans, settings.seed)


def _address(resources: Resources) -> str:
    from storage.engine import cluster_url

    return cluster_url(resources.settings, resources.settings.database_name)


def _returns(search: Search, storage: BaseStorage, jobs: int, progress: Progress) -> NDArray[np.float64]:
    """Daily returns, over all sessions searched and tested, of every parameter set that any window tried."""
    from research.out_of_sample import returns_of
    from research.search import trials_of

    names = [search.study_name(search.at(no)) for no in range(len(search.spans))]
    seen = [one.params for name in names for one in trials_of(storage, name) if one.metrics is not None]
    sets = list({str(sorted(params.items())): params for params in seen}.values())
    progress.more(len(sets))
    first, last = search.spans[0].train_start, search.spans[-1].test_end
    return returns_of(search.bars, search.task, sets, first, last, jobs=jobs, on_progress=lambda *_: progress.step())


def _weigh(
    resources: Resources, search: Search, steps: list[Step], tried: NDArray[np.float64], mlflow_run_id: str
) -> WalkForward:
    """Join the windows, deflate by every trial of the strategy ever made, and store the run."""
    from research.evidence import period_returns
    from research.out_of_sample import join, weigh
    from research.search import Best
    from research.statistics import mean_interval, sharpe_interval
    from trading.strategies.registry import make_strategy

    cash, bars_a_year = search.task.initial_cash_usd, search.axis.bars_a_year
    record = join([step.record for step in steps], cash, bars_a_year)
    returns = period_returns(record.equity["equity_usd"].to_numpy(), cash)
    chosen = [step.found.params for step in steps if isinstance(step.found, Best)]
    in_time = record.trades.sort_values("entry_session", kind="stable")["net_return"].to_numpy()
    verdict = weigh(returns, tried, resources.trials.count(search.family), periods_a_year=bars_a_year)
    tuned = make_strategy(search.plan.strategy, chosen[-1]).describe() if chosen else None
    return WalkForward(
        tuple(steps),
        record,
        verdict,
        mean_interval(in_time, seed=search.seed),
        sharpe_interval(returns, seed=search.seed, periods_a_year=bars_a_year),
        tuned,
        _save(resources, search, record, verdict, tuned),
        mlflow_run_id,
    )


def _save(resources: Resources, search: Search, record: Record, verdict: Verdict, tuned: dict[str, Any] | None) -> str:
    from storage.research.runs import save_run

    meta = {
        "strategy": search.plan.strategy,
        "params": tuned,
        "symbols": list(search.bars),
        "first_session": str(search.spans[0].test_start),
        "last_session": str(search.spans[-1].test_end),
        "commission_bps": resources.settings.commission_bps,
        "slippage_bps": resources.settings.slippage_bps,
        "initial_cash_usd": search.task.initial_cash_usd,
        "search": search.described,
        "verdict": evidence(verdict),
    }
    return save_run(
        resources.engine,
        kind="walk_forward",
        meta=meta,
        metrics=record.metrics,
        trades=record.trades,
        equity=record.equity,
        directory=resources.data_dir / "runs",
    )


def evidence(verdict: Verdict) -> dict[str, Any]:
    """What a verdict rests on, as JSON values."""
    return {
        "trials": verdict.trials,
        "sharpe_variance": verdict.sharpe_variance,
        "deflated_sharpe": verdict.deflated_sharpe,
        "overfitting": verdict.overfitting,
        "survives": verdict.survives,
    }


def _track_step(resources: Resources, step: Step, parent: str) -> None:
    """A window as a run within its walk-forward's."""
    from research.search import Best

    window, best = step.window, step.found
    params = best.params if isinstance(best, Best) else {}
    spans = {"train": f"{window.train_start} to {window.train_end}", "test": f"{window.test_start} to {window.test_end}"}
    with resources.tracking.run(EXPERIMENT, f"window {window.test_start}", {**spans, **params}, parent) as run_id:
        in_sample = {f"train_{name}": value for name, value in best.metrics.items()} if isinstance(best, Best) else {}
        resources.tracking.figures(run_id, {"trials": best.trials, **in_sample, **step.record.metrics})
        if not isinstance(best, Best):
            resources.tracking.tag(run_id, "refused", str(best))
            resources.tracking.figures(run_id, {f"rejected_{name}": many for name, many in best.rejected.items()})


def _track(resources: Resources, outcome: WalkForward) -> None:
    parent, tracking = outcome.mlflow_run_id, resources.tracking
    tracking.figures(parent, {**outcome.record.metrics, **evidence(outcome.verdict)})
    tracking.tag(parent, "run_id", outcome.run_id)
    tracking.tag(parent, "tuned", str(outcome.tuned))
    tracking.table(parent, outcome.record.equity, "equity.csv")
    tracking.table(parent, outcome.record.trades, "trades.csv")
