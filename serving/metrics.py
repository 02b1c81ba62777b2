"""What Prometheus reads. Owns the names of the measures; one registry an application."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1, 5)


class Metrics:
    """Measures of one application."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("desk_requests_total", "Requests", ["route", "status"], registry=registry)
        self.seconds = Histogram("desk_request_seconds", "Seconds to answer", ["route"], buckets=SECONDS, registry=registry)
        self.scoring = Histogram(
            "desk_prediction_seconds",
            "Seconds from a parsed request to its prediction",
            ["route", "arm", "model", "version"],
            buckets=SECONDS,
            registry=registry,
        )
        self.predictions = Counter("desk_predictions_total", "Predictions", ["arm", "signal"], registry=registry)
        self.reloads = Counter("desk_model_loads_total", "Loads of a model", ["arm", "outcome"], registry=registry)
        self.model = Gauge("desk_model_info", "1 for a model that serves", ["arm", "name", "version"], registry=registry)
        self.queue = Gauge("desk_prediction_queue_rows", "Predictions that wait to be stored", registry=registry)
        self.stored = Counter("desk_predictions_stored_total", "Predictions stored", registry=registry)
        self.refused = Counter("desk_predictions_refused_total", "Predictions refused: the queue was full", registry=registry)
        self.store_failures = Counter("desk_prediction_store_failures_total", "Writes that failed", registry=registry)
        self.set_aside = Counter("desk_predictions_set_aside_total", "Predictions PostgreSQL refused", registry=registry)
        # A label lookup costs two microseconds and locks; the few that every request needs are kept.
        self.request = lru_cache(maxsize=512)(self._request)
        self.prediction = lru_cache(maxsize=64)(self._prediction)
        self._serving: dict[str, tuple[str, str]] = {}

    def _request(self, route: str, status: int) -> tuple[Counter, Histogram]:
        return self.requests.labels(route, status), self.seconds.labels(route)

    def _prediction(self, route: str, arm: str, model: str, version: str, signal: str) -> tuple[Counter, Histogram]:
        return self.predictions.labels(arm, signal), self.scoring.labels(route, arm, model, version)

    def serve_model(self, arm: str, name: str, version: str) -> None:
        """Note which model an arm serves now."""
        self.drop_model(arm)
        self._serving[arm] = (name, version)
        self.model.labels(arm, name, version).set(1)

    def drop_model(self, arm: str) -> None:
        """Note that an arm's model serves no longer."""
        before = self._serving.pop(arm, None)
        if before is not None:
            self.model.labels(arm, *before).set(0)
