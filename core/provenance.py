"""Provenance of a record: the code commit and the DAG run."""

from __future__ import annotations

import os
import subprocess
import tomllib
from functools import cache
from importlib import metadata

from core.folders import checkout

PACKAGE = "reversion-desk"
UNKNOWN = "unknown"


@cache
def code_commit() -> str:
    """Commit of the checkout, with `-dirty` when files differ from it; the installed version where there is no checkout."""
    root = checkout()
    if root is None:  # a repository around the environment is not the desk's
        return release()
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603  # our own command
        return answer.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return release()


def dag_run() -> str | None:
    """`dag/run` of the Airflow task this process works for, by the variables Airflow gives it; None outside Airflow."""
    names = [os.environ.get(f"AIRFLOW_CTX_{name}") for name in ("DAG_ID", "DAG_RUN_ID")]
    return "/".join(filter(None, names)) if all(names) else None


@cache
def release() -> str:
    """Return `version X.Y.Z`: of the checkout where there is one, else of the installed distribution; else `unknown`."""
    root = checkout()
    if root is not None:
        return f"version {tomllib.loads((root / 'pyproject.toml').read_text())['project']['version']}"
    try:
        return f"version {metadata.version(PACKAGE)}"
    except metadata.PackageNotFoundError:
        return UNKNOWN
