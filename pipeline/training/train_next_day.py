"""Training of the next-day model: every session of every symbol, features as they were known, walk-forward, registration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.research.datasets import ResearchData
from pipeline.resources import Resources, live
from pipeline.training import champion_comparison

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storage.features.feature_store import FeastStore

NO_BETTER = "squared error out of sample is not under that of predicting the mean return of the past"


@dataclass(frozen=True)
class NextDayTrained:
    """Outcome of a training.

    Attributes
    ----------
    objections
        Failed training gates, or ``none``.
    figures
        Of the chosen model; see `ml.next_day.next_day.figures_of`.
    fresh_window
        Figures of champion and chosen model on the sessions after the champion's training; empty without a champion.
    """

    session: str
    rows: int
    chosen: str
    model_version: str
    objections: str
    figures: dict[str, float]
    fresh_window: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, the figures beside the others."""
        values: dict[str, Any] = asdict(self)
        fresh_window, figures = values.pop("fresh_window"), values.pop("figures")
        return {**values, **figures, "fresh_window": fresh_window}


def train_next_day(session: str, *, dataset: str | None = None, resources: Resources | None = None) -> NextDayTrained:
    """Train both models on everything up to `session` and register the better one.

    It takes the champion's or a challenger's alias only when it was better than predicting the mean return of the past.

    Parameters
    ----------
    dataset
        Name of the research dataset whose bars are used; the live bars unless given.

    Raises
    ------
    RetryLater
        When MLflow does not answer; it is checked before the work.
    """
    from ml.next_day.next_day import Signals, fit_next_day
    from ml.tracking.lineage import source_of, versions
    from ml.tracking.next_day_log import log_next_day
    from storage.turns import MLFLOW, in_turn

    resources = resources or live()
    settings, registry = resources.settings, resources.next_day_registry
    with in_turn(resources.engine, MLFLOW):  # the first connection creates MLflow's tables
        registry.check()
    data = ResearchData.of(resources, dataset)
    as_of, bars = data.moment or resources.clock(), data.by_symbol(session)
    samples = build_dataset(bars, resources.features)
    terms = {"folds": settings.training.folds, "embargo_sessions": settings.training.embargo_sessions, "seed": settings.seed}
    signals = Signals(settings.next_day.buy_above_pct / 100, settings.next_day.sell_below_pct / 100)
    fits = fit_next_day(samples, **terms, signals=signals)
    chosen = min(fits, key=lambda name: (fits[name].figures["rmse"], name))
    objections = [] if fits[chosen].figures.get("r2_against_mean", 0.0) > 0 else [NO_BETTER]
    tags = {
        "universe": ",".join(sorted(bars)),
        "session": session,
        "bar_as_of": as_of.isoformat(),
        **versions(),
        **source_of("train-next-day"),
        **data.tag,
    }
    params = {**terms, "buy_above_pct": settings.next_day.buy_above_pct, "sell_below_pct": settings.next_day.sell_below_pct}
    with in_turn(resources.engine, MLFLOW):
        fresh = champion_comparison.compare_next_days(
            registry,
            resources.next_day_model,
            fits[chosen],
            samples,
            signals,
            model_name=settings.next_day.model_name,
        )

        def write(mlflow: Any, experiment: str) -> str:  # noqa: ANN401  # a module
            about: dict[str, Any] = {"chosen": chosen, "tags": tags, "params": params, "objections": objections, "fresh": fresh}
            return log_next_day(mlflow, experiment, fits, samples, **about)[chosen]

        version = registry.enter(write, resources.next_day_model, objections)
    return NextDayTrained(
        session,
        len(samples),
        chosen,
        version,
        "; ".join(objections) or "none",
        fits[chosen].figures,
        champion_comparison.as_json(fresh),
    )


def build_dataset(bars: Mapping[str, pd.DataFrame], features: FeastStore) -> pd.DataFrame:
    """Return next-day targets of every symbol with the features known at each close."""
    from ml.next_day.next_day import targets

    rows = pd.concat([targets(frame) for frame in bars.values()], ignore_index=True)
    rows = rows.sort_values(["event_timestamp", "symbol"], ignore_index=True)
    key = ["symbol", "event_timestamp"]
    return rows.merge(features.training_frame(rows[key]), on=key, how="left", validate="one_to_one")
