"""A sample of `make chaos`: the day killed once at every failpoint, and random schedules, in processes of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.failpoints import FAILPOINTS

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]


def test_whatever_is_killed_each_intent_is_one_order() -> None:
    command = [sys.executable, "-m", "tests.chaos.run", "--repeats", "1", "--once", "--schedules", "20", "--minutes", "0.2"]

    done = subprocess.run([*command, "--no-page"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    rows = {cells[0]: cells[1:] for line in done.stdout.splitlines() if (cells := re.findall(r"[\w.]+", line)) and "|" in line}
    for name in FAILPOINTS:
        kills, intents, orders, lost, doubled = map(int, rows[name])
        assert kills >= 1, f"{name} was never reached"
        assert (intents, orders, lost, doubled) == (3, 3, 0, 0), name
    assert "**0 lost, 0 doubled**" in done.stdout
    assert "differed from the venue's in anything: 0" in done.stdout
