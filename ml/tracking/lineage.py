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

DECIDING: Final = ("core", "features", "trading", "backtest", "research", "ml")  # what a model's bytes depend on
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


def read_lineage(client: MlflowClient, run_id: str) -> Lineage:
    """The training of a run.

    Raises
    ------
    ConfigError
        When there is no such run, or it is not a training's own.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise ConfigError(f"Run {run_id!r}: {error.message} Copy the id of a run named `training ...` from MLflow.") from error
    missing = [name for name in NEEDED if name not in run.data.tags]
    if run.data.tags.get("level") != "training" or missing:
        raise ConfigError(
            f"Run {run_id!r}: expected a training with the tags {', '.join(NEEDED)}, found {run.info.run_name!r}. "
            "Copy the id of a run named `training ...` from MLflow."
        )
    children = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
    digests = {str(child.info.run_name): child.data.tags["model_sha256"] for child in children}
    kept = {name: digests[name] for name in (LOGISTIC, LIGHTGBM) if name in digests}
    return Lineage(run_id, run.data.tags, run.data.params, kept)


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
