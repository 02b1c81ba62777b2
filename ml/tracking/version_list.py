"""Registered versions with the figures of their trainings, in few queries; and the out-of-sample predictions of one."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from ml.tracking.aliases import GATES, PASSED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow import MlflowClient
    from mlflow.entities import Run

PARENT: Final = "mlflow.parentRunId"
PER_FOLD: Final = "fold/"  # figures of single test blocks, which the run of each fold has too
OUT_OF_SAMPLE: Final = "out_of_sample.csv"


@dataclass(frozen=True)
class ListedVersion:
    """A registered version.

    Attributes
    ----------
    objections
        What its training was found wanting in; None where that is not on record.
    metrics, training_metrics
        Of the model's own run, and of the training's: lift, backtests, comparison with the champion of then.
    run_id, training_run_id, experiment_id
        In MLflow; "" where a run is gone.
    """

    model: str
    version: str
    aliases: tuple[str, ...]
    registered_at: dt.datetime
    trained_through: str | None
    objections: tuple[str, ...] | None
    metrics: Mapping[str, float]
    training_metrics: Mapping[str, float]
    run_id: str
    training_run_id: str
    experiment_id: str


def list_versions(client: MlflowClient, model: str, limit: int) -> list[ListedVersion]:
    """Return the newest versions of a model, newest first; none where nothing is registered."""
    from mlflow.exceptions import MlflowException

    try:
        aliases = client.get_registered_model(model).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return []
        raise
    found = client.search_model_versions(f"name = '{model}'", max_results=limit, order_by=["version_number DESC"])
    experiment = client.get_experiment_by_name(model)
    experiment_id = "" if experiment is None else str(experiment.experiment_id)
    runs = _runs(client, experiment_id, {str(each.run_id) for each in found})
    parents = _runs(client, experiment_id, {run.data.tags[PARENT] for run in runs.values() if PARENT in run.data.tags})
    of: dict[str, list[str]] = {}
    for alias, version in aliases.items():
        of.setdefault(str(version), []).append(str(alias))
    return [_listed(each, of.get(str(each.version), []), runs.get(str(each.run_id)), parents, experiment_id) for each in found]


def out_of_sample(client: MlflowClient, run_id: str) -> pd.DataFrame:
    """Return the out-of-sample predictions that a model's run has: probability and win among the columns; empty without any."""
    if not any(file.path == OUT_OF_SAMPLE for file in client.list_artifacts(run_id)):
        return pd.DataFrame({"probability": [], "win": []}, dtype="float64")
    with tempfile.TemporaryDirectory() as folder:
        return pd.read_csv(Path(client.download_artifacts(run_id, OUT_OF_SAMPLE, folder)), usecols=["probability", "win"])


def _runs(client: MlflowClient, experiment_id: str, run_ids: set[str]) -> dict[str, Run]:
    """Return runs by their ids, those that are gone left out."""
    wanted = ", ".join(f"'{run_id}'" for run_id in sorted(run_ids) if run_id.isalnum())
    if not wanted or not experiment_id:
        return {}
    found = client.search_runs([experiment_id], f"attributes.run_id IN ({wanted})", max_results=len(run_ids))
    return {str(run.info.run_id): run for run in found}


def _listed(
    version: Any,  # noqa: ANN401  # MLflow's
    aliases: Sequence[str],
    run: Run | None,
    parents: Mapping[str, Run],
    experiment_id: str,
) -> ListedVersion:
    gates = version.tags.get(GATES)
    tags = {} if run is None else run.data.tags
    parent = parents.get(tags.get(PARENT, ""))
    return ListedVersion(
        model=str(version.name),
        version=str(version.version),
        aliases=tuple(sorted(aliases)),
        registered_at=dt.datetime.fromtimestamp(version.creation_timestamp / 1000, dt.UTC),
        trained_through=tags.get("trained_through"),
        objections=None if gates is None else () if gates == PASSED else tuple(gates.split("; ")),
        metrics=_figures(run),
        training_metrics={name: value for name, value in _figures(parent).items() if "/" in name},
        run_id="" if run is None else str(version.run_id),
        training_run_id="" if parent is None else str(parent.info.run_id),
        experiment_id=experiment_id,
    )


def _figures(run: Run | None) -> dict[str, float]:
    metrics = {} if run is None else run.data.metrics
    return {name: float(value) for name, value in sorted(metrics.items()) if not name.startswith(PER_FOLD)}
