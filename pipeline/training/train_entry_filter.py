"""Training of the entry filter: candidates, features, walk-forward, registration, and the filter's out-of-sample backtest.

Features are read only through the feature store's point-in-time join, so that training sees what was known at each decision.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import structlog

from core.errors import ConfigError, DataError
from pipeline.bars import bars_by_symbol
from pipeline.research.backtest import run_backtest
from pipeline.research.backtest_evidence import BENCHMARK
from pipeline.research.backtest_terms import BacktestTerms
from pipeline.research.datasets import PinnedBars, ResearchData
from pipeline.resources import Resources, live
from pipeline.signals import joint_name
from pipeline.training import champion_comparison

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.settings import Settings
    from ml.entry_filter.train import TrainResult
    from ml.tracking.lineage import Lineage
    from storage.features.feature_store import FeastStore
    from storage.market.bars import BarStore
    from storage.research.datasets import Dataset
    from storage.research.runs import Runs
    from storage.research.trials import Trials
    from storage.trading.strategy_params import StrategyParams
    from trading.costs import Costs
    from trading.strategies.base import Strategy

log = structlog.get_logger()
REPRODUCED = "reproduced"
CURVES = ("unfiltered", "filtered", BENCHMARK)
CUTS: Final = 40  # places at which the leakage check ends the bars
SHOWN: Final = 3


@dataclass(frozen=True)
class FilterBacktests:
    """Out-of-sample metrics of the strategy with and without the filter, and of buy and hold, net of costs.

    Attributes
    ----------
    lift
        Difference, low and high of the filter's lift; see `ml.entry_filter.lift.compare_curves`.
    """

    out_of_sample_from: str
    unfiltered: dict[str, Any]
    filtered: dict[str, Any]
    buy_and_hold: dict[str, Any]
    lift: dict[str, Any]

    def flat(self) -> dict[str, float]:
        """Return the defined figures of each curve and of the lift, each under MLflow's section."""
        return {
            f"{kind}/{name}": float(value)
            for kind in (*CURVES, "lift")
            for name, value in getattr(self, kind).items()
            if isinstance(value, (int, float))
        }


@dataclass(frozen=True)
class EntryFilterTrained:
    """Outcome of a training.

    Attributes
    ----------
    auc
        Walk-forward AUC of each model.
    fresh_window
        Figures of champion and chosen model on the candidates after the champion's training; empty without a champion.
    """

    session: str
    candidates: int
    auc: dict[str, float]
    chosen: str
    model_version: str
    fresh_window: list[dict[str, Any]]
    backtests: FilterBacktests

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, the backtests' beside the others."""
        values: dict[str, Any] = asdict(self)
        backtests = values.pop("backtests")
        return {**values, **backtests}


@dataclass(frozen=True)
class Reproduction:
    """Outcome of a reproduced training: each model `reproduced`, or both digests; and whether the code is the same."""

    run: str
    dataset: str
    models: dict[str, str]
    same_code: bool

    @property
    def is_same(self) -> bool:
        """True when every model came out the same."""
        from ml.estimators.models import LIGHTGBM, LOGISTIC

        return all(self.models.get(name) == REPRODUCED for name in (LOGISTIC, LIGHTGBM))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, the models' beside the others."""
        return {"run": self.run, "dataset": self.dataset, **self.models, "same_code": self.same_code}


