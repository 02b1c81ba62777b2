"""A sample of `make chaos`: the day killed once at every failpoint, and random schedules, in processes of their own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.failpoints import FAILPOINTS

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]


def test_whatever_is_killed_each_intent_is_one_order() -> None:
    command = [sys.executable, "-m", "tests.chaos.run", "--repeats", "1", "--once", "--schedules", "20", "--minutes", "0.2"]

    code, printed = _run([*command, "--no-page"])

    assert code == 0, printed
    rows = {cells[0]: cells[1:] for line in printed.splitlines() if (cells := re.findall(r"[\w.]+", line)) and "|" in line}
    for name in FAILPOINTS:
        kills, intents, orders, lost, doubled = map(int, rows[name])
        assert kills >= 1, f"{name} was never reached"
        assert (intents, orders, lost, doubled) == (3, 3, 0, 0), name
    assert "**0 lost, 0 doubled**" in printed
    assert "differed from the venue's in anything: 0" in printed


def _run(command: list[str]) -> tuple[int, str]:
    """Run it in a group of its own, which ends as a whole: the venue and the workers too."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        printed, _ = process.communicate(timeout=600)
        return process.returncode, printed
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
