"""A supervised process, on small real processes."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import psutil

from desk.ops.supervised_process import ProcessEnd, RestartPauses, SupervisedProcess

if TYPE_CHECKING:
    from pathlib import Path

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"


def supervised(tmp_path: Path, code: str, ends: list[ProcessEnd], pauses: RestartPauses) -> SupervisedProcess:
    return SupervisedProcess([sys.executable, "-c", code], {}, tmp_path / "log", ends.append, pauses)


def wait_for(ends: list[ProcessEnd], number: int) -> None:
    until = time.monotonic() + 20
    while len(ends) < number:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_pauses_double_up_to_the_longest(tmp_path: Path) -> None:
    ends: list[ProcessEnd] = []
    process = supervised(tmp_path, "raise SystemExit(3)", ends, RestartPauses(0.01, 0.04, steady_seconds=60))
    process.start()
    wait_for(ends, 5)
    process.stop()

    assert [(end.code, end.failures, end.pause_seconds) for end in ends[:5]] == [
        (3, 1, 0.01), (3, 2, 0.02), (3, 3, 0.04), (3, 4, 0.04), (3, 5, 0.04)
    ]  # fmt: skip


def test_a_steady_run_resets_the_count(tmp_path: Path) -> None:
    ends: list[ProcessEnd] = []
    process = supervised(tmp_path, "pass", ends, RestartPauses(0.01, 10.0, steady_seconds=0.0))
    process.start()
    wait_for(ends, 3)
    process.stop()

    assert [end.failures for end in ends[:3]] == [1, 1, 1]


def test_nothing_runs_after_a_stop_not_even_what_waited_to_be_started_again(tmp_path: Path) -> None:
    ends: list[ProcessEnd] = []
    process = supervised(tmp_path, "pass", ends, RestartPauses(first_seconds=60.0))
    process.start()
    wait_for(ends, 1)

    began = time.monotonic()
    process.stop()

    assert time.monotonic() - began < 5, "the pause is cut short"
    assert len(ends) == 1
    assert [child for child in psutil.Process().children() if "pass" in child.cmdline()] == []


def test_a_process_that_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    ends: list[ProcessEnd] = []
    process = supervised(tmp_path, STUBBORN, ends, RestartPauses())
    process.start()
    until = time.monotonic() + 20
    while "up" not in (tmp_path / "log").read_text():
        assert time.monotonic() < until
        time.sleep(0.02)

    process.stop(patience_seconds=0.3)

    assert ends == [], "it was told to, and did not end by itself"
    assert [child for child in psutil.Process().children() if STUBBORN in child.cmdline()] == []


def test_a_process_never_started_can_be_stopped(tmp_path: Path) -> None:
    supervised(tmp_path, "pass", [], RestartPauses()).stop()
