"""Walk-forward optimisation on stored bars: search each window, trade the next, join the records, deflate, and store.

One window is `pipeline.research.walk_forward_window`; joined records and their evidence are `research.out_of_sample`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.errors import UnknownSymbol
from pipeline.research.backtest_terms import BacktestTerms
from pipeline.research.datasets import ResearchData
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from optuna.storages import BaseStorage

    from core.settings import Settings
    from ml.tracking.research_runs import Tracking
    from pipeline.research.walk_forward_window import Progress, Search, SearchPlan, Step
    from research.out_of_sample import OverfittingEvidence, TrackRecord
    from research.search import Constraints
    from research.statistics import Interval
    from storage.research.runs import Runs
    from storage.research.trials import Trials

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
    record: TrackRecord
    evidence: OverfittingEvidence
    profit_interval: Interval | None
    sharpe_interval: Interval | None
    tuned: dict[str, Any] | None
    run_id: str
    mlflow_run_id: str


def constraints_of(settings: Settings) -> Constraints:
    """Return the settings' constraints on a parameter set."""
    from research.search import Constraints

    return Constraints(
        settings.optimise.min_profit_per_trade_pct,
        settings.optimise.min_trades_a_month,
        settings.optimise.min_profit_factor,
    )


def run_walk_forward(
    session: str,
    plan: SearchPlan,
    *,
    jobs: int = 1,
    worker: int = 0,
    dataset: str | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
    resources: Resources | None = None,
) -> WalkForward:
    """Optimise on each training window, trade the choice on the sessions after it, and deflate the joined record.

    With one worker the same bars, settings and plan give the same outcome for any `jobs`. Finished trials of a study are not
    run again.

    Parameters
    ----------
    jobs
        Windows searched at once, in threads; -1 is one a core.
    worker
        Number of this process when several share the work: each runs the same plan under a number of its own.
    dataset
        Name of the research dataset whose bars are used; the live bars unless given.
    on_progress
        Called with the number of finished backtests and of all.
    """
    from joblib import Parallel, delayed

    from pipeline.research.walk_forward_window import Progress
    from research.search import quiet

    resources = resources or live()
    trials, tracking = resources.trials, resources.tracking
    data = ResearchData.of(resources, dataset)
    bars = _require_bars(plan, lambda: data.by_symbol(session))
    terms = BacktestTerms.of(resources)
    search = replace(make_search(plan, bars, terms, resources.settings), dataset=data.reference)
    progress = Progress(search.size * len(search.spans), on_progress)
    storage = resources.studies.storage
    with tracking.run(EXPERIMENT, search.label, search.described) as parent, quiet():
        steps = []
        todo = (delayed(search.step)(no, storage, trials, worker, progress) for no in range(len(search.spans)))
        for step in Parallel(n_jobs=jobs, backend="threading", return_as="generator")(todo):
            _track_step(tracking, step, parent)
            steps.append(step)
        tried = _returns(search, storage, jobs, progress)
        outcome = _outcome(search, steps, tried, trials, resources.runs, parent)
        _track(tracking, outcome, search.tag)
    return outcome


