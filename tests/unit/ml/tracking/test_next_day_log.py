"""The next-day model on its way into MLflow and back, on an SQLite store."""

from __future__ import annotations

import pickle
import string
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import skops.io
import yaml

from core.errors import ConfigError
from ml.next_day.next_day import BOOSTING, LIGHTGBM, NextDayFit, Signals, fit_next_day
from ml.tracking.next_day_log import load_next_day, log_next_day
from ml.tracking.registry import Registry
from tests.unit.ml.next_day.test_next_day import rows

if TYPE_CHECKING:
    import pandas as pd


@pytest.fixture(scope="module")
def dataset() -> pd.DataFrame:
    return rows(skill=0.5)


@pytest.fixture(scope="module")
def fits(dataset: pd.DataFrame) -> dict[str, NextDayFit]:
    return fit_next_day(dataset, folds=2)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("registry")
    return Registry(f"sqlite:///{folder}/mlflow.db", folder / "artifacts", "next-day-return")


def register(registry: Registry, fits: dict[str, NextDayFit], dataset: pd.DataFrame, chosen: str) -> str:
    def write(mlflow: Any, experiment: str) -> str:
        about: dict[str, Any] = {
            "chosen": chosen,
            "tags": {"universe": "AAA"},
            "params": {"seed": 7},
            "objections": ["too early"],
        }
        return log_next_day(mlflow, experiment, fits, dataset, **about)[chosen]

    return registry.enter(write, lambda version: load_next_day(registry, version))


def files(registry: Registry, version: str) -> Path:
    return Path(registry._client.get_model_version("next-day-return", version).source.removeprefix("file://"))


@pytest.mark.parametrize("chosen", [LIGHTGBM, BOOSTING])
def test_the_loaded_model_predicts_what_the_trained_one_did(
    registry: Registry, fits: dict[str, NextDayFit], dataset: pd.DataFrame, chosen: str
) -> None:
    version = register(registry, fits, dataset, chosen)

    found = load_next_day(registry, version)

    assert (found.name, found.version) == ("next-day-return", version)
    assert found.trained_through == str(dataset["session"].max().date())
    expected, said = (model.predict(dataset, Signals()) for model in (fits[chosen].model, found.model))
    for name in ("predicted_return", "low", "high", "confidence"):
        np.testing.assert_array_equal(said[name], expected[name], err_msg=name)
    assert said["signal"].tolist() == expected["signal"].tolist()


@pytest.mark.parametrize(("chosen", "packages"), [(LIGHTGBM, {"lightgbm"}), (BOOSTING, {"scikit-learn", "skops"})])
def test_a_version_states_the_packages_that_read_it(
    registry: Registry,
    fits: dict[str, NextDayFit],
    dataset: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    chosen: str,
    packages: set[str],
) -> None:
    def infer(*_: Any, **__: Any) -> None:
        pytest.fail("MLflow starts a process that looks for the requirements")

    monkeypatch.setattr("mlflow.models.infer_pip_requirements", infer)
    version = register(registry, fits, dataset, chosen)

    stated = (files(registry, version) / "requirements.txt").read_text().split()
    assert set(stated) == {f"{package}=={installed(package)}" for package in {*packages, "mlflow"}}


def test_a_training_says_what_it_came_to(registry: Registry, fits: dict[str, NextDayFit], dataset: pd.DataFrame) -> None:
    register(registry, fits, dataset, BOOSTING)

    client = registry._client
    experiment = client.get_experiment_by_name("next-day-return")
    (run,) = client.search_runs([experiment.experiment_id], "tags.level = 'training'", max_results=1)
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith(f"**1 objection** to `{BOOSTING}`")
    assert "- Objection: too early" in note
    assert run.data.metrics["rmse"] == pytest.approx(fits[BOOSTING].figures["rmse"])
    assert "next-day model" in experiment.tags["mlflow.note.content"]
    model = client.search_runs([experiment.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'")[0]
    assert len(client.get_metric_history(model.info.run_id, "fold/rmse")) == 2


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


def test_a_stored_pickle_and_foreign_types_are_refused(
    registry: Registry, fits: dict[str, NextDayFit], dataset: pd.DataFrame, tmp_path: Path
) -> None:
    version = register(registry, fits, dataset, BOOSTING)
    stored, trace = files(registry, version) / "model.skops", tmp_path / "ran"

    stored.write_bytes(pickle.dumps(Payload(trace)))
    with pytest.raises(ConfigError, match=r"cannot be read safely.*desk train-next-day"):
        load_next_day(registry, version)
    assert not trace.exists()

    skops.io.dump(string.Template("a"), stored)
    with pytest.raises(ConfigError, match=r"string\.Template"):
        load_next_day(registry, version)


def test_what_was_made_elsewhere_is_no_next_day_model_and_no_champion(
    registry: Registry, fits: dict[str, NextDayFit], dataset: pd.DataFrame
) -> None:
    version = register(registry, fits, dataset, LIGHTGBM)
    registry.aliases.crown(version)
    about = files(registry, version) / "MLmodel"
    about.write_text(yaml.safe_dump({**yaml.safe_load(about.read_text()), "metadata": {"kind": LIGHTGBM}}))

    with pytest.raises(ConfigError, match=r"is no next-day model. Move its alias .*`desk train-next-day`"):
        load_next_day(registry, version)
    fresh = register(registry, fits, dataset, LIGHTGBM)
    assert registry.champion_version() == fresh, "a champion that cannot be loaded judges nothing"
