"""The prediction API beside an empty FastAPI route and `mlflow models serve`, one after the other on this machine.

`make bench-serving` prints the tables and writes them to docs/serving.md. Each server is one process; this client is another,
on asyncio and uvloop: 1 or 16 connections, each asking again as soon as it is answered. Predictions are stored in PostgreSQL
the whole time, and the rows are counted at the end. Needs a folder of its own (`.local/bench-serving` or `BENCH_DIR`), where it
loads the embedded history and trains once. `python -m tests.bench.serving --smoke` asks for a second each and writes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import httpx
import numpy as np
import sqlalchemy as sa
import uvloop
from rich.console import Console
from rich.table import Table

from core.frames import FEATURES
from core.settings import Settings
from pipeline import sessions
from pipeline.data import build_features, ingest
from pipeline.resources import Resources
from pipeline.training import train_entry_filter, train_next_day
from storage.engine import cluster_url
from tests.bench.peers.document import measured_on, table, write_section

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("BENCH_DIR", ROOT / ".local" / "bench-serving"))
PAGE = ROOT / "docs" / "serving.md"
CLIENTS = (1, 16)
SMOKE = "--smoke" in sys.argv
ROUNDS, WARM_SECONDS, SECONDS, PATIENCE_SECONDS = (1, 0.2, 1.0, 120.0) if SMOKE else (3, 1.0, 5.0, 120.0)
SYMBOL = "^GSPC"
ROUTES = ("/predict-entry", "/predict-next-day")
console = Console()


@dataclass(frozen=True)
class Case:
    """One question to one server."""

    name: str
    port: int
    request: bytes


@dataclass(frozen=True)
class Figures:
    """Of one case at one number of clients."""

    p50_ms: float
    p99_ms: float
    per_second: float


class Asker(asyncio.Protocol):
    """One connection: asks, waits for the whole answer, notes the time, asks again."""

    def __init__(self, request: bytes, until: float) -> None:
        self.request, self.until = request, until
        self.milliseconds: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._left += data
        head, end, body = self._left.partition(b"\r\n\r\n")
        if not end:
            return
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length, head
        if len(body) < int(length[1]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(AssertionError(self._left[:500]))
            self.transport.close()
            return
        self._left = b""
        now = time.perf_counter()
        self.milliseconds.append((now - self.asked) * 1e3)
        if now < self.until:
            self._ask()
        else:
            self.transport.close()
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed by the server"))

    def _ask(self) -> None:
        self.asked = time.perf_counter()
        self.transport.write(self.request)


async def load(case: Case, clients: int, seconds: float) -> Figures:
    """Closed loop: every client asks again as soon as it is answered."""
    loop, started = asyncio.get_running_loop(), time.perf_counter()
    connections = [
        loop.create_connection(lambda: Asker(case.request, started + seconds), "127.0.0.1", case.port) for _ in range(clients)
    ]
    askers = [protocol for _, protocol in await asyncio.gather(*connections)]
    await asyncio.gather(*(asker.done for asker in askers))
    taken = np.concatenate([asker.milliseconds for asker in askers])
    p50, p99 = np.percentile(taken, [50, 99])
    return Figures(float(p50), float(p99), len(taken) / (time.perf_counter() - started))


def post(port: int, path: str, body: object) -> bytes:
    """A request as it goes over the wire."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    return head.encode() + b"\r\n\r\n" + content


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(name: str, command: list[str], health: str, environment: dict[str, str]) -> Iterator[None]:
    """A server of its own process, until it answers and until the block ends."""
    with (
        (FOLDER / f"{name}.log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment}, cwd=ROOT) as process,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(health, timeout=5).status_code == httpx.codes.OK:
                        break
                assert time.monotonic() < deadline, f"{name} did not start: see {FOLDER / name}.log"
                assert process.poll() is None, f"{name} stopped: see {FOLDER / name}.log"
                time.sleep(0.2)
            yield
        finally:
            process.terminate()


def prepared(settings: Settings) -> Resources:
    """A desk with history, features and a champion of each kind; made on the first run."""
    desk = Resources(settings)
    session = sessions.newest_session(resources=desk)
    if desk.registry.champion_version() is None:
        console.print("Loading the embedded history and training once ...")
        ingest.fetch_vix(session, full_history=True, resources=desk)
        ingest.fetch_symbols(session, desk.universe(), full_history=True, resources=desk)
        build_features.write_features(session, resources=desk)
        build_features.materialise(session, resources=desk)
        train_entry_filter.train_entry_filter(session, resources=desk)
    if desk.next_day_registry.champion_version() is None:
        console.print("Training the next-day model once ...")
        train_next_day.train_next_day(session, resources=desk)
    return desk


def questions(desk: Resources) -> dict[str, dict[str, Any]]:
    """The body that gives every feature, and the one that names the symbol alone."""
    row = desk.features.online([SYMBOL]).iloc[0]
    values = {name: None if np.isnan(row[name]) else float(row[name]) for name in FEATURES}
    return {"features given": {"symbol": SYMBOL, "features": values}, "by symbol": {"symbol": SYMBOL}}


def measure() -> tuple[dict[str, dict[int, Figures]], int]:
    """Every case at every number of clients, the best round of each; and the predictions stored meanwhile."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    settings = Settings(_env_file=None, provider="sample", data_dir=FOLDER)  # type: ignore[call-arg]
    desk = prepared(settings)
    given = questions(desk)["features given"]["features"]
    split = {"dataframe_split": {"columns": list(FEATURES), "data": [list(given.values())]}}
    ours, empty, theirs = free_port(), free_port(), free_port()
    cases = [
        Case("empty FastAPI route", empty, f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{empty}\r\n\r\n".encode()),
        Case("`mlflow models serve`", theirs, post(theirs, "/invocations", split)),
        *(
            Case(f"`{route}`, {name}", ours, post(ours, route, body))
            for route in ROUTES
            for name, body in questions(desk).items()
        ),
    ]
    python = [sys.executable, "-m"]
    uvicorn = [*python, "uvicorn", "--log-level", "warning", "--no-access-log", "--factory", "--port"]
    tracking = cluster_url(settings, settings.mlflow_database_name)
    model = f"models:/{settings.model_name}/{desk.registry.champion_version()}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # mlflow calls uvicorn by its name
    quiet = {"MLFLOW_TRACKING_URI": tracking, "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": path}
    serve = [*python, "mlflow", "models", "serve", "-m", model, "--env-manager", "local", "--port", str(theirs)]
    own = {"PROVIDER": "sample", "DATA_DIR": str(FOLDER), "LOG_LEVEL": "WARNING"}
    since = dt.datetime.now(dt.UTC)
    with (
        serving("ours", [*uvicorn, str(ours), "serving.app:create_app"], f"http://127.0.0.1:{ours}/readyz", own),
        serving("empty", [*uvicorn, str(empty), "tests.bench.serving:empty_app"], f"http://127.0.0.1:{empty}/", {}),
        serving("mlflow", serve, f"http://127.0.0.1:{theirs}/ping", quiet),
    ):
        found = rounds(cases)
    query = sa.text("SELECT count(*) FROM trading.served_predictions WHERE served_at >= :since")
    with desk.engine.connect() as connection:  # the API has drained its queue when it ended
        return found, int(connection.execute(query, {"since": since}).scalar_one())


def rounds(cases: list[Case]) -> dict[str, dict[int, Figures]]:
    """Each case in turn, round after round, so that all see the machine's good and bad moments."""
    taken: dict[tuple[str, int], list[Figures]] = {}
    for number in range(ROUNDS):
        for case in cases:
            for clients in CLIENTS:
                uvloop.run(load(case, clients, WARM_SECONDS))
                figures = uvloop.run(load(case, clients, SECONDS))
                taken.setdefault((case.name, clients), []).append(figures)
                console.print(f"round {number + 1}: {case.name}, {clients}: {figures}")
    best = {key: min(each, key=lambda figures: figures.p99_ms) for key, each in taken.items()}  # the least disturbed
    return {case.name: {clients: best[case.name, clients] for clients in CLIENTS} for case in cases}


def empty_app() -> object:
    """A FastAPI application whose route does nothing."""
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/")
    async def nothing() -> dict[str, str]:
        return {}

    return app


COLUMNS = ("Server", "p50 ms, 1", "p99 ms, 1", "p50 ms, 16", "p99 ms, 16", "Req/s, 1", "Req/s, 16", "x mlflow", "of empty")


def lines_of(found: dict[str, dict[int, Figures]]) -> list[list[str]]:
    """One line a server, as text."""
    mlflow = found["`mlflow models serve`"][16].per_second
    empty = found["empty FastAPI route"][16].per_second
    return [
        [
            name,
            *(f"{value:.2f}" for clients in CLIENTS for value in (by[clients].p50_ms, by[clients].p99_ms)),
            *(f"{by[clients].per_second:,.0f}" for clients in CLIENTS),
            f"{by[16].per_second / mlflow:.1f}",
            f"{by[16].per_second / empty:.0%}",
        ]
        for name, by in found.items()
    ]


def main() -> None:
    """Measure, print and write."""
    busy = os.getloadavg()[0]
    found, stored = measure()
    lines = lines_of(found)
    shown = Table(*COLUMNS)
    for line in lines:
        shown.add_row(*line)
    console.print(shown)
    costs = processor_table()
    console.print(costs)
    if SMOKE:
        return
    said = (
        f"{measured_on()} The round with the lowest p99 of {ROUNDS} of {SECONDS:.0f} s; load average {busy:.1f} at the "
        f"start (0 is a machine at rest). {stored:,} predictions were stored meanwhile."
    )
    write_section("bench-serving", f"{said}\n\n{table(COLUMNS, lines)}", PAGE)
    write_section("bench-processor", costs, PAGE)


def processor_table() -> str:
    """`tests.bench.processor` in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.processor", *(["--smoke"] if SMOKE else [])]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout.strip()


if __name__ == "__main__":
    main()