def train_entry_filter(session: str, *, dataset: str | None = None, resources: Resources | None = None) -> EntryFilterTrained:
    """Train the models on every candidate up to `session`; register the better one.

    MLflow is checked before anything is computed. A second training at the same time waits its turn to register.

    Parameters
    ----------
    dataset
        Name of the research dataset whose bars are used, with the parameters and earnings dates of its moment; the live bars
        and the newest of both unless given.

    Raises
    ------
    RetryLater
        When MLflow does not answer: before the work, or after it, and then the same call makes the same models.
    DataError
        When there is too little to learn from.
    """
    from ml.entry_filter.train import fit_entry_filter
    from ml.tracking.next_day_log import metrics_of
    from storage.turns import MLFLOW, in_turn

    resources = resources or live()
    registry, settings = resources.registry, resources.settings
    with in_turn(resources.engine, MLFLOW):  # the first connection creates MLflow's tables
        registry.check()
    data = ResearchData.of(resources, dataset)
    as_of, bars, desk = data.moment or resources.clock(), data.by_symbol(session), resources.at(data.moment)
    strategies, candidates = desk.strategies, desk.candidate_strategies
    samples = build_dataset(bars, candidates, costs=resources.costs, features=resources.features)
    stake = settings.risk.max_position_pct / 100
    result = fit_entry_filter(
        samples,
        folds=settings.training.folds,
        embargo_sessions=settings.training.embargo_sessions,
        seed=settings.seed,
        stake=stake,
        trials=settings.training.trials,
    )
    backtests = _backtests(
        bars,
        strategies,
        BacktestTerms.of(resources),
        result,
        trials=resources.trials,
        runs=resources.runs,
        dataset=data.reference,
        seed=settings.seed,
    )
    objections = objections_to(result, bars, settings)
    tags = _tags(settings, strategies, candidates, session, sorted(bars), as_of) | data.tag
    with in_turn(resources.engine, MLFLOW):
        try:
            fresh = champion_comparison.compare_entry_filters(
                registry, result, samples, model_name=settings.training.model_name, stake=stake
            )
            version = registry.register(
                result,
                samples,
                tags=tags,
                metrics=backtests.flat() | metrics_of(fresh),
                tables={champion_comparison.FILE: fresh} if len(fresh) else {},
                objections=objections,
            )
        except Exception:
            registry.check()  # names MLflow when it is what failed
            raise
    auc = {name: fit.auc for name, fit in result.models.items()}
    fresh_window = champion_comparison.as_json(fresh)
    return EntryFilterTrained(session, len(samples), auc, result.chosen, version, fresh_window, backtests)


def build_dataset(
    bars: Mapping[str, pd.DataFrame], strategies: Sequence[Strategy], *, costs: Costs, features: FeastStore
) -> pd.DataFrame:
    """Return the candidates of strategies, whatever a VIX filter says, with the features known at each.

    Raises
    ------
    DataError
        When there are no candidates.
    """
    from backtest.engine import label_candidates

    labelled = [label_candidates(frame, rule, costs) for rule in strategies for frame in bars.values()]
    if not sum(map(len, labelled)):
        raise DataError(
            f"Training: expected entries of {joint_name(strategies)} in the bars of {len(bars)} symbols, found none. "
            "Load more history (`desk ingest --full-history`) or check its parameters (`desk params show`)."
        )
    candidates = pd.concat([part for part in labelled if len(part)], ignore_index=True)
    candidates = candidates.sort_values(["event_timestamp", "symbol", "strategy"], ignore_index=True)
    key = ["symbol", "event_timestamp"]  # strategies that agree on a bar share its features
    known = features.training_frame(candidates[key].drop_duplicates(ignore_index=True))
    return candidates.merge(known, on=key, how="left", validate="many_to_one")


def reproduce_training(run_id: str, *, resources: Resources | None = None) -> Reproduction:
    """Retrain an MLflow run and compare the model bytes; nothing is registered.

    The run is a training's, or one within it, by its id or a prefix of it: what `desk explain-order` shows as the model's run.
    Bars, parameters and features are read as they were known then.

    Raises
    ------
    ConfigError
        When the run is no training, or was made of another set of features.
    DataError
        When the candidates are not those of then.
    """
    from ml.entry_filter.train import fit_entry_filter
    from ml.estimators.models import model_digest
    from ml.samples.dataset import fingerprint
    from ml.tracking.lineage import code_version, settings_of

    resources = resources or live()
    lineage = resources.registry.lineage(run_id)
    pinned = lineage.tags.get("dataset")
    frozen = None if pinned is None else resources.datasets.get(pinned.partition("@")[0])
    dataset = _dataset_of(lineage, resources.bars, frozen, resources.parameters, resources.features)
    if (sha256 := fingerprint(dataset)) != lineage.tags["dataset_sha256"]:
        raise DataError(
            f"Run {run_id}: expected the dataset {lineage.tags['dataset_sha256'][:12]} of {lineage.params['candidates']} "
            f"candidates, found {sha256[:12]} of {len(dataset)}. Bars or features were loaded again since, or the code changed."
        )
    result = fit_entry_filter(dataset, **settings_of(lineage))
    made = {name: model_digest(fit.estimator) for name, fit in result.models.items()}
    models = {
        name: REPRODUCED if made[name] == then else f"{made[name][:12]} is not {then[:12]}"
        for name, then in lineage.digests.items()
    }
    return Reproduction(lineage.run_id, sha256[:12], models, lineage.tags["code"] == code_version())


