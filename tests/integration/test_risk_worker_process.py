"""`desk risk-worker` and `desk data-guard` as processes: heartbeats while it lives, and what a killed worker leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pipeline.resources import Resources
from pipeline.risk.pre_send import risk_checks
from tests.integration.test_kill_switch import entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration


def environment(settings: Settings) -> dict[str, str]:
    assert settings.database_url is not None
    return {
        **os.environ,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "DATABASE_NAME": settings.database_name,
        "DATA_DIR": str(settings.data_dir),
    }


@contextmanager
def worker(settings: Settings, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The verb in a process of its own, killed at the end if it is still there."""
    command = [sys.executable, "-m", "desk", "risk-worker", "--interval", "0.1", *options]
    process = subprocess.Popen(command, cwd=settings.data_dir, env=environment(settings), stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(what: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_killed_worker_leaves_a_heartbeat_that_grows_old_and_then_nothing_is_opened(database_settings: Settings) -> None:
    desk = Resources(database_settings.model_copy(update={"heartbeat_max_age_seconds": 2.0}))
    ask = risk_checks(resources=desk)
    with worker(database_settings) as process:
        wait_for(lambda: desk.heartbeats.last("main") is not None)
        assert ask(entry()) is None

        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_for(lambda: ask(entry()) is not None)

    assert str(ask(entry())).startswith("heartbeat: expected the risk worker within 2 s, found the last heartbeat ")


def test_a_worker_asked_to_stop_ends_between_two_looks(database_settings: Settings) -> None:
    desk = Resources(database_settings)
    with worker(database_settings) as process:
        wait_for(lambda: desk.heartbeats.last("main") is not None)
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "ok: equity 100,000.00, drawdown 0.00 %" in told
    assert "Stopped after " in told


def test_one_look_prints_its_figures(database_settings: Settings) -> None:
    done = verb(database_settings, "risk-worker", "--once", "--log-only")
    assert done.returncode == 0, done.stderr
    assert "drawdown_pct" in done.stdout
    assert "halted" in done.stdout


def test_the_status_of_a_worker_is_an_exit_code(database_settings: Settings) -> None:
    before = verb(database_settings, "status", "risk-worker")
    assert verb(database_settings, "risk-worker", "--once").returncode == 0
    after = verb(database_settings, "status")

    assert (before.returncode, "no heartbeat of main yet" in before.stdout) == (1, True)
    assert after.returncode == 0, after.stdout
    assert "level ok, mode log" in after.stdout
    assert "not needed: BROKER=paper has no stream" in after.stdout
    assert "Trading is not halted." in after.stdout


def test_data_guard_ends_with_one_when_a_symbol_is_held_back(database_settings: Settings) -> None:
    done = verb(database_settings, "data-guard", "--session", "2018-12-27", "--symbols", "AAA")
    assert done.returncode == 1, done.stderr
    assert "blocks entries" in done.stdout
    assert "sessions behind" in done.stdout


def verb(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "desk", *words]
    return subprocess.run(
        command, cwd=settings.data_dir, env=environment(settings), capture_output=True, text=True, check=False
    )
