"""Reads of MLflow in time: one read for all who ask, remembered for a while, refused when it takes too long."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.errors import ConfigError
from ml.tracking.bounded import BoundedVersions, MlflowDown


class Mlflow:
    """A registry that answers when it is allowed to."""

    def __init__(self) -> None:
        self.answers, self.asked = threading.Event(), 0
        self.error: Exception | None = None
        self.answers.set()

    def listed_versions(self, limit: int) -> list[Any]:
        self.asked += 1
        assert self.answers.wait(10)
        if self.error:
            raise self.error
        return [limit]

    def out_of_sample(self, run_id: str) -> Any:
        return run_id


@pytest.fixture
def mlflow() -> Mlflow:
    return Mlflow()


def bounded(mlflow: Mlflow, **terms: float) -> BoundedVersions:
    return BoundedVersions(lambda: mlflow, **terms)  # type: ignore[arg-type,return-value]


def test_an_answer_is_remembered_for_a_while(mlflow: Mlflow) -> None:
    versions = bounded(mlflow, remembered_seconds=60)

    assert [versions.listed_versions(5) for _ in range(3)] == [[5]] * 3
    assert (mlflow.asked, versions.listed_versions(6), versions.out_of_sample("r")) == (1, [6], "r")
    forgetful = bounded(mlflow, remembered_seconds=0)
    forgetful.listed_versions(5)
    time.sleep(0.01)
    forgetful.listed_versions(5)
    assert mlflow.asked == 4


def test_a_read_that_takes_too_long_is_refused_and_not_started_again_while_it_hangs(mlflow: Mlflow) -> None:
    mlflow.answers.clear()
    versions = bounded(mlflow, seconds=0.05)
    with pytest.raises(MlflowDown, match=r"within 0\.05 s"):
        versions.listed_versions(5)
    began = time.monotonic()
    with pytest.raises(MlflowDown):
        versions.listed_versions(5)

    assert time.monotonic() - began < 0.05, "the second is refused at once"
    assert mlflow.asked == 1
    mlflow.answers.set()
    wait = time.monotonic() + 5
    while time.monotonic() < wait:
        try:
            assert versions.listed_versions(5) == [5]
            break
        except MlflowDown:
            time.sleep(0.005)
    assert mlflow.asked == 1, "what came late is an answer all the same"


def test_one_that_hangs_for_very_long_is_given_up_and_another_is_tried(mlflow: Mlflow) -> None:
    mlflow.answers.clear()
    versions = bounded(mlflow, seconds=0.01)
    with pytest.raises(MlflowDown):
        versions.listed_versions(5)
    time.sleep(0.15)
    with pytest.raises(MlflowDown):
        versions.listed_versions(5)

    assert mlflow.asked == 2
    mlflow.answers.set()


def test_whoever_asks_at_once_shares_one_read(mlflow: Mlflow) -> None:
    mlflow.answers.clear()
    versions = bounded(mlflow, seconds=10)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(versions.listed_versions, 5) for _ in range(8)]
        time.sleep(0.05)
        mlflow.answers.set()
        assert [each.result() for each in answers] == [[5]] * 8

    assert mlflow.asked == 1


def test_whatever_mlflow_throws_is_that_it_does_not_answer_and_an_error_of_the_desk_stays(mlflow: Mlflow) -> None:
    mlflow.error = OSError("no route; password=hush")
    with pytest.raises(MlflowDown, match=r"^MLflow does not answer \(OSError\)\.$"):
        bounded(mlflow).listed_versions(5)
    mlflow.error = ConfigError("no model of this desk")
    with pytest.raises(ConfigError, match="no model of this desk"):
        bounded(mlflow).listed_versions(5)


def test_a_registry_that_cannot_be_opened_is_one_that_does_not_answer() -> None:
    def closed() -> Any:
        raise ConnectionError

    with pytest.raises(MlflowDown, match="ConnectionError"):
        BoundedVersions(closed).listed_versions(5)


def test_only_so_many_answers_are_remembered(mlflow: Mlflow) -> None:
    versions = bounded(mlflow)
    for limit in range(200):
        versions.listed_versions(limit)

    assert len(versions._reads) <= 64
