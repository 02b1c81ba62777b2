"""`desk risk-profiles` shows what each profile would make of the settings in force."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def profiles(folder: Path, **variables: str) -> dict[str, list[str]]:
    """Cells of the printed table by setting: in force, the director's value, under the director."""
    done = subprocess.run(
        [sys.executable, "-m", "desk", "risk-profiles"], cwd=folder, env=os.environ | variables, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    lines = [[cell.strip() for cell in line.strip("│").split("│")] for line in done.stdout.splitlines() if "│" in line]
    return {name: cells for name, *cells in lines}


def test_each_setting_stands_beside_the_profiles_value_and_what_comes_of_both(tmp_path: Path) -> None:
    found = profiles(tmp_path, RISK__MAX_POSITIONS="9", RISK__MAX_POSITION_PCT="20")

    assert found["RISK__MAX_POSITIONS"] == ["9", "3", "3"]
    assert found["RISK__MAX_POSITION_PCT"] == ["20", "40", "20"]
    assert found["RISK__MAX_LOSS_AT_RISK_PCT"] == ["-", "1", "1"]
    assert found["MONITOR__MODE"] == ["log", "enforce", "enforce"]
