"""What the registry stores, and what it refuses to load, on an SQLite store."""

from __future__ import annotations

import hashlib
import os
import pickle
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import skops.io
import yaml

from core.errors import ConfigError, NoChampion
from ml.entry_filter.train import TrainResult, fit_entry_filter
from ml.estimators.models import LIGHTGBM, LOGISTIC, model_digest, score
from ml.samples.dataset import inputs
from ml.tracking.registry import ALIAS, Registry, load_scorer
from tests.unit.ml.conftest import make_candidates

if TYPE_CHECKING:
    import pandas as pd


@pytest.fixture(scope="module")
def dataset() -> pd.DataFrame:
    return make_candidates(200)


@pytest.fixture(scope="module")
def result(dataset: pd.DataFrame) -> TrainResult:
    return fit_entry_filter(dataset)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def registry(folder: Path) -> Registry:
    return Registry(f"sqlite:///{folder}/mlflow.db", folder / "artifacts", "entry-filter")


def register(registry: Registry, result: TrainResult, dataset: pd.DataFrame, chosen: str) -> Path:
    """Register with one model chosen; returns the folder of its files."""
    trained = TrainResult(result.models, chosen, result.settings, result.trained_through)
    version = registry.register(trained, dataset, tags={"session": result.trained_through}, metrics={})
    if registry.champion_version() != version:
        registry.aliases.crown(version)
    return Path(registry._client.get_model_version("entry-filter", version).source.removeprefix("file://"))


def tag(registry: Registry, files: Path, name: str) -> str:
    about = yaml.safe_load((files / "MLmodel").read_text())
    return str(registry._client.get_run(about["run_id"]).data.tags[name])


@pytest.mark.parametrize("chosen", [LIGHTGBM, LOGISTIC])
def test_the_loaded_filter_predicts_what_the_trained_one_did(
    registry: Registry, result: TrainResult, dataset: pd.DataFrame, chosen: str
) -> None:
    register(registry, result, dataset, chosen)

    predicted = registry.champion().predict(dataset)

    np.testing.assert_array_equal(predicted["probability"], score(result.models[chosen].estimator, inputs(dataset)))


def test_the_same_data_and_seed_give_the_same_stored_model(
    registry: Registry, result: TrainResult, dataset: pd.DataFrame
) -> None:
    again = fit_entry_filter(dataset)

    text = [register(registry, trained, dataset, LIGHTGBM) / "model.lgb" for trained in (result, again)]
    arrays = [register(registry, trained, dataset, LOGISTIC) / "model.skops" for trained in (result, again)]

    for first, second in (text, arrays):
        assert first.read_bytes() == second.read_bytes()
        assert hashlib.sha256(first.read_bytes()).hexdigest() == tag(registry, first.parent, "model_sha256")
    assert model_digest(skops.io.load(arrays[0], trusted=["numpy.dtype"])) == tag(registry, arrays[0].parent, "model_sha256")


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


def test_a_stored_pickle_is_refused_whatever_the_model_file_says(
    registry: Registry, result: TrainResult, dataset: pd.DataFrame, tmp_path: Path
) -> None:
    files = register(registry, result, dataset, LOGISTIC)
    about = yaml.safe_load((files / "MLmodel").read_text())
    about["flavors"]["sklearn"]["serialization_format"] = "pickle"
    (files / "MLmodel").write_text(yaml.safe_dump(about))
    trace = tmp_path / "ran"
    (files / "model.skops").write_bytes(pickle.dumps(Payload(trace)))

    with pytest.raises(ConfigError, match="cannot be read safely"):
        registry.champion()

    assert not trace.exists()


def test_a_stored_model_cannot_say_which_types_to_trust(registry: Registry, result: TrainResult, dataset: pd.DataFrame) -> None:
    files = register(registry, result, dataset, LOGISTIC)
    about = yaml.safe_load((files / "MLmodel").read_text())
    about["flavors"]["sklearn"]["skops_trusted_types"] = ["numpy.dtype", "string.Template"]
    (files / "MLmodel").write_text(yaml.safe_dump(about))
    skops.io.dump(string.Template("a"), files / "model.skops")

    with pytest.raises(ConfigError, match=r"string\.Template"):
        registry.champion()


@pytest.mark.parametrize("kind", [LIGHTGBM, LOGISTIC])
def test_a_broken_model_file_is_an_error_with_a_remedy(tmp_path: Path, kind: str) -> None:
    (tmp_path / "model").write_text("half a mod")

    with pytest.raises(ConfigError, match="Train anew"):
        load_scorer(kind, tmp_path / "model")


def test_a_model_made_elsewhere_is_refused(registry: Registry, result: TrainResult, dataset: pd.DataFrame) -> None:
    files = register(registry, result, dataset, LIGHTGBM)
    about = yaml.safe_load((files / "MLmodel").read_text())
    (files / "MLmodel").write_text(yaml.safe_dump({**about, "metadata": None}))

    with pytest.raises(ConfigError, match=r"is no model of this desk. Move its alias"):
        registry.champion()
    assert registry._unusable_champion(registry.load) == registry.champion_version()
    newer = registry.register(result, dataset, tags={}, metrics={}, objections=["held against it"])
    assert (registry.champion_version(), registry.champion().version) == (newer, newer), "an unusable one is no champion"


def test_the_poll_follows_the_alias(registry: Registry, result: TrainResult, dataset: pd.DataFrame) -> None:
    register(registry, result, dataset, LOGISTIC)
    first = registry.champion_version()
    register(registry, result, dataset, LIGHTGBM)
    assert first is not None
    assert registry.champion_version() == str(int(first) + 1)

    registry._client.set_registered_model_alias("entry-filter", ALIAS, first)
    assert registry.champion_version() == first
    assert registry.champion().version == first

    registry._client.delete_registered_model_alias("entry-filter", ALIAS)
    assert registry.champion_version() is None
    with pytest.raises(NoChampion, match="desk train"):
        registry.champion()


def test_a_training_that_did_not_finish_is_not_the_latest(
    registry: Registry, result: TrainResult, dataset: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(registry, result, dataset, LOGISTIC)
    version = registry.champion_version()

    def full_disk(*_: object) -> str:
        raise OSError("no space left")

    monkeypatch.setattr("ml.tracking.training_log.log_model", full_disk)
    with pytest.raises(OSError, match="no space left"):
        register(registry, result, dataset, LIGHTGBM)

    assert registry.champion_version() == version
    latest = registry.latest_training()
    assert latest["chosen"] == LOGISTIC
    assert set(latest["models"]) == {LOGISTIC, LIGHTGBM}


def test_registering_leaves_the_terminal_and_the_environment_alone(
    registry: Registry, result: TrainResult, dataset: pd.DataFrame, capfd: pytest.CaptureFixture[str]
) -> None:
    register(registry, result, dataset, LOGISTIC)
    registry.champion()

    printed = capfd.readouterr()
    assert printed.err == ""
    assert all("champion" in line or "challenger" in line for line in printed.out.splitlines()), "nothing but our own events"
    assert not {"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"} & set(os.environ)


def test_two_stores_in_one_process_do_not_mix(
    registry: Registry, result: TrainResult, dataset: pd.DataFrame, tmp_path: Path
) -> None:
    other = Registry(f"sqlite:///{tmp_path}/other.db", tmp_path / "artifacts", "another-filter")
    register(registry, result, dataset, LOGISTIC)
    assert other.champion_version() is None

    other.register(result, dataset, tags={}, metrics={})

    assert (other.champion().name, other.champion().version) == ("another-filter", "1")
    assert registry.champion().name == "entry-filter"
