"""The day killed at every failpoint and on random schedules, in processes of their own; the deep run does so at length."""

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


@pytest.mark.parametrize(
    ("days", "options"),
    [
        pytest.param(1, ["--once", "--schedules", "20", "--minutes", "0.2"], id="sample"),
        pytest.param(3, ["--schedules", "10000", "--minutes", "15"], id="long", marks=pytest.mark.deep),
    ],
)
def test_whatever_is_killed_each_intent_is_one_order(days: int, options: list[str]) -> None:
    code, printed = _run([sys.executable, "-m", "tests.chaos.run", "--no-page", "--repeats", str(days), *options])

    assert code == 0, printed
    rows = {cells[0]: cells[1:] for line in printed.splitlines() if (cells := re.findall(r"[\w.]+", line)) and "|" in line}
    for name in FAILPOINTS:
        kills, intents, orders, lost, doubled = map(int, rows[name])
        assert kills >= 1, f"{name} was never reached"
        assert (intents, orders, lost, doubled) == (3 * days, 3 * days, 0, 0), name
    assert "**0 lost, 0 doubled**" in printed
    assert "differed from the venue's in anything: 0" in printed


def _run(command: list[str]) -> tuple[int, str]:
    """Run it in a group of its own, which ends as a whole: the venue and the workers too."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        printed, _ = process.communicate(timeout=3600)
        return process.returncode, printed
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