def _dataset_of(
    lineage: Lineage, store: BarStore, frozen: Dataset | None, parameters: StrategyParams, features: FeastStore
) -> pd.DataFrame:
    """Return the candidates of a training on record, read as of its moment, or from the research dataset it was made from."""
    from core.feature_hash import feature_set
    from core.frames import FEATURES
    from pipeline.strategies import rule_of
    from trading.costs import Costs

    tags = lineage.tags
    if tags["feature_set"] != feature_set(FEATURES):
        raise ConfigError(
            f"Run {lineage.run_id} was trained on another set of features ({tags['feature_set']}). Check out commit "
            f"{tags.get('commit', 'of that time')} to reproduce it."
        )
    moment, end = dt.datetime.fromisoformat(tags["bar_as_of"]), dt.date.fromisoformat(tags["session"])
    known = PinnedBars.of(store, frozen) if frozen else PinnedBars(store, None, end, moment, None)
    by_symbol = bars_by_symbol(known, tags["session"], tags["universe"].split(","))
    costs = Costs(commission_bps=float(tags["commission_bps"]), slippage_bps=float(tags["slippage_bps"]))
    snapshot = parameters.as_of(moment)
    rules = [rule_of(name, snapshot) for name in tags["strategy_set"].split(",")]
    return build_dataset(by_symbol, rules, costs=costs, features=features)


def _tags(  # noqa: PLR0917  # what a training was made of
    settings: Settings,
    strategies: Sequence[Strategy],
    candidates: Sequence[Strategy],
    session: str,
    symbols: list[str],
    as_of: dt.datetime,
) -> dict[str, str]:
    """Return the tags of a training's lineage; see `ml.tracking.lineage`."""
    from ml.tracking.lineage import source_of, versions

    return {
        "strategy": joint_name(strategies),
        "strategy_set": ",".join(settings.strategies),
        "strategy_params": json.dumps({rule.name: rule.describe() for rule in candidates}, default=str),
        "universe": ",".join(symbols),
        "session": session,
        "bar_as_of": as_of.isoformat(),
        "provider": settings.provider,
        "commission_bps": str(settings.costs.commission_bps),
        "slippage_bps": str(settings.costs.slippage_bps),
        **versions(),
        **source_of("train"),
    }


def _backtests(
    bars: dict[str, pd.DataFrame],
    strategies: Sequence[Strategy],
    terms: BacktestTerms,
    result: TrainResult,
    *,
    trials: Trials,
    runs: Runs,
    dataset: str | None,
    seed: int,
) -> FilterBacktests:
    """Backtest unfiltered, filtered, and buy and hold over the same out-of-sample sessions, and compare."""
    from backtest.benchmarks import buy_and_hold
    from ml.entry_filter.lift import compare_curves

    start: dt.date = result.out_of_sample["session"].min().date()
    record: dict[str, Any] = {"trials": trials, "runs": runs, "dataset": dataset, "start": start}
    plain = run_backtest(bars, strategies, terms, kind="unfiltered", **record)
    filtered = run_backtest(bars, strategies, terms, kind="filtered", accept=result.out_of_sample, **record)
    held = buy_and_hold(plain.panel, terms.costs, plain.initial_cash_usd, start)
    vix = pd.concat(bars.values()).groupby("session")["vix"].first()
    overall, *_ = compare_curves(filtered.equity, plain.equity, vix, seed)
    return FilterBacktests(
        out_of_sample_from=start.isoformat(),
        unfiltered=plain.metrics,
        filtered=filtered.metrics,
        buy_and_hold=held.metrics,
        lift={name: overall[name] for name in ("difference", "low", "high")},
    )


def objections_to(result: TrainResult, bars: dict[str, pd.DataFrame], settings: Settings) -> list[str]:
    """Return the objections to the chosen model of a training; see `ml.entry_filter.gates.objections`."""
    from ml.entry_filter.gates import Limits, objections
    from pipeline.research.leakage_check import leaks_in

    leaks = leaks_in(None, bars, cuts=CUTS)
    limits = Limits(settings.gates.least_candidates, settings.gates.most_calibration_error)
    return objections(result, [str(leak) for leak in leaks[:SHOWN]], limits)
