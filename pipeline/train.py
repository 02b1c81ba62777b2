"""The monthly training: candidates, features, walk-forward, registration, and the out-of-sample backtest of the filter.

Reads features only through the feature store's point-in-time join, so that training sees what was known at each decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.gates import objections_to
from pipeline.research import bars_by_symbol, run_backtest
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    import datetime as dt

    from ml.train import TrainResult


def run(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Train both models on every candidate up to `session`; register the better one.

    Returns
    -------
    dict
        candidates, the walk-forward AUC of each model, the registered version, and the out-of-sample metrics of the
        strategy with and without the filter, both over the sessions the walk-forward has scored and net of costs.
    """
    from ml.train import train

    found = resources or live()
    bars = bars_by_symbol(found, session)
    dataset = build_dataset(found, bars)
    result = train(
        dataset,
        folds=found.settings.folds,
        embargo_sessions=found.settings.embargo_sessions,
        seed=found.settings.seed,
    )
    backtests = _backtests(found, bars, result)
    version = found.registry.register(
        result,
        dataset,
        tags={"strategy": found.strategy.name, "universe": ",".join(sorted(bars)), "bar_as_of": found.clock().isoformat()},
        metrics=_flat(backtests),
        objections=objections_to(found, session, result),
    )
    return {
        "session": session,
        "candidates": len(dataset),
        "auc": {name: fit.auc for name, fit in result.models.items()},
        "chosen": result.chosen,
        "model_version": version,
        **backtests,
    }


def build_dataset(resources: Resources, bars: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Candidates of the strategy, with or without its gate open, and the features known at each decision."""
    from backtest.engine import label_candidates

    candidates = pd.concat(
        [label_candidates(frame, resources.candidate_strategy, resources.costs) for frame in bars.values()], ignore_index=True
    ).sort_values(["event_timestamp", "symbol"], ignore_index=True)
    features = resources.features.training_frame(candidates[["symbol", "event_timestamp"]])
    return candidates.merge(features, on=["symbol", "event_timestamp"], how="left", validate="one_to_one")


def _backtests(resources: Resources, bars: dict[str, pd.DataFrame], result: TrainResult) -> dict[str, Any]:
    """Filtered and unfiltered over the same out-of-sample sessions."""
    start: dt.date = result.out_of_sample["session"].min().date()
    plain = run_backtest(resources, bars, kind="unfiltered", start=start)
    filtered = run_backtest(resources, bars, kind="filtered", accept=result.out_of_sample, start=start)
    return {"out_of_sample_from": start.isoformat(), "unfiltered": plain.metrics, "filtered": filtered.metrics}


def _flat(backtests: dict[str, Any]) -> dict[str, float]:
    """`filtered` and `unfiltered` metrics under one level of names, undefined ones left out, for MLflow."""
    return {
        f"{kind}_{name}": float(value)
        for kind in ("unfiltered", "filtered")
        for name, value in backtests[kind].items()
        if isinstance(value, (int, float))
    }
