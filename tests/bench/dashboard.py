"""Time of the dashboard in Chromium, over a real API with 20 years and 5,000 trades; `--day` adds a day of refreshes.

Cold is a first visit: a new browser profile, an empty cache, a running server. Warm is the same page loaded again. Times are
from the request of the address to the first drawn chart, and until Streamlit has nothing left to do. The day is 2,880 refreshes
of one page, five a second asked for; memory is read after the first 200, and at the end, of the server and of the page after a
collection.

Writes the tables of docs/dashboard.md.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import numpy as np
import psutil
import uvicorn

from core.sessions import close_of
from desk.ops.up import wait_until_ready
from pipeline.resources import Resources
from serving.app import create_app
from storage.engine import open_engine
from tests.bench.peers.document import measured_on, table, write_section
from tests.databases import fresh_databases
from tests.standins.dashboard_api import free_port
from tests.standins.dashboard_process import chromium, served
from tests.standins.traded_years import CASH, Shape, write_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Browser, Page

    from core.settings import Settings

SHAPE: Final = Shape(
    first=dt.date(1999, 1, 4), last=dt.date(2018, 12, 31), books=("main",), rules=("bollinger", "rsi"), width=3
)
PATHS: Final = {
    "Overview": "/?book=main",
    "Live against backtest": "/live-against-backtest?book=main",
    "Risk": "/risk?book=main",
}
GOALS: Final = "Goals, p95: first chart 2 s and complete 3 s cold, first chart 1 s warm."
CHART: Final = ".desk-chart[data-draws]"
LOADS: Final = int(sys.argv[sys.argv.index("--loads") + 1]) if "--loads" in sys.argv else 20
REFRESHES: Final = 2_880  # of a day, one each 30 seconds
SETTLED: Final = 200  # refreshes before memory is read first
REFRESH_SECONDS: Final = "0.2"
DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "dashboard.md"


def serve(settings: Settings, port: int) -> None:
    """Serve the API of the desk."""
    desk = Resources(settings, clock=lambda: close_of(SHAPE.last) + dt.timedelta(hours=2))
    uvicorn.run(create_app(desk), port=port, log_level="error")


def loaded(page: Page, address: str) -> tuple[float, float]:
    """Open an address; return the seconds to the first chart and until the page is complete."""
    started = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_selector(CHART, timeout=60_000)
    first = time.perf_counter() - started
    page.wait_for_selector("[data-test-script-state=notRunning]", timeout=60_000)
    return first, time.perf_counter() - started


def load_times(browser: Browser, address: str) -> list[list[object]]:
    """Return a row of times for each page, cold and warm."""
    rows: list[list[object]] = []
    for name, path in PATHS.items():
        cold, warm = [], []
        for _ in range(LOADS):
            context = browser.new_context(viewport={"width": 1280, "height": 1500})
            page = context.new_page()
            cold.append(loaded(page, address + path))
            warm.append(loaded(page, address + path))
            context.close()
        rows += [[name, state, *_seconds(times)] for state, times in (("cold", cold), ("warm", warm))]
        sys.stdout.write(f"{rows[-2:]}\n")
    return rows


def _seconds(times: Sequence[tuple[float, float]]) -> list[str]:
    first, complete = np.array(times).T
    return [f"{value:.2f}" for value in (*np.percentile(first, [50, 95]), *np.percentile(complete, [50, 95]))]


def refreshed(api: httpx.Client) -> int:
    """Return the times that the API was asked for the positions, which each refresh of the overview does once."""
    lines = api.get("/metrics").text.splitlines()
    return round(sum(float(line.rsplit(" ", 1)[1]) for line in lines if "_count{" in line and '"/positions"' in line))


def day(browser: Browser, address: str, pid: int, api: httpx.Client) -> list[list[object]]:
    """Refresh the overview for a day's number of times; return rows of the memory of server and page, and of the times."""
    page = browser.new_context(viewport={"width": 1280, "height": 1500}).new_page()
    loaded(page, address + PATHS["Overview"])
    begun = refreshed(api)
    _wait(api, begun + SETTLED)
    before, started = _memory(page, pid), time.perf_counter()
    _wait(api, begun + REFRESHES)
    after, seconds = _memory(page, pid), time.perf_counter() - started
    return [
        *([name, f"{then:,.1f}", f"{after[name]:,.1f}", f"{after[name] - then:+,.1f}"] for name, then in before.items()),
        ["Seconds from one refresh to the next", "", f"{seconds / (REFRESHES - SETTLED):.2f}", ""],
        ["Drawings of the chart", "", page.locator(CHART).first.get_attribute("data-draws"), ""],
    ]


def _wait(api: httpx.Client, refreshes: int) -> None:
    while (seen := refreshed(api)) < refreshes:
        sys.stdout.write(f"{refreshes - seen} refreshes left\n")
        time.sleep(min(20.0, 0.3 * (refreshes - seen)))


def _memory(page: Page, pid: int) -> dict[str, float]:
    """Return megabytes of the dashboard's process, and of the page's heap after a collection, and its nodes."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap: Any = session.send("Runtime.getHeapUsage")
    counts: Any = session.send("Memory.getDOMCounters")
    session.detach()
    return {
        "Server, MB": psutil.Process(pid).memory_info().rss / 1e6,
        "Heap of a page, MB": heap["usedSize"] / 1e6,
        "Nodes of a page": counts["nodes"],
        "Listeners of a page": counts["jsEventListeners"],
    }


def main() -> None:
    """Write the record, start API and dashboard, and measure."""
    with tempfile.TemporaryDirectory(prefix="desk-dashboard-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        with fresh_databases(folder, folder) as databases:
            settings = databases.with_changes(strategies=SHAPE.rules, venue__initial_cash_usd=CASH)
            engine = open_engine(settings)
            write_record(engine, SHAPE)
            engine.dispose()
            server = multiprocessing.get_context("spawn").Process(target=serve, args=(settings, port), daemon=True)
            server.start()
            api_address = f"http://127.0.0.1:{port}"
            assert wait_until_ready(f"{api_address}/healthz", time.monotonic() + 120)
            with (
                httpx.Client(base_url=api_address, timeout=60) as api,
                served(api_address, DASHBOARD__REFRESH_SECONDS=REFRESH_SECONDS if "--day" in sys.argv else "30") as dashboard,
                chromium() as browser,
            ):
                rows = load_times(browser, dashboard.address)
                head = (
                    f"{measured_on()} Load average {os.getloadavg()[0]:.1f} at the end, the browser's own work in it. {GOALS}"
                )
                columns = ["Page", "Cache", "First chart p50", "p95", "Complete p50", "p95"]
                write_section("bench-dashboard", f"{head}\n\n{table(columns, rows)}", DOCUMENT)
                if "--day" in sys.argv:
                    memory = day(browser, dashboard.address, dashboard.pid, api)
                    head = f"{measured_on()} {REFRESHES:,} refreshes of one overview. Goal: growth under 10 MB."
                    columns = ["", f"After {SETTLED}", "At the end", "Growth"]
                    write_section("bench-day", f"{head}\n\n{table(columns, memory)}", DOCUMENT)
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
