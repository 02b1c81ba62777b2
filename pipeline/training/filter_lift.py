"""The entry filter's lift: filtered, unfiltered, and buy and hold, strategy by strategy, out of sample and net of costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import structlog

from core.errors import DataError
from pipeline.bars import bars_by_symbol
from pipeline.research.backtest_terms import BacktestTerms
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from backtest.benchmarks import Benchmark
    from backtest.engine import Result
    from backtest.panel import Panel
    from ml.tracking.research_runs import Tracking
    from storage.features.feature_store import FeastStore
    from trading.costs import Costs
    from trading.strategies.base import Strategy

log = structlog.get_logger()
EXPERIMENT = "filter-lift"
TOGETHER = "together"
SHOWN = ("trade_count", "profit_per_trade", "win_rate", "sharpe", "max_drawdown", "annual_return")


@dataclass(frozen=True)
class FilterLift:
    """Figures and differences of the filtered strategies.

    Attributes
    ----------
    figures
        Columns strategy, kind, and those of `SHOWN`. A strategy that could not be learnt from has one row with the reason in
        `note`.
    differences
        Columns strategy, against, and those of `ml.entry_filter.lift.compare_curves`.
    """

    figures: pd.DataFrame
    differences: pd.DataFrame


@dataclass(frozen=True)
class _Training:
    """Settings of the trainings and of the backtests on their predictions."""

    terms: BacktestTerms
    folds: int
    embargo_sessions: int
    seed: int
    stake: float
    trials: int


def measure_filter_lift(
    session: str,
    strategies: Sequence[str] = (),
    *,
    resources: Resources | None = None,
    on_progress: Callable[[str], object] = lambda _: None,
) -> FilterLift:
    """Train a filter for each strategy and trade its out-of-sample predictions through the engine.

    Each strategy runs with the parameters in force and without a VIX filter, so that every regime is covered: first alone with
    an entry filter of its own, then (`TOGETHER`) all in one portfolio with the one filter that the desk would train for them.

    Parameters
    ----------
    strategies
        Names; all unless given.
    """
    from backtest.panel import prepare
    from pipeline.strategies import rule_of
    from trading.strategies.registry import STRATEGIES

    resources = resources or live()
    bars, settings = bars_by_symbol(resources.bars, session, resources.universe()), resources.settings
    training = _Training(
        BacktestTerms.of(resources),
        folds=settings.folds,
        embargo_sessions=settings.embargo_sessions,
        seed=settings.seed,
        stake=settings.max_position_pct / 100,
        trials=settings.train_trials,
    )
    snapshot = resources.parameters.as_of(None)
    rules = {name: rule_of(name, snapshot) for name in strategies or STRATEGIES}
    datasets = _datasets(bars, rules, training.terms.costs, resources.features)
    panel = prepare(bars)
    vix = pd.concat(bars.values()).groupby("session")["vix"].first()
    figures: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    cases = {name: [name] for name in rules} | ({TOGETHER: list(rules)} if len(rules) > 1 else {})
    for name, members in cases.items():
        on_progress(name)
        try:
            dataset = pd.concat([datasets[member] for member in members], ignore_index=True)
            shown, compared = _compare(panel, [rules[member] for member in members], dataset, vix, training)
        except DataError as error:
            log.warning("no_lift", strategy=name, reason=str(error))
            figures.append({"strategy": name, "kind": "none", "note": str(error)})
            continue
        figures.extend({"strategy": name, **row} for row in shown)
        differences.extend({"strategy": name, **row} for row in compared)
    lift = FilterLift(pd.DataFrame(figures), pd.DataFrame(differences))
    _track(resources.tracking, session, training.folds, lift)
    return lift


def _compare(
    panel: Panel, rules: list[Strategy], dataset: pd.DataFrame, vix: pd.Series[float], training: _Training
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the figures and the differences of strategies in one portfolio."""
    from backtest.benchmarks import buy_and_hold
    from ml.entry_filter.lift import compare_curves, stitched
    from ml.entry_filter.train import fit_entry_filter

    terms = training.terms
    result = fit_entry_filter(
        dataset,
        folds=training.folds,
        embargo_sessions=training.embargo_sessions,
        seed=training.seed,
        stake=training.stake,
        trials=training.trials,
    )
    accept = stitched(result)
    start = accept["session"].min().date()
    curves: dict[str, Result | Benchmark] = {
        "filtered": terms.run(panel, rules, accept=accept, start=start),
        "unfiltered": terms.run(panel, rules, start=start),
        "buy and hold": buy_and_hold(panel, terms.costs, terms.initial_cash_usd, start),
    }
    shown = [{"kind": kind, "from": start, **_figures(curve.metrics)} for kind, curve in curves.items()]
    aucs = {name: f"{fit.auc:.3f} ({fit.auc_low:.3f} to {fit.auc_high:.3f})" for name, fit in result.models.items()}
    shown[0] |= {"candidates": len(dataset), **aucs}
    compared = [
        {"against": other, **row}
        for other in ("unfiltered", "buy and hold")
        for row in compare_curves(curves["filtered"].equity, curves[other].equity, vix, training.seed)
    ]
    return shown, compared


def _datasets(
    bars: Mapping[str, pd.DataFrame], rules: Mapping[str, Strategy], costs: Costs, features: FeastStore
) -> dict[str, pd.DataFrame]:
    """Return the candidates of every strategy with their features, which are read once for all of them."""
    from backtest.engine import label_candidates

    key = ["symbol", "event_timestamp"]
    candidates = {
        name: pd.concat([label_candidates(frame, rule, costs) for frame in bars.values()], ignore_index=True)
        for name, rule in rules.items()
    }
    keys = pd.concat([frame[key] for frame in candidates.values()]).drop_duplicates()
    known = features.training_frame(keys.sort_values(["event_timestamp", "symbol"], ignore_index=True))
    return {name: frame.merge(known, on=key, how="left", validate="many_to_one") for name, frame in candidates.items()}


def _figures(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: metrics.get(name) for name in SHOWN}


def _track(tracking: Tracking, session: str, folds: int, lift: FilterLift) -> None:
    """Log both tables to MLflow."""
    with tracking.run(EXPERIMENT, f"lift {session}", {"session": session, "folds": folds}) as run_id:
        tracking.table(run_id, lift.figures, "figures.csv")
        tracking.table(run_id, lift.differences, "differences.csv")
