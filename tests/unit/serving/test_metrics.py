"""Measures counted without locks, as Prometheus reads them."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import Metrics


def test_durations_become_a_counter_and_a_cumulative_histogram() -> None:
    metrics = Metrics()
    for seconds in (0.0004, 0.0005, 0.002, 99.0):
        metrics.requests.of("/predict-entry", "200").add(seconds)
    metrics.requests.of("/predict-entry", "404").add(0.02)

    families = {family.name: family for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())}

    counted = {sample.labels["status"]: sample.value for sample in families["desk_requests"].samples}
    timed = families["desk_request_seconds"].samples
    buckets = {sample.labels["le"]: sample.value for sample in timed if sample.name.endswith("_bucket")}
    assert counted == {"200": 4, "404": 1}
    assert (buckets["0.0005"], buckets["0.001"], buckets["0.002"], buckets["0.025"], buckets["5.0"]) == (2, 2, 3, 4, 4)
    assert buckets["+Inf"] == 5, "both statuses are in one histogram"
    assert next(sample.value for sample in timed if sample.name.endswith("_sum")) == 0.0004 + 0.0005 + 0.002 + 99.0 + 0.02


def test_predictions_are_counted_by_signal_and_timed_by_version() -> None:
    metrics = Metrics()
    for signal, version in (("enter", "1"), ("enter", "2"), ("skip", "2")):
        metrics.predictions.of("entry", "/predict-entry", "champion", "entry-filter", version, signal).add(0.001)

    text = generate_latest(metrics.registry).decode()

    assert 'desk_predictions_total{arm="champion",kind="entry",signal="enter"} 2.0' in text
    labels = 'arm="champion",kind="entry",model="entry-filter",route="/predict-entry",version="2"'
    assert f"desk_prediction_seconds_count{{{labels}}} 2.0" in text


def test_an_arm_names_the_one_model_that_serves_it() -> None:
    metrics = Metrics()
    metrics.serve_model("entry", "champion", "entry-filter", "1")
    metrics.serve_model("next_day", "champion", "next-day-return", "1")
    metrics.serve_model("entry", "champion", "entry-filter", "2")

    text = generate_latest(metrics.registry).decode()

    assert 'desk_model_info{arm="champion",kind="entry",name="entry-filter",version="1"} 0.0' in text
    assert 'desk_model_info{arm="champion",kind="entry",name="entry-filter",version="2"} 1.0' in text
    assert 'desk_model_info{arm="champion",kind="next_day",name="next-day-return",version="1"} 1.0' in text
