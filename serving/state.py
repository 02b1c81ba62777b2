"""The parts of one application, composed once over the process's resources. Starts nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml.entry_filter.scorer import Scorer
from ml.next_day.next_day import Signals
from pipeline.views.models.versions import KINDS, versions_of
from serving.access import Access
from serving.change_feed import ChangeFeed
from serving.inputs import Inputs
from serving.journal import Journal
from serving.metrics import Metrics
from serving.models import Kind, Models, NoNextDayModel
from serving.next_day_scorer import NextDayScorer
from serving.online import OnlineRows
from serving.predictions import Entries, NextDays, Record
from storage.trading.served import ENTRY, NEXT_DAY
from storage.views.changes import Changes

if TYPE_CHECKING:
    from fastapi import Request

    from ml.entry_filter.predict import EntryFilter
    from ml.tracking.bounded import BoundedVersions
    from ml.tracking.next_day_log import RegisteredNextDay
    from pipeline.resources import Resources
    from pipeline.views.models.versions import ModelKind


@dataclass(frozen=True)
class State:
    """The parts of one application."""

    resources: Resources
    metrics: Metrics
    entry_models: Models[EntryFilter, Scorer]
    next_day_models: Models[RegisteredNextDay, NextDayScorer]
    journal: Journal
    access: Access
    entries: Entries
    next_days: NextDays
    versions: dict[ModelKind, BoundedVersions]
    feed: ChangeFeed

    @classmethod
    def of(cls, resources: Resources) -> State:
        """Put the parts together over the process's resources."""
        metrics, clock = Metrics(), resources.clock
        entry_models = Models(entry_kind(resources), metrics, resources.alerts, clock)
        next_day_models = Models(next_day_kind(resources), metrics, resources.alerts, clock)
        journal = Journal(
            lambda: resources.served,
            resources.data_dir / "unstored-predictions",
            resources.settings.api.queue_rows,
            resources.alerts,
            metrics,
        )
        record = Record(journal, metrics)
        rows = OnlineRows(lambda: resources.features, lambda: resources.bars, clock, historical=resources.historical)
        inputs = Inputs(rows, resources.settings.api.max_feature_age_sessions)
        entries, next_days = Entries(entry_models, inputs, record, clock), NextDays(next_day_models, inputs, record, clock)
        access = Access(resources.settings)
        versions = {kind: versions_of(kind, resources=resources) for kind in KINDS}
        feed = ChangeFeed(lambda: Changes(resources.engine), resources.settings.api.event_listeners)
        metrics.count_listeners(lambda: feed.listening)
        models = (entry_models, next_day_models)
        return cls(resources, metrics, *models, journal, access, entries, next_days, versions, feed)

    @property
    def watched(self) -> tuple[Models[Any, Any], ...]:
        """The models of each kind."""
        return self.entry_models, self.next_day_models

    def refresh_models(self) -> None:
        """Load the versions under the aliases."""
        for models in self.watched:
            models.refresh()

    async def watch_models(self) -> None:
        """Refresh for ever, off the event loop."""
        while True:
            await asyncio.sleep(self.resources.settings.api.champion_poll_seconds)
            await asyncio.to_thread(self.refresh_models)


def entry_kind(resources: Resources) -> Kind[EntryFilter, Scorer]:
    """The entry filter in MLflow."""
    return Kind(
        name=ENTRY,
        registered=resources.settings.training.model_name,
        aliases=lambda: resources.registry.aliases.all(),  # noqa: PLW0108  # the registry is reached on first use
        load=lambda version: resources.registry.load(version),  # noqa: PLW0108
        scorer=Scorer,
        command="desk train",
    )


def next_day_kind(resources: Resources) -> Kind[RegisteredNextDay, NextDayScorer]:
    """The next-day model in MLflow, with the limits of BUY and SELL from the settings."""
    settings = resources.settings
    signals = Signals(settings.next_day.buy_above_pct / 100, settings.next_day.sell_below_pct / 100)
    return Kind(
        name=NEXT_DAY,
        registered=settings.next_day.model_name,
        aliases=lambda: resources.next_day_registry.aliases.all(),  # noqa: PLW0108
        load=resources.next_day_model,
        scorer=lambda model: NextDayScorer(model, signals),
        command="desk train-next-day",
        missing=NoNextDayModel,
    )


def state_of(request: Request) -> State:
    """Return the parts of the application that a request came to."""
    state: State = request.app.state.desk
    return state
