"""What Prometheus reads. Owns the names of the measures; one registry an application."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """Measures of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("desk_requests_total", "Requests", ["route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "desk_request_seconds",
            "Seconds to answer",
            ["route"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
            registry=self.registry,
        )
        self.predictions = Counter("desk_predictions_total", "Predictions", ["signal"], registry=self.registry)
        self.reloads = Counter("desk_model_loads_total", "Loads of the champion", ["outcome"], registry=self.registry)
        self.model = Gauge("desk_model_info", "1 for the model that serves", ["name", "version"], registry=self.registry)
        self._serving: tuple[str, str] | None = None

    def serve_model(self, name: str, version: str) -> None:
        """Note which model serves now."""
        if self._serving is not None:
            self.model.labels(*self._serving).set(0)
        self._serving = (name, version)
        self.model.labels(name, version).set(1)
