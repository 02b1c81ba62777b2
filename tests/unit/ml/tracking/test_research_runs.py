"""Runs of research in MLflow, on an SQLite store: nested, with what is defined alone, and marked failed when they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from ml.tracking.research_runs import Tracking

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracking")


@pytest.fixture(scope="module")
def tracking(folder: Path) -> Tracking:
    return Tracking(f"sqlite:///{folder}/mlflow.db", folder / "artifacts")


@pytest.fixture
def client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


def test_a_run_within_a_run_names_its_parent_and_both_finish(tracking: Tracking, client: MlflowClient) -> None:
    with tracking.run("sizes", "outer", {"trials": 3}) as outer, tracking.run("sizes", "inner", {}, outer) as inner:
        assert client.get_run(outer).info.status == "RUNNING"

    assert client.get_run(inner).data.tags["mlflow.parentRunId"] == outer
    assert client.get_run(inner).info.experiment_id == client.get_run(outer).info.experiment_id
    assert [client.get_run(run).info.status for run in (outer, inner)] == ["FINISHED", "FINISHED"]
    assert client.get_run(outer).data.params == {"trials": "3"}


def test_a_run_whose_work_raises_is_marked_failed(tracking: Tracking, client: MlflowClient) -> None:
    with pytest.raises(ArithmeticError), tracking.run("sizes", "broken", {}) as run_id:
        raise ArithmeticError("no")

    assert client.get_run(run_id).info.status == "FAILED"


def test_undefined_figures_are_left_out_and_long_parameters_cut(tracking: Tracking, client: MlflowClient) -> None:
    with tracking.run("sizes", "figures", {"symbols": "A" * 9000}) as run_id:
        tracking.figures(run_id, {"sharpe": None, "trade_count": 4, "survives": False})
        tracking.tag(run_id, "why", "nothing was feasible")

    data = client.get_run(run_id).data
    assert data.metrics == {"trade_count": 4.0, "survives": 0.0}
    assert data.tags["why"] == "nothing was feasible"
    assert set(data.params["symbols"]) == {"A"}


def test_a_frame_is_kept_as_a_file(tracking: Tracking, client: MlflowClient, tmp_path: Path) -> None:
    frame = pd.DataFrame({"session": ["2020-01-02"], "equity_usd": [100.5]})
    with tracking.run("sizes", "files", {}) as run_id:
        tracking.table(run_id, frame, "equity.csv")

    kept = client.download_artifacts(run_id, "equity.csv", str(tmp_path))
    pd.testing.assert_frame_equal(pd.read_csv(kept), frame)


def test_the_global_run_of_mlflow_is_left_alone(tracking: Tracking) -> None:
    with tracking.run("sizes", "alone", {}):
        assert mlflow.active_run() is None
