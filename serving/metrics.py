"""Measures of one application, as Prometheus reads them. Owns their names.

Requests and predictions are counted in plain lists by the event loop's one thread, and collected when Prometheus reads them:
its own counters take locks, and the four that a request needs cost as much as the model's answer.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prometheus_client import Metric

SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1, 5)
BOUNDS = (*map(str, map(float, SECONDS)), "+Inf")
ANSWERED = ("kind", "route", "arm", "model", "version", "signal")


class Durations:
    """A histogram of durations."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * len(BOUNDS)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds


class Family(NamedTuple):
    """A measure: its name, its description, and its labels."""

    name: str
    text: str
    labels: Sequence[str]


class Timed(Collector):
    """Durations by labels, read as a counter over some of the labels and as a histogram over some."""

    def __init__(self, names: Sequence[str], counter: Family, histogram: Family) -> None:
        self._names = tuple(names)
        self._counter, self._histogram = counter, histogram
        self._by: dict[tuple[str, ...], Durations] = {}

    def of(self, *labels: str) -> Durations:
        """Return the durations under labels, one for each name."""
        durations = self._by.get(labels)
        if durations is None:
            durations = self._by[labels] = Durations()
        return durations

    def collect(self) -> Iterator[Metric]:
        """Yield both measures as they stand."""
        name, text, labels = self._counter
        counted = CounterMetricFamily(name, text, labels=labels)
        for key, (counts, _) in self._summed(labels).items():
            counted.add_metric(key, sum(counts))
        yield counted
        name, text, labels = self._histogram
        timed = HistogramMetricFamily(name, text, labels=labels)
        for key, (counts, seconds) in self._summed(labels).items():
            timed.add_metric(key, list(zip(BOUNDS, accumulate(counts), strict=True)), seconds)
        yield timed

    def _summed(self, labels: Sequence[str]) -> Mapping[tuple[str, ...], tuple[list[int], float]]:
        """Return counts and seconds by some of the labels."""
        places = [self._names.index(name) for name in labels]
        sums: dict[tuple[str, ...], tuple[list[int], float]] = {}
        for key, each in list(self._by.items()):
            group = tuple(key[place] for place in places)
            counts, seconds = sums.get(group, ([0] * len(BOUNDS), 0.0))
            sums[group] = [a + b for a, b in zip(counts, each.counts, strict=True)], seconds + each.seconds
        return sums


class Metrics:
    """Measures of one application."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Timed(
            ("route", "status"),
            counter=Family("desk_requests", "Requests", ("route", "status")),
            histogram=Family("desk_request_seconds", "Seconds to answer", ("route",)),
        )
        self.predictions = Timed(
            ANSWERED,
            counter=Family("desk_predictions", "Predictions", ("kind", "arm", "signal")),
            histogram=Family("desk_prediction_seconds", "Seconds from a request to its prediction", ANSWERED[:-1]),
        )
        registry.register(self.requests)
        registry.register(self.predictions)
        self.reloads = Counter("desk_model_loads_total", "Loads of a model", ["kind", "arm", "outcome"], registry=registry)
        self.model = Gauge(
            "desk_model_info", "1 for a model that serves", ["kind", "arm", "name", "version"], registry=registry
        )
        self.queue = Gauge("desk_prediction_queue_rows", "Predictions that wait to be stored", registry=registry)
        self.stored = Counter("desk_predictions_stored_total", "Predictions stored", registry=registry)
        self.refused = Counter("desk_predictions_refused_total", "Predictions refused: the queue was full", registry=registry)
        self.store_failures = Counter("desk_prediction_store_failures_total", "Writes that failed", registry=registry)
        self.set_aside = Counter("desk_predictions_set_aside_total", "Predictions PostgreSQL refused", registry=registry)
        self._listeners = Gauge("desk_event_listeners", "Open streams of GET /events", registry=registry)
        self._serving: dict[tuple[str, str], tuple[str, str]] = {}

    def count_listeners(self, count: Callable[[], int]) -> None:
        """Read the number of open streams from a function."""
        self._listeners.set_function(count)

    def serve_model(self, kind: str, arm: str, name: str, version: str) -> None:
        """Note which model an arm serves now."""
        self.drop_model(kind, arm)
        self._serving[kind, arm] = (name, version)
        self.model.labels(kind, arm, name, version).set(1)

    def drop_model(self, kind: str, arm: str) -> None:
        """Note that an arm's model serves no longer."""
        before = self._serving.pop((kind, arm), None)
        if before is not None:
            self.model.labels(kind, arm, *before).set(0)
