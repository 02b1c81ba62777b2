"""The dashboard as a process of its own on a free port, and Debian's Chromium to look at it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from desk.ops.up import wait_until_ready
from tests.standins.dashboard_api import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]


class Served(NamedTuple):
    """Address and process of a running dashboard."""

    address: str
    pid: int


@contextmanager
def served(api_address: str, **variables: str) -> Iterator[Served]:
    """Run a dashboard on an API until the end; `variables` are its settings."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "monitoring.dashboard.server:create_app", "--factory", "--no-access-log"]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "DASHBOARD__API_URL": api_address, **variables},
        stdout=subprocess.DEVNULL,
    )
    try:
        assert wait_until_ready(f"http://127.0.0.1:{port}/healthz", time.monotonic() + 60)
        yield Served(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium without a window until the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield running
        running.close()
