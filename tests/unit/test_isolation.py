"""The suite gives the same answers whatever the shell exports and whatever `.env` lies in the folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from core.settings import Settings, get_settings
from tests.isolation import desk_variables

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_desks_variables_are_told_from_others() -> None:
    names = ["DATA_DIR", "max_positions", "BROKER", "BROKER__LIVE", "FAILPOINT", "HOME", "PATH", "DATA_DIRECTORY", "BROKERAGE"]

    assert desk_variables(names) == ["DATA_DIR", "max_positions", "BROKER", "BROKER__LIVE", "FAILPOINT"]
    assert desk_variables(name.upper() for name in Settings.model_fields) == [name.upper() for name in Settings.model_fields]


def test_no_env_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("MAX_POSITIONS=1\n")
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()

    assert get_settings().max_positions == Settings.model_fields["max_positions"].default
    get_settings.cache_clear()


def test_exported_settings_reach_no_test(tmp_path: Path) -> None:
    exported = {"DATA_DIR": str(tmp_path / "mine"), "MAX_POSITIONS": "1", "PROVIDER": "yfinance", "FAILPOINT": "place.locked"}
    each = "test_each_provider_has_a_data_folder_of_its_own"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/unit/core/test_settings.py::{each}"]

    run = subprocess.run(command, cwd=ROOT, env=os.environ | exported, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout
