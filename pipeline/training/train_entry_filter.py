"""The monthly training: candidates, features, walk-forward, registration, and the out-of-sample backtest of the filter.

Reads features only through the feature store's point-in-time join, so that training sees what was known at each decision.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import structlog

from core.errors import ConfigError, DataError
from pipeline.bars import VIX, bars_by_symbol
from pipeline.research.backtest import run_backtest
from pipeline.research.backtest_evidence import BENCHMARK
from pipeline.research.backtest_terms import BacktestTerms
from pipeline.resources import Resources, live
from pipeline.signals import joint_name
from pipeline.training import champion_comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.entry_filter.train import TrainResult
    from ml.tracking.lineage import Lineage
    from trading.costs import Costs
    from trading.strategies.base import Strategy

log = structlog.get_logger()
REPRODUCED = "reproduced"
CURVES = ("unfiltered", "filtered", BENCHMARK)
CUTS: Final = 40  # places at which the leakage check ends the bars
SHOWN: Final = 3


def run(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Train the models on every candidate up to `session`; register the better one.

    MLflow is asked for before anything is computed. A second training at the same time waits its turn to register.

    Returns
    -------
    dict
        candidates, the walk-forward AUC of each model, the registered version, figures of champion and chosen model on the
        candidates after the champion's training (`ml.tracking.fresh_window.entries`; empty without one), the out-of-sample
        metrics
        of the strategy with and without the filter and of buy and hold, all over the sessions the walk-forward has scored and
        net of costs, and `lift`: the filter's difference with its interval (`ml.entry_filter.lift.compare`).

    Raises
    ------
    RetryLater
        When MLflow does not answer: before the work, or after it, and then the same call makes the same models.
    DataError
        When there is too little to learn from.
    """
    from ml.entry_filter.train import train
    from ml.tracking.next_day_log import metrics_of
    from storage.turns import MLFLOW, in_turn

    resources = resources or live()
    with in_turn(resources.engine, MLFLOW):  # the first to ask creates MLflow's tables
        resources.registry.check()
    as_of, bars = resources.clock(), bars_by_symbol(resources.bars, session, resources.universe())
    dataset = build_dataset(resources, bars)
    settings = resources.settings
    result = train(
        dataset,
        folds=settings.folds,
        embargo_sessions=settings.embargo_sessions,
        seed=settings.seed,
        stake=settings.max_position_pct / 100,
        trials=settings.train_trials,
    )
    backtests = _backtests(resources, bars, result)
    objections = objections_to(resources, session, result)
    tags = _tags(resources, session, sorted(bars), as_of)
    with in_turn(resources.engine, MLFLOW):
        try:
            fresh = champion_comparison.of_entries(resources, result, dataset)
            version = resources.registry.register(
                result,
                dataset,
                tags=tags,
                metrics=_flat(backtests) | metrics_of(fresh),
                tables={champion_comparison.FILE: fresh} if len(fresh) else {},
                objections=objections,
            )
        except Exception:
            resources.registry.check()  # says so when MLflow is what went away
            raise
    return {
        "session": session,
        "candidates": len(dataset),
        "auc": {name: fit.auc for name, fit in result.models.items()},
        "chosen": result.chosen,
        "model_version": version,
        "fresh_window": champion_comparison.as_json(fresh),
        **backtests,
    }


def build_dataset(
    resources: Resources,
    bars: dict[str, pd.DataFrame],
    *,
    strategies: Sequence[Strategy] = (),
    costs: Costs | None = None,
) -> pd.DataFrame:
    """Candidates of strategies, the traded ones unless given, with gates open or not, and the features known at each.

    Raises
    ------
    DataError
        When there are no candidates.
    """
    from backtest.engine import label_candidates

    rules = tuple(strategies) or resources.candidate_strategies
    found = [label_candidates(frame, rule, costs or resources.costs) for rule in rules for frame in bars.values()]
    if not sum(map(len, found)):
        raise DataError(
            f"Training: {joint_name(rules)} saw no entry in the bars of {len(bars)} symbols: there is nothing to learn. "
            "Load more history (`desk ingest --full-history`) or look at its parameters (`desk params show`)."
        )
    candidates = pd.concat([part for part in found if len(part)], ignore_index=True)
    candidates = candidates.sort_values(["event_timestamp", "symbol", "strategy"], ignore_index=True)
    key = ["symbol", "event_timestamp"]  # strategies that agree on a bar share its features
    features = resources.features.training_frame(candidates[key].drop_duplicates(ignore_index=True))
    return candidates.merge(features, on=key, how="left", validate="many_to_one")


def reproduce(run_id: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Make the models of a training on record again, from the bars, parameters and features as they were known then.

    Nothing is registered.

    Returns
    -------
    dict
        For each model whether its stored bytes came out the same (`reproduced`, else both digests), and whether the code is
        the one of then.

    Raises
    ------
    ConfigError
        When the run is no training, or was made of another set of features.
    DataError
        When the candidates are not those of then.
    """
    from ml.entry_filter.train import train
    from ml.estimators.models import model_digest
    from ml.samples.dataset import fingerprint
    from ml.tracking.lineage import code_version, settings_of

    resources = resources or live()
    lineage = resources.registry.lineage(run_id)
    dataset = _dataset_of(resources, lineage)
    if (sha256 := fingerprint(dataset)) != lineage.tags["dataset_sha256"]:
        raise DataError(
            f"Run {run_id}: expected the dataset {lineage.tags['dataset_sha256'][:12]} of {lineage.params['candidates']} "
            f"candidates, found {sha256[:12]} of {len(dataset)}. Bars or features were loaded again since, or the code changed."
        )
    result = train(dataset, **settings_of(lineage))
    made = {name: model_digest(fit.estimator) for name, fit in result.models.items()}
    same = {
        name: REPRODUCED if made[name] == then else f"{made[name][:12]} is not {then[:12]}"
        for name, then in lineage.digests.items()
    }
    return {"run": run_id, "dataset": sha256[:12], **same, "same_code": lineage.tags["code"] == code_version()}


def is_same(outcome: dict[str, Any]) -> bool:
    """Whether every model of a reproduction came out the same."""
    from ml.estimators.models import LIGHTGBM, LOGISTIC

    return all(outcome.get(name) == REPRODUCED for name in (LOGISTIC, LIGHTGBM))


def _dataset_of(resources: Resources, lineage: Lineage) -> pd.DataFrame:
    """The candidates of a training on record, read as of its moment."""
    from core.feature_hash import feature_set
    from core.frames import FEATURES
    from features.regime import with_vix
    from pipeline.strategies import rule_of
    from trading.costs import Costs

    tags = lineage.tags
    if tags["feature_set"] != feature_set(FEATURES):
        raise ConfigError(
            f"Run {lineage.run_id} was trained on another set of features ({tags['feature_set']}). Check out commit "
            f"{tags.get('commit', 'of that time')} to reproduce it."
        )
    moment, end = dt.datetime.fromisoformat(tags["bar_as_of"]), dt.date.fromisoformat(tags["session"])
    bars = resources.bars.read(tags["universe"].split(","), end=end, as_of=moment)
    vix = resources.bars.read([VIX], end=end, as_of=moment)
    by_symbol = {str(symbol): with_vix(group.reset_index(drop=True), vix) for symbol, group in bars.groupby("symbol")}
    costs = Costs(commission_bps=float(tags["commission_bps"]), slippage_bps=float(tags["slippage_bps"]))
    snapshot = resources.parameters.as_of(moment)
    rules = [rule_of(name, snapshot) for name in tags["strategy_set"].split(",")]
    return build_dataset(resources, by_symbol, strategies=rules, costs=costs)


def _tags(resources: Resources, session: str, symbols: list[str], as_of: dt.datetime) -> dict[str, str]:
    """What a training was made of; see `ml.tracking.lineage`."""
    from ml.tracking.lineage import source_of, versions

    return {
        "strategy": joint_name(resources.strategies),
        "strategy_set": ",".join(resources.settings.strategies),
        "strategy_params": json.dumps({rule.name: rule.describe() for rule in resources.candidate_strategies}, default=str),
        "universe": ",".join(symbols),
        "session": session,
        "bar_as_of": as_of.isoformat(),
        "provider": resources.settings.provider,
        "commission_bps": str(resources.settings.commission_bps),
        "slippage_bps": str(resources.settings.slippage_bps),
        **versions(),
        **source_of("train"),
    }


def _backtests(resources: Resources, bars: dict[str, pd.DataFrame], result: TrainResult) -> dict[str, Any]:
    """Filtered, unfiltered, and buy and hold over the same out-of-sample sessions, and the first less the second."""
    from backtest.benchmarks import buy_and_hold
    from ml.entry_filter.lift import compare

    terms = BacktestTerms(resources.costs, resources.limits, resources.settings.initial_cash_usd)
    on_record: dict[str, Any] = {"trials": resources.trials, "runs": resources.runs}
    start: dt.date = result.out_of_sample["session"].min().date()
    plain = run_backtest(bars, resources.strategies, terms, **on_record, kind="unfiltered", start=start)
    filtered = run_backtest(
        bars, resources.strategies, terms, **on_record, kind="filtered", accept=result.out_of_sample, start=start
    )
    held = buy_and_hold(plain.panel, resources.costs, plain.initial_cash_usd, start)
    vix = pd.concat(bars.values()).groupby("session")["vix"].first()
    overall, *_ = compare(filtered.equity, plain.equity, vix, resources.settings.seed)
    return {
        "out_of_sample_from": start.isoformat(),
        "unfiltered": plain.metrics,
        "filtered": filtered.metrics,
        BENCHMARK: held.metrics,
        "lift": {name: overall[name] for name in ("difference", "low", "high")},
    }


def _flat(backtests: dict[str, Any]) -> dict[str, float]:
    """Figures of each curve and of the lift, MLflow's section before the name, undefined ones left out."""
    return {
        f"{kind}/{name}": float(value)
        for kind in (*CURVES, "lift")
        for name, value in backtests[kind].items()
        if isinstance(value, (int, float))
    }


def objections_to(resources: Resources, session: str, result: TrainResult) -> list[str]:
    """What stands against the chosen model of a training; see `ml.entry_filter.gates.objections`."""
    from ml.entry_filter.gates import Limits, objections
    from pipeline.research.leakage_check import check_leakage

    leaks = check_leakage(session, None, cuts=CUTS, resources=resources)
    limits = Limits(resources.settings.gate_least_candidates, resources.settings.gate_most_calibration_error)
    return objections(result, [str(leak) for leak in leaks[:SHOWN]], limits)
