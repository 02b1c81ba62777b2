"""The registry on a real MLflow store."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from core.errors import NoChampion
from ml.entry_filter.train import TrainResult, fit_entry_filter
from ml.estimators.models import LIGHTGBM, LOGISTIC, model_digest, score
from ml.samples.dataset import fingerprint, inputs
from ml.tracking.registry import Registry
from storage.engine import cluster_url
from tests.unit.ml.conftest import make_candidates

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from core.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def dataset() -> pd.DataFrame:
    return make_candidates(200)


@pytest.fixture(scope="module")
def result(dataset: pd.DataFrame) -> TrainResult:
    return fit_entry_filter(dataset)


@pytest.fixture
def registry(database_settings: Settings, tmp_path: Path) -> Registry:
    return Registry(cluster_url(database_settings, database_settings.database.mlflow_name), tmp_path / "art", "entry-filter")


def test_the_registered_filter_predicts_what_the_trained_one_did(
    registry: Registry, result: TrainResult, dataset: pd.DataFrame, tmp_path: Path
) -> None:
    assert registry.listed_versions(20) == []
    assert registry.champion_registered_at() is None  # and no table of MLflow is made for the question
    assert registry.champion_version() is None
    with pytest.raises(NoChampion, match="desk train"):
        registry.champion()

    for version, chosen in enumerate((LIGHTGBM, LOGISTIC), start=1):
        trained = TrainResult(result.models, chosen, result.settings, result.trained_through)
        assert registry.register(trained, dataset, tags={"strategy": "s"}, metrics={"filtered/sharpe": 0.5}) == str(version)
        if version > 1:
            assert (registry.champion_version(), registry.version_of("challenger")) == ("1", str(version))
            registry.aliases.crown(str(version))
        assert registry.champion_version() == str(version)

        champion = registry.champion()
        predicted = champion.predict(dataset)

        np.testing.assert_array_equal(predicted["probability"], score(result.models[chosen].estimator, inputs(dataset)))
        assert champion.payoffs == result.models[chosen].payoffs
        assert (champion.name, champion.version) == ("entry-filter", str(version))
        assert champion.trained_through == result.trained_through

    _check_listed(registry, result)
    by_version = {each.version: each.created_at for each in registry.aliases.versions()}
    assert registry.champion_registered_at() == by_version["2"] > by_version["1"]

    files = {path.name for path in (tmp_path / "art").rglob("*") if path.is_file()}
    pictures = {"roc", "precision_recall", "confusion_matrix", "calibration", "threshold_growth", "importances"}
    assert {"model.lgb", "model.skops", "input_example.json", *(f"{name}.png" for name in pictures)} <= files
    assert {"feature_statistics.csv", "folds.csv", "importances.csv", "out_of_sample.csv", "threshold_growth.csv"} <= files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".cloudpickle"))]
    _check_runs(registry, result, dataset)


def _check_listed(registry: Registry, result: TrainResult) -> None:
    newest, oldest = registry.listed_versions(20)

    assert [newest.version, oldest.version] == ["2", "1"]
    assert (newest.aliases, oldest.aliases) == (("champion",), ())
    assert newest.metrics["auc"] == pytest.approx(result.models[LOGISTIC].auc)
    assert oldest.metrics["auc"] == pytest.approx(result.models[LIGHTGBM].auc)
    assert not [name for name in newest.metrics if name.startswith("fold/")]
    assert (newest.training_metrics, newest.objections) == ({"filtered/sharpe": 0.5}, ())
    assert newest.trained_through == result.trained_through
    assert newest.run_id != newest.training_run_id != ""
    assert [each.version for each in registry.listed_versions(1)] == ["2"]
    assert Registry(registry._uri, registry._artifact_dir, "another").listed_versions(20) == []
    predictions = registry.out_of_sample(newest.run_id)
    made = result.models[LOGISTIC].out_of_sample
    np.testing.assert_allclose(predictions["probability"], made["probability"])
    assert predictions["win"].sum() == made["win"].sum()
    assert registry.out_of_sample(newest.training_run_id).empty


def _check_runs(registry: Registry, result: TrainResult, dataset: pd.DataFrame) -> None:
    client = registry._client
    experiment = client.get_experiment_by_name("entry-filter")
    runs = client.search_runs([experiment.experiment_id])
    levels = Counter(run.data.tags["level"] for run in runs)
    assert levels == {"training": 2, "model": 4, "fold": 20}, "two trainings of two models over five folds"
    parent = next(run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    assert parent.data.tags["dataset_sha256"] == fingerprint(dataset)
    assert parent.data.metrics["filtered/sharpe"] == 0.5
    assert (parent.data.params["strategies"], parent.data.params["symbols"]) == ("bollinger", "2")
    assert parent.inputs.dataset_inputs[0].dataset.name == "candidates"
    assert parent.data.tags["period"] == f"{dataset['session'].min().date()} to {dataset['session'].max().date()}"
    child = next(run for run in runs if run.info.run_name == LOGISTIC)
    fold = next(run for run in runs if run.data.tags.get("mlflow.parentRunId") == child.info.run_id)
    number = int(fold.data.params["fold"])
    assert fold.data.metrics["auc"] == pytest.approx(result.models[LOGISTIC].fold_figures[number - 1]["auc"])
    assert fold.data.tags["strategy"] == child.data.tags["strategy"] == "s", "every level can be filtered by what it is about"
    assert 0 < child.data.metrics["log_loss"] < 1
    assert child.data.tags["model_sha256"] == model_digest(result.models[LOGISTIC].estimator)
    assert child.data.metrics["auc"] == pytest.approx(result.models[LOGISTIC].auc)
    assert child.data.params["folds"] == "5"
    assert {name for name in child.data.params if "__" in name} == {
        "classify__C",
        "classify__max_iter",
        "impute__keep_empty_features",
        "impute__strategy",
    }
    assert child.data.metrics["learnt/slope"] == result.models[LOGISTIC].window.calibration.slope
    assert len(client.get_metric_history(child.info.run_id, "fold/auc")) == 5
    assert registry._mlflow.models.get_model_info("models:/entry-filter/1").signature is not None
