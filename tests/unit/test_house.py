"""Every list of packages and folders names all of them, rooms included."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from core import compiled
from ml.tracking import lineage

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
FOLDERS = sorted({*PACKAGES, "dags", "feature_repo", "tests"})


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_tools_read_every_package(project: dict[str, Any]) -> None:
    tools = project["tool"]
    assert sorted(tools["mypy"]["packages"]) == PACKAGES
    assert sorted(tools["coverage"]["run"]["source"]) == PACKAGES
    assert sorted(tools["importlinter"]["root_packages"]) == sorted({*PACKAGES, "dags"})
    strict = next(line for line in tools["pytest"]["ini_options"]["filterwarnings"] if line.startswith("error:::"))
    assert sorted(re.findall(r"\w+", strict.removeprefix("error:::(").partition(")")[0])) == sorted({*PACKAGES, "tests"})


def test_the_makefile_and_the_image_take_every_folder() -> None:
    code = re.search(r"^CODE := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert code
    assert sorted(code[1].split()) == sorted([*FOLDERS, "setup.py"])
    copied = re.findall(r"^COPY (\w+)/ ", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(set(FOLDERS) - {"tests"})


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    bare = {str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()}
    assert bare == {"storage/migrations", "storage/migrations/versions"}  # alembic runs them by path


def test_every_per_file_rule_and_test_path_matches_something(project: dict[str, Any]) -> None:
    patterns = [each for name in project["tool"]["ruff"]["lint"]["per-file-ignores"] for each in expanded(name)]
    paths = project["tool"]["pytest"]["ini_options"]["testpaths"]
    assert [pattern for pattern in (*patterns, *paths) if not list(ROOT.glob(pattern))] == []


def test_the_version_of_the_code_covers_every_room_that_a_model_depends_on() -> None:
    covered = {path.relative_to(ROOT) for path in lineage.sources(ROOT)}
    layers = ("core", "features", "trading", "backtest", "research", "ml")
    assert covered == {path.relative_to(ROOT) for name in layers for path in (ROOT / name).rglob("*.py")}


def test_the_stamp_of_the_kernels_covers_every_compiled_function() -> None:
    written = {
        path.relative_to(ROOT).parts[0] for package in PACKAGES for path in (ROOT / package).rglob("*.py") if decorated(path)
    }
    assert written - {"core"} <= set(compiled.PACKAGES)


def decorated(path: Path) -> bool:
    return "\n@compiled" in path.read_text()


def expanded(pattern: str) -> list[str]:
    """A pattern with its braces written out."""
    match = re.match(r"(.*)\{(.*)\}(.*)", pattern)
    return [f"{match[1]}{part}{match[3]}" for part in match[2].split(",")] if match else [pattern]
