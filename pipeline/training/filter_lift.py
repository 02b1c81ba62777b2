"""Filtered against unfiltered against buy and hold, strategy by strategy, out of sample and net of costs. Registers nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import structlog

from core.errors import DataError
from pipeline.bars import bars_by_symbol
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from backtest.benchmarks import Benchmark
    from backtest.engine import Result
    from backtest.panel import Panel
    from trading.strategies.base import Strategy

log = structlog.get_logger()
EXPERIMENT = "filter-lift"
TOGETHER = "together"
SHOWN = ("trade_count", "profit_per_trade", "win_rate", "sharpe", "max_drawdown", "annual_return")


def run(
    session: str,
    strategies: Sequence[str] = (),
    *,
    resources: Resources | None = None,
    on_progress: Callable[[str], object] = lambda _: None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train a filter for each strategy and trade its out-of-sample predictions through the engine.

    Each strategy runs with the parameters in force and without gates, so that every VIX regime is there to be judged, first
    alone with a filter of its own, then (`TOGETHER`) all in one portfolio with the one filter that the desk would train for
    them.

    Parameters
    ----------
    strategies
        Names; all unless given.

    Returns
    -------
    tuple
        Figures (strategy, kind, and those of `SHOWN`), and differences (strategy, against, and the columns of
        `ml.entry_filter.lift.compare`). A strategy that could not be learnt from has one row with the reason in `note`.
    """
    from backtest.panel import prepare
    from trading.strategies.registry import STRATEGIES

    resources = resources or live()
    bars = bars_by_symbol(resources.bars, session, resources.universe())
    rules = {name: _rule(resources, name) for name in strategies or STRATEGIES}
    datasets = _datasets(resources, bars, rules)
    panel = prepare(bars)
    vix = pd.concat(bars.values()).groupby("session")["vix"].first()
    figures: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    cases = {name: [name] for name in rules} | ({TOGETHER: list(rules)} if len(rules) > 1 else {})
    for name, members in cases.items():
        on_progress(name)
        try:
            dataset = pd.concat([datasets[member] for member in members], ignore_index=True)
            shown, compared = _judge(resources, panel, [rules[member] for member in members], dataset, vix)
        except DataError as error:
            log.warning("no_lift", strategy=name, reason=str(error))
            figures.append({"strategy": name, "kind": "none", "note": str(error)})
            continue
        figures.extend({"strategy": name, **row} for row in shown)
        differences.extend({"strategy": name, **row} for row in compared)
    table = pd.DataFrame(differences)
    _keep(resources, session, pd.DataFrame(figures), table)
    return pd.DataFrame(figures), table


def _judge(
    resources: Resources,
    panel: Panel,
    rules: list[Strategy],
    dataset: pd.DataFrame,
    vix: pd.Series[float],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Figures and differences of strategies in one portfolio."""
    from backtest.benchmarks import buy_and_hold
    from backtest.engine import backtest
    from ml.entry_filter.lift import compare, stitched
    from ml.entry_filter.train import train

    settings = resources.settings
    terms = {"folds": settings.folds, "embargo_sessions": settings.embargo_sessions, "seed": settings.seed}
    result = train(dataset, **terms, stake=settings.max_position_pct / 100, trials=settings.train_trials)
    accept = stitched(result)
    start = accept["session"].min().date()
    money = {"limits": resources.limits, "initial_cash_usd": settings.initial_cash_usd, "start": start}
    curves: dict[str, Result | Benchmark] = {
        "filtered": backtest(panel, rules, resources.costs, accept=accept, **money),
        "unfiltered": backtest(panel, rules, resources.costs, **money),
        "buy and hold": buy_and_hold(panel, resources.costs, settings.initial_cash_usd, start),
    }
    shown = [{"kind": kind, "from": start, **_figures(curve.metrics)} for kind, curve in curves.items()]
    aucs = {name: f"{fit.auc:.3f} ({fit.auc_low:.3f} to {fit.auc_high:.3f})" for name, fit in result.models.items()}
    shown[0] |= {"candidates": len(dataset), **aucs}
    compared = [
        {"against": other, **row}
        for other in ("unfiltered", "buy and hold")
        for row in compare(curves["filtered"].equity, curves[other].equity, vix, settings.seed)
    ]
    return shown, compared


def _datasets(resources: Resources, bars: dict[str, pd.DataFrame], rules: Mapping[str, Strategy]) -> dict[str, pd.DataFrame]:
    """Candidates of every strategy with their features, which are read once for all of them."""
    from backtest.engine import label_candidates

    key = ["symbol", "event_timestamp"]
    candidates = {
        name: pd.concat([label_candidates(frame, rule, resources.costs) for frame in bars.values()], ignore_index=True)
        for name, rule in rules.items()
    }
    keys = pd.concat([frame[key] for frame in candidates.values()]).drop_duplicates()
    features = resources.features.training_frame(keys.sort_values(["event_timestamp", "symbol"], ignore_index=True))
    return {name: frame.merge(features, on=key, how="left", validate="many_to_one") for name, frame in candidates.items()}


def _rule(resources: Resources, name: str) -> Strategy:
    from pipeline.strategies import rule_of

    return rule_of(name, resources.parameters.as_of(None))


def _figures(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: metrics.get(name) for name in SHOWN}


def _keep(resources: Resources, session: str, figures: pd.DataFrame, differences: pd.DataFrame) -> None:
    """Both tables in MLflow."""
    with resources.tracking.run(
        EXPERIMENT, f"lift {session}", {"session": session, "folds": resources.settings.folds}
    ) as run_id:
        resources.tracking.table(run_id, figures, "figures.csv")
        resources.tracking.table(run_id, differences, "differences.csv")
