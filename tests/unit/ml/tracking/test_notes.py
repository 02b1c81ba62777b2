"""What MLflow shows of a training in words, and which parameters it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml.entry_filter.train import TrainResult, fit_entry_filter
from ml.estimators.models import CONSTANT, LIGHTGBM, LOGISTIC, chosen_settings, make_models
from ml.tracking.lineage import source_of
from ml.tracking.notes import NOTE, describe, training_note
from ml.tracking.registry import Registry
from tests.unit.ml.conftest import make_candidates

if TYPE_CHECKING:
    from pathlib import Path

LEARNT = "120 candidates, 2010-01-04 to 2018-12-31"


@pytest.fixture(scope="module")
def result() -> TrainResult:
    return fit_entry_filter(make_candidates(120), folds=2)


def test_a_training_without_objections_may_challenge(result: TrainResult) -> None:
    verdict, _, auc, *_ = training_note(result, {}, (), LEARNT).splitlines()

    fit = result.models[result.chosen]
    assert verdict == f"**Gates passed**: `{result.chosen}`, the better model, may challenge."
    assert auc == f"- AUC {fit.auc:.3f}, 95 % interval {fit.auc_low:.3f} to {fit.auc_high:.3f}; a constant rate has 0.5"


def test_every_objection_is_named_and_the_verdict_counts_them(result: TrainResult) -> None:
    note = training_note(result, {}, ("no better than chance", "calibration error 0.200"), LEARNT)

    assert note.startswith(f"**2 objections** to `{result.chosen}`, the better model: it does not challenge")
    assert "- Objection: no better than chance\n- Objection: calibration error 0.200\n" in note
    assert "passed" not in note
    assert f"- Learnt from {LEARNT}, tested on " in note


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.2, 1.4, "- Lift: +0.80"), (-0.2, 1.8, "- No lift: +0.80"), (0.0, 1.6, "- No lift: +0.80")],
)
def test_a_lift_is_one_only_where_its_interval_excludes_zero(result: TrainResult, low: float, high: float, said: str) -> None:
    metrics = {"lift/difference": 0.8, "lift/low": low, "lift/high": high}

    note = training_note(result, metrics, (), LEARNT)

    assert f"{said} points a year against no filter, 95 % interval {low:+.2f} to {high:+.2f}" in note


def test_a_filter_that_costs_is_said_to_and_one_not_measured_is_not_spoken_of(result: TrainResult) -> None:
    metrics = {"lift/difference": -0.8, "lift/low": -1.4, "lift/high": -0.2}

    assert "- Loss: -0.80 points a year" in training_note(result, metrics, (), LEARNT)
    assert "lift" not in training_note(result, {}, (), LEARNT).lower()


def test_only_parameters_that_were_chosen_are_kept() -> None:
    models = make_models(7)

    assert chosen_settings(models[LOGISTIC]) == {
        "classify__C": 0.1,
        "classify__max_iter": 2000,
        "impute__keep_empty_features": True,
        "impute__strategy": "median",
    }
    assert chosen_settings(models[LIGHTGBM]) == {
        "colsample_bytree": 0.5,
        "learning_rate": 0.03,
        "num_leaves": 7,
        "reg_lambda": 10.0,
        "subsample": 0.8,
        "subsample_freq": 1,
    }, "100 trees and 20 samples a leaf are LightGBM's own"
    assert chosen_settings(models[CONSTANT]) == {}
    assert "num_leaves" not in chosen_settings(models[LIGHTGBM].set_params(num_leaves=31)), "31 is the default"


def test_what_a_person_wrote_about_an_experiment_stays(tmp_path: Path) -> None:
    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts", "entry-filter")
    experiment = registry._experiment()
    describe(registry._mlflow, experiment, "ours")
    assert registry._client.get_experiment(experiment).tags[NOTE] == "ours"

    registry._client.set_experiment_tag(experiment, NOTE, "theirs")
    describe(registry._mlflow, experiment, "ours")

    assert registry._client.get_experiment(experiment).tags[NOTE] == "theirs"


def test_a_training_from_before_sections_is_still_read(tmp_path: Path) -> None:
    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts", "entry-filter")
    mlflow, experiment = registry._mlflow, registry._experiment()
    with mlflow.start_run(experiment_id=experiment, run_name="training 2018-12-31"):
        mlflow.set_tags({"chosen": LOGISTIC, "session": "2018-12-31", "trained_through": "2018-12-28", "level": "training"})
        mlflow.log_params({"candidates": 80, "folds": 5})
        mlflow.log_metrics({"filtered_sharpe": 0.5, "fresh_window_champion_log_loss": 0.7})
        with mlflow.start_run(experiment_id=experiment, run_name=LOGISTIC, nested=True):
            mlflow.log_metrics({"auc": 0.6, "auc_low": 0.5, "auc_high": 0.7, "fold_auc": 0.6})

    assert registry.latest_training()["models"] == {LOGISTIC: {"auc": 0.6, "auc_low": 0.5, "auc_high": 0.7}}


def test_a_training_names_the_dag_run_or_the_command_that_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAG_ID", "DAG_RUN_ID"):
        monkeypatch.delenv(f"AIRFLOW_CTX_{name}", raising=False)
    assert source_of("train")["mlflow.source.name"] == "desk train"

    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "model_training")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "manual__1")

    assert source_of("train") == {"mlflow.source.name": "model_training/manual__1", "mlflow.source.type": "JOB"}