def _require_bars(plan: SearchPlan, load: Callable[[], dict[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Return the bars of the plan's symbols; refuse a plan that cannot be searched before any bars are loaded."""
    from research.search import size_of

    size_of(plan.strategy, plan.sampler, plan.trials)
    stored = load()
    for symbol in plan.symbols:
        if symbol not in stored:
            raise UnknownSymbol(symbol, stored)
    return {symbol: stored[symbol] for symbol in sorted(plan.symbols or stored)}


def make_search(plan: SearchPlan, bars: Mapping[str, pd.DataFrame], terms: BacktestTerms, settings: Settings) -> Search:
    """Return the search of a plan on bars by symbol: its windows, and the task of the first."""
    from backtest.panel import prepare
    from pipeline.research.walk_forward_window import Search
    from research.search import Task
    from research.walkforward import windows

    axis = prepare(bars)
    spans = windows(
        axis.sessions,
        train_sessions=plan.train_sessions,
        test_sessions=plan.test_sessions,
        anchored=plan.anchored,
        embargo_sessions=settings.training.embargo_sessions,
    )
    task = Task(
        plan.strategy,
        spans[0].train_start,
        spans[0].train_end,
        terms.costs,
        terms.limits,
        metric=plan.metric,
        constraints=plan.constraints or constraints_of(settings),
        vix_gate=plan.vix_gate,
        initial_cash_usd=terms.initial_cash_usd,
    )
    return Search(plan, task, dict(bars), axis, spans, settings.seed)


def _returns(search: Search, storage: BaseStorage, jobs: int, progress: Progress) -> NDArray[np.float64]:
    """Return the daily returns, over all sessions searched and tested, of every parameter set that any window tried."""
    from research.out_of_sample import returns_of
    from research.search import trials_of

    names = [search.study_name(search.at(no)) for no in range(len(search.spans))]
    seen = [one.params for name in names for one in trials_of(storage, name) if one.metrics is not None]
    sets = list({str(sorted(params.items())): params for params in seen}.values())
    progress.more(len(sets))
    first, last = search.spans[0].train_start, search.spans[-1].test_end
    return returns_of(search.bars, search.task, sets, first, last, jobs=jobs, on_progress=lambda *_: progress.step())


def _outcome(  # noqa: PLR0917  # the parts of one outcome
    search: Search, steps: list[Step], tried: NDArray[np.float64], trials: Trials, runs: Runs, mlflow_run_id: str
) -> WalkForward:
    """Join the windows, deflate by every trial ever made of the strategy, and store the run."""
    from research.evidence import period_returns
    from research.out_of_sample import join, overfitting_evidence
    from research.search import Best
    from research.statistics import mean_interval, sharpe_interval
    from trading.strategies.registry import make_strategy

    cash, bars_a_year = search.task.initial_cash_usd, search.axis.bars_a_year
    record = join([step.record for step in steps], cash, bars_a_year)
    returns = period_returns(record.equity["equity_usd"].to_numpy(), cash)
    chosen = [step.choice.params for step in steps if isinstance(step.choice, Best)]
    in_time = record.trades.sort_values("entry_session", kind="stable")["net_return"].to_numpy()
    evidence = overfitting_evidence(returns, tried, trials.count(search.family), periods_a_year=bars_a_year)
    tuned = make_strategy(search.plan.strategy, chosen[-1]).describe() if chosen else None
    return WalkForward(
        tuple(steps),
        record,
        evidence,
        mean_interval(in_time, seed=search.seed),
        sharpe_interval(returns, seed=search.seed, periods_a_year=bars_a_year),
        tuned,
        _save(runs, search, record, evidence, tuned),
        mlflow_run_id,
    )


def _save(runs: Runs, search: Search, record: TrackRecord, evidence: OverfittingEvidence, tuned: dict[str, Any] | None) -> str:
    costs = search.task.costs
    meta = {
        "strategy": search.plan.strategy,
        "params": tuned,
        "symbols": list(search.bars),
        "first_session": str(search.spans[0].test_start),
        "last_session": str(search.spans[-1].test_end),
        "commission_bps": costs.commission_bps,
        "slippage_bps": costs.slippage_bps,
        "initial_cash_usd": search.task.initial_cash_usd,
        "search": search.described,
        "verdict": evidence.as_dict(),
        **search.tag,
    }
    return runs.save(kind="walk_forward", meta=meta, metrics=record.metrics, trades=record.trades, equity=record.equity)


def _track_step(tracking: Tracking, step: Step, parent: str) -> None:
    """Log a window as a run within its walk-forward's."""
    from research.search import Best

    window, best = step.window, step.choice
    params = best.params if isinstance(best, Best) else {}
    spans = {"train": f"{window.train_start} to {window.train_end}", "test": f"{window.test_start} to {window.test_end}"}
    with tracking.run(EXPERIMENT, f"window {window.test_start}", {**spans, **params}, parent) as run_id:
        in_sample = {f"train_{name}": value for name, value in best.metrics.items()} if isinstance(best, Best) else {}
        tracking.figures(run_id, {"trials": best.trials, **in_sample, **step.record.metrics})
        if not isinstance(best, Best):
            tracking.tag(run_id, "refused", str(best))
            tracking.figures(run_id, {f"rejected_{name}": many for name, many in best.rejected.items()})


def _track(tracking: Tracking, outcome: WalkForward, tags: Mapping[str, str]) -> None:
    """Log the joined record."""
    parent = outcome.mlflow_run_id
    for name, value in tags.items():
        tracking.tag(parent, name, value)
    tracking.figures(parent, {**outcome.record.metrics, **outcome.evidence.as_dict()})
    tracking.tag(parent, "run_id", outcome.run_id)
    tracking.tag(parent, "tuned", str(outcome.tuned))
    tracking.table(parent, outcome.record.equity, "equity.csv")
    tracking.table(parent, outcome.record.trades, "trades.csv")
