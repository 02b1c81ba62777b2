"""Provenance of a record: the code commit and the DAG run."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "reversion-desk"
UNKNOWN = "unknown"


@cache
def code_commit() -> str:
    """Commit of the checkout, with `-dirty` when files differ from it; the installed version where there is no checkout."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603  # our own command
        return answer.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        installed = installed_version()
        return installed if installed == UNKNOWN else f"version {installed}"


def dag_run() -> str | None:
    """`dag/run` of the Airflow task this process works for, by the variables Airflow gives it; None outside Airflow."""
    names = [os.environ.get(f"AIRFLOW_CTX_{name}") for name in ("DAG_ID", "DAG_RUN_ID")]
    return "/".join(filter(None, names)) if all(names) else None


@cache
def installed_version() -> str:
    """Return the version of the installed distribution; `unknown` where none is installed, as on a bare `PYTHONPATH`."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return UNKNOWN
