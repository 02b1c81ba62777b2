"""The model that serves: loaded once, exchanged when the alias moves. Owns the exchange; it predicts nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from core.errors import NoChampion

if TYPE_CHECKING:
    from ml.predict import EntryFilter
    from pipeline.resources import Resources
    from serving.metrics import Metrics

log = structlog.get_logger()


class Champion:
    """Holds the entry filter under the alias; readers always get a whole one."""

    def __init__(self, resources: Resources, metrics: Metrics) -> None:
        self._resources = resources
        self._metrics = metrics
        self._filter: EntryFilter | None = None

    def get(self) -> EntryFilter:
        """The filter that serves now.

        Raises
        ------
        NoChampion
            When none has been registered yet.
        """
        if self._filter is None:
            name = self._resources.settings.model_name
            raise NoChampion(f"No champion of {name!r} is registered yet.")
        return self._filter

    @property
    def version(self) -> str | None:
        """Version that serves now."""
        return self._filter.version if self._filter else None

    def refresh(self) -> None:
        """Load the champion if the alias has moved. A failure keeps what serves, and is logged and counted."""
        try:
            version = self._resources.registry.champion_version()
            if version is None or version == self.version:
                return
            fresh = self._resources.registry.champion()
        except Exception as error:  # whatever the store throws, the old model goes on serving
            log.exception("model_load_failed", serving=self.version, error=type(error).__name__)
            self._metrics.reloads.labels("failed").inc()
            return
        log.info("model_loaded", name=fresh.name, version=fresh.version, before=self.version)
        self._filter = fresh
        self._metrics.reloads.labels("loaded").inc()
        self._metrics.serve_model(fresh.name, fresh.version)

    async def watch(self, every_seconds: float) -> None:
        """Refresh for ever, off the event loop."""
        while True:
            await asyncio.to_thread(self.refresh)
            await asyncio.sleep(every_seconds)
