"""Time of the pages of performance, models, research and parameters on a desk with ten years and 100,000 trials on record.

`python -m tests.bench.pages` writes the table of docs/serving.md; `--requests N` asks each page so often (300). The server is
another process; one client asks again as soon as it is answered, without ETags, so that each answer is made and sent whole.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import uvicorn

from serving.app import create_app
from storage.engine import open_engine
from tests.bench.peers.document import measured_on, table, write_section
from tests.databases import fresh_databases
from tests.standins.api_desk import Desk
from tests.standins.long_record import write_long_record
from tests.standins.years_of_research import write_years_of_research

if TYPE_CHECKING:
    from core.settings import Settings

REQUESTS = int(sys.argv[sys.argv.index("--requests") + 1]) if "--requests" in sys.argv else 300
WARM = 5
PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
GOAL_MS = 20.0
PAGES = (
    "/live-vs-backtest?book=trio",
    "/models/ab-tests?limit=500",
    "/models/drift?limit=500",
    "/models/promotions?limit=500",
    "/research/runs?limit=500",
    "/research/runs/{run}",
    "/research/runs/{run}/equity",
    "/research/runs/{run}/trades?limit=500",
    "/research/compare?run={run}&run={other}",
    "/research/compare?{all}",
    "/research/heatmap?strategy=rsi&x=oversold&y=stop_pct",
    "/research/heatmap?x=recovered&y=stop_pct&metric=total_return",
    "/research/rankings?limit=500",
    "/strategies/bollinger/history?limit=500",
    "/strategies/bollinger/schema",
    "/alerts",
)


def serve(settings: Settings, port: int, folder: str) -> None:
    """Serve a desk whose models are stand-ins; MLflow is not asked."""
    desk = Desk(settings, open_engine(settings), Path(folder), now=dt.datetime(2024, 1, 2, tzinfo=dt.UTC))
    uvicorn.run(create_app(desk), port=port, log_level="error")  # type: ignore[arg-type]


def measured(client: httpx.Client, path: str) -> list[object]:
    """Return a row of the table: first answer, median, 99th percentile, size."""
    times = []
    for _ in range(WARM + REQUESTS):
        started = time.perf_counter()
        answer = client.get(path)
        times.append(1e3 * (time.perf_counter() - started))
        assert answer.status_code == 200, answer.text
    p50, p99 = np.percentile(times[WARM:], [50, 99])
    return [f"`{path[:70]}`", f"{times[0]:.0f}", f"{p50:.1f}", f"{p99:.1f}", f"{len(answer.content) / 1000:,.0f}"]


def main() -> None:
    """Write the record, start the server, ask every page and write the table."""
    with tempfile.TemporaryDirectory(prefix="desk-pages-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with fresh_databases(folder, folder) as settings:
            engine = open_engine(settings)
            days = write_long_record(engine, dt.date(2014, 1, 2), dt.date(2023, 12, 29), books=("main", "trio"))
            write_years_of_research(engine, days)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            server = multiprocessing.get_context("spawn").Process(target=serve, args=(settings, port, name), daemon=True)
            server.start()
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                write_section("bench-pages", page_table(client), PAGE)
            server.terminate()
            server.join()
            engine.dispose()


def page_table(client: httpx.Client) -> str:
    """Ask every page and return the table."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            client.get("/healthz")
            break
        except httpx.TransportError:
            time.sleep(0.2)
    newest = [row["run_id"] for row in client.get("/research/runs?limit=6").json()["rows"]]
    named = {"run": newest[0], "other": newest[1], "all": "&".join(f"run={each}" for each in newest)}
    rows = [measured(client, path.format(**named)) for path in PAGES]
    load = os.getloadavg()[0]
    head = f"{measured_on()} Load average {load:.1f} at the end (0 is a machine at rest). Goal: p99 under {GOAL_MS:.0f} ms."
    return f"{head}\n\n" + table(["Page", "First, ms", "p50 ms", "p99 ms", "kB"], rows)


if __name__ == "__main__":
    main()
