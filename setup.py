"""Packages of the wheel, as far as `pyproject.toml` cannot say it.

`dags` and `feature_repo` are folders that Airflow and Feast read, not packages: the wheel carries them inside `desk`, where
`core.folders` finds them.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import find_namespace_packages, setup

PACKAGES = sorted(path.parent.name for path in Path().glob("*/__init__.py"))
FOLDERS = {"desk.folders.dags": "dags", "desk.folders.feature_repo": "feature_repo"}

setup(
    packages=[*find_namespace_packages(include=[*PACKAGES, *(f"{name}.*" for name in PACKAGES)]), *FOLDERS],
    package_dir=FOLDERS,
)
