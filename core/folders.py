"""Folders beside the code: those that Airflow and Feast read, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

from core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
IN_WHEEL = ("desk", "folders")


def checkout(root: Path = ROOT) -> Path | None:
    """Return the repository's root; None where the code runs from an installed wheel or a copy of the packages alone."""
    return root if (root / "pyproject.toml").is_file() else None


def data_folder(name: str, root: Path = ROOT) -> Path:
    """Return the folder `dags` or `feature_repo`: the wheel's copy where one is installed, else the one beside the packages.

    Raises
    ------
    ConfigError
        When neither is there.
    """
    installed = root.joinpath(*IN_WHEEL, name)
    for folder in (installed, root / name):
        if folder.is_dir():
            return folder
    raise ConfigError(f"Folder {name}: expected it at {installed} or {root / name}, found neither. Install the wheel again.")
