"""The lineage of a training as MLflow tags: enough to make the same model again."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from core.errors import ConfigError
from core.feature_hash import feature_set
from core.folders import ROOT, checkout
from core.frames import FEATURES
from core.provenance import dag_run
from ml.estimators.models import LIGHTGBM, LOGISTIC

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.entities import Run

DECIDING: Final = ("core", "features", "trading", "backtest", "research", "ml")  # what a model's bytes depend on
TRAINING, PARENT, PAGE = "training", "mlflow.parentRunId", 1_000
REMEDY: Final = "Copy the id of a run named `training ...` from MLflow, or the model's run from `desk explain-order`."
NEEDED: Final = ("session", "strategy_set", "universe", "bar_as_of", "feature_set", "code", "dataset_sha256")


@dataclass(frozen=True)
class Lineage:
    """A training on record.

    Attributes
    ----------
    tags, params
        As they were logged.
    digests
        SHA-256 of each stored model's file by the model's name.
    """

    run_id: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    digests: Mapping[str, str]


def versions() -> dict[str, str]:
    """Tags that say which features and which code are at work here: feature_set, code, and commit where there is one."""
    found = {"feature_set": feature_set(FEATURES), "code": code_version()}
    commit = _commit()
    return found | ({"commit": commit} if commit else {})


def source_of(command: str) -> dict[str, str]:
    """MLflow's tags of what started a run: the DAG run where Airflow runs the step, else the command that does the same."""
    started = dag_run()
    return {"mlflow.source.name": started or f"desk {command}", "mlflow.source.type": "JOB" if started else "LOCAL"}


def sources(root: Path) -> list[Path]:
    """Return every source file, rooms included, that decides what a model's bytes are."""
    return [path for folder in DECIDING for path in sorted((root / folder).rglob("*.py"))]


@cache
def code_version() -> str:
    """Digest of the sources and of the locked libraries that decide what a model's bytes are; no checkout is needed for it."""
    lock = ROOT / "requirements.lock"
    parts = [path.read_bytes() for path in (*sources(ROOT), *([lock] if lock.exists() else []))]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def read_lineage(client: MlflowClient, experiment: str, given: str) -> Lineage:
    """Return the training of a run.

    Parameters
    ----------
    experiment
        Id of the experiment that trainings are logged to.
    given
        Id of a training's run, or of a run within it, such as the model's that `desk explain-order` shows; or the beginning of
        one that leads to no other training.

    Raises
    ------
    ConfigError
        When there is no such run, several trainings fit, or it is not a training's.
    """
    run = _training_of(client, experiment, given)
    missing = [name for name in NEEDED if name not in run.data.tags]
    if run.data.tags.get("level") != TRAINING or missing:
        raise ConfigError(
            f"Run {given!r}: expected a training with the tags {', '.join(NEEDED)}, found {run.info.run_name!r}. {REMEDY}"
        )
    run_id = run.info.run_id
    children = client.search_runs([run.info.experiment_id], f"tags.{PARENT} = '{run_id}'")
    digests = {str(child.info.run_name): child.data.tags["model_sha256"] for child in children}
    kept = {name: digests[name] for name in (LOGISTIC, LIGHTGBM) if name in digests}
    return Lineage(run_id, run.data.tags, run.data.params, kept)


def _training_of(client: MlflowClient, experiment: str, given: str) -> Run:
    """Return the outermost run of the one named."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(given)
    except MlflowException:
        run = _run_with_prefix(client, experiment, given)
    while parent := run.data.tags.get(PARENT):
        run = client.get_run(parent)
    return run


def _run_with_prefix(client: MlflowClient, experiment: str, prefix: str) -> Run:
    """Return the run whose id begins so; of several within one training, that training."""
    runs: dict[str, Run] = {}
    token = None
    while prefix:
        page = client.search_runs([experiment], max_results=PAGE, page_token=token)
        runs |= {run.info.run_id: run for run in page}
        if not (token := page.token):
            break
    outer = {_outermost(run_id, runs) for run_id in runs if run_id.startswith(prefix.lower())}
    if len(outer) != 1:
        count = f"{len(outer)} trainings: {', '.join(sorted(outer))}" if outer else "none"
        raise ConfigError(f"Run {prefix!r}: expected one run id with this prefix, found {count}. {REMEDY}")
    return runs[outer.pop()]


def _outermost(run_id: str, runs: Mapping[str, Run]) -> str:
    """Return the id of the run that a run is nested in, however deep."""
    while (parent := runs[run_id].data.tags.get(PARENT)) in runs:
        run_id = str(parent)
    return run_id


def settings_of(lineage: Lineage) -> dict[str, Any]:
    """Keyword arguments of `ml.entry_filter.train.train` as they were then."""
    whole = {name: int(float(lineage.params[name])) for name in ("folds", "embargo_sessions", "seed", "trials")}
    return {**whole, "stake": float(lineage.params["stake"])}


@cache
def _commit() -> str | None:
    """The commit of the checkout, with a mark when something in it was changed; None where there is no checkout."""
    root = checkout()
    if root is None:  # a repository around the environment is not the desk's
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603  # our own command
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
