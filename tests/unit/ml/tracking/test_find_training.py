"""A training is found by its run, by a run within it, and by a prefix that leads to no other training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from core.errors import ConfigError
from ml.tracking.lineage import NEEDED, read_lineage

PARENTS = {
    "aa11": None, "aa22": "aa11", "ab33": "aa22",  # a training, its model, a fold of that
    "bb11": None, "bb22": "bb11", "ac44": "bb11",
    "cc11": None,  # a run of something else
}  # fmt: skip


class PagedList(list[Any]):
    token: str | None = None


class Client:
    """MLflow's client over a few runs, two to a page."""

    def __init__(self) -> None:
        self.runs = {run_id: self._run(run_id, parent) for run_id, parent in PARENTS.items()}

    @staticmethod
    def _run(run_id: str, parent: str | None) -> Any:
        tags = {"mlflow.parentRunId": parent} if parent else {}
        if run_id in {"aa11", "bb11"}:
            tags |= {"level": "training", **dict.fromkeys(NEEDED, "x")}
        info = SimpleNamespace(run_id=run_id, run_name=f"run {run_id}", experiment_id="1")
        return SimpleNamespace(info=info, data=SimpleNamespace(tags={"model_sha256": "x", **tags}, params={}))

    def get_run(self, run_id: str) -> Any:
        if run_id not in self.runs:
            raise MlflowException("not found")
        return self.runs[run_id]

    def search_runs(self, _: list[str], wanted: str = "", max_results: int = 1_000, page_token: str | None = None) -> PagedList:
        del max_results
        runs = [run for run in self.runs.values() if not wanted or run.data.tags.get("mlflow.parentRunId", "-") in wanted]
        start = int(page_token or 0)
        page = PagedList(runs[start : start + 2] if not wanted else runs)
        page.token = str(start + 2) if not wanted and start + 2 < len(runs) else None
        return page


@pytest.mark.parametrize(
    ("given", "training"),
    [
        ("aa11", "aa11"),
        ("aa22", "aa11"),
        ("ab33", "aa11"),
        ("aa", "aa11"),
        ("ab", "aa11"),
        ("ac", "bb11"),
        ("b", "bb11"),
        ("AA2", "aa11"),
    ],
)
def test_the_training_of_a_run(given: str, training: str) -> None:
    assert read_lineage(Client(), "1", given).run_id == training  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("a", "found 2 trainings: aa11, bb11"),
        ("d", "found none"),
        ("", "found none"),
        ("cc", "expected a training with the tags"),
    ],
)
def test_a_run_that_leads_to_no_training_or_to_several_is_refused(given: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_lineage(Client(), "1", given)  # type: ignore[arg-type]
