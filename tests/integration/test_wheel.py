"""The wheel: it holds every package, and the folders that Airflow and Feast read; the code finds them there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from core.errors import ConfigError
from core.folders import data_folder

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
FOLDERS = ("dags", "feature_repo")
PROBE = """\
import json
from core.folders import checkout, data_folder
from core.provenance import code_commit
from core.settings import Settings
from desk.ops.airflow import desk_environment
from ml.tracking.lineage import versions
from storage import engine
from storage.features.feature_store import _definitions

engine.cluster_url = lambda settings, name: name

print(json.dumps({
    "checkout": str(checkout()), "dags": str(data_folder("dags")), "feature_repo": str(data_folder("feature_repo")),
    "commit": code_commit(), "versions": versions(), "features": len(_definitions().DEFINITIONS),
    "environment": sorted(desk_environment(Settings(_env_file=None))),
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources and unpacked inside somebody else's repository."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("project") / "site-packages"
    for name in (*PACKAGES, *FOLDERS):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "uv", "build", "-q", "--wheel", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*command, "-o", source / "wheel"], cwd=source, check=True)
    (wheel,) = (source / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    subprocess.run(["git", "init", "-q", target.parent], check=True)
    return target


def test_the_wheel_holds_every_file_of_the_packages_and_both_folders(installed: Path) -> None:
    code = {path.relative_to(ROOT) for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    code |= {path.relative_to(ROOT) for path in ROOT.glob("*/**/*.html") if path.relative_to(ROOT).parts[0] in PACKAGES}
    code |= {path.relative_to(ROOT) for path in (ROOT / "storage/migrations").glob("*.mako")}
    read = {
        path.relative_to(ROOT)
        for name in FOLDERS
        for pattern in ("*.py", "*.yaml", ".airflowignore")
        for path in (ROOT / name).glob(pattern)
    }

    assert len(read) > 9
    assert [str(path) for path in sorted(code) if not (installed / path).is_file()] == []
    assert [str(path) for path in sorted(read) if not (installed / "desk" / "folders" / path).is_file()] == []
    assert {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")} == set(PACKAGES)


def test_code_from_the_wheel_finds_its_folders_and_never_the_repository_around_it(installed: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "DATABASE_URL"}}
    answer = subprocess.run(
        [sys.executable, "-P", "-c", PROBE],
        env={**environment, "PYTHONPATH": str(installed)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(answer.stdout)

    assert found["checkout"] == "None"
    assert Path(found["dags"]) == installed / "desk" / "folders" / "dags"
    assert Path(found["feature_repo"]) == installed / "desk" / "folders" / "feature_repo"
    assert found["features"] == 4
    assert found["commit"].startswith("version ")
    assert "commit" not in found["versions"]
    assert found["environment"] == ["DATABASE_URL", "DATA_DIR"], "Python finds installed packages by itself"


def test_a_folder_that_is_nowhere_is_named_with_both_places(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"Folder dags: expected it at {tmp_path}/desk/folders/dags or {tmp_path}/dags"):
        data_folder("dags", tmp_path)
