"""Processor time of a request through the whole application, without sockets, beside FastAPI's empty route.

`python -m tests.bench.processor` prints a table; `make bench-serving` writes it to docs/serving.md. Requests are handed to the
application as an ASGI server would, case after case, round after round. Counted is the time of the event loop's thread alone,
and that of all threads, in which storing each answer in PostgreSQL is.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import structlog
import uvloop

from core.settings import Settings
from serving.app import create_app
from tests.bench.peers.document import measured_on, table
from tests.bench.serving import FOLDER, ROUTES, SMOKE, empty_app, prepared, questions

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from starlette.types import ASGIApp

REQUESTS, ROUNDS = (500, 1) if SMOKE else (5000, 7)
COLUMNS = ("Route", "Event loop, us", "Altogether, us")


class Case(NamedTuple):
    """A request to an application."""

    app: ASGIApp
    method: str
    path: str
    body: bytes


async def ask(case: Case, times: int) -> None:
    """Hand the request over again and again, one after the other."""
    head = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"content-length", b"%d" % len(case.body))]
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "http",
        "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 50_000), "root_path": "", "method": case.method,
        "path": case.path, "raw_path": case.path.encode(), "query_string": b"",
    }  # fmt: skip
    statuses = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": case.body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    for _ in range(times):
        await case.app({**scope, "headers": list(head), "state": {}}, receive, send)
    assert set(statuses) == {200}, f"{case.path}: {set(statuses)}"


async def measure() -> dict[str, tuple[float, float]]:
    """Microseconds of each case, the least disturbed round: of the event loop's thread, and of all."""
    desk = prepared(Settings.of(provider="sample", data_dir=FOLDER, api__queue_rows=10**6))  # type: ignore[call-arg]
    app = create_app(desk)
    cases = {"empty FastAPI route": Case(empty_app(), "GET", "/", b"")}  # type: ignore[arg-type]
    for route in ROUTES:
        for name, body in questions(desk).items():
            cases[f"`{route}`, {name}"] = Case(app, "POST", route, json.dumps(body).encode())
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    async with app.router.lifespan_context(app):
        journal = app.state.desk.journal
        for number in range(ROUNDS + 1):  # the first warms up
            for name, case in cases.items():
                whole, own = time.process_time(), time.thread_time()
                await ask(case, REQUESTS)
                own = time.thread_time() - own
                while journal.depth:
                    await asyncio.sleep(0.01)
                if number:
                    taken[name].append((own / REQUESTS * 1e6, (time.process_time() - whole) / REQUESTS * 1e6))
    return {name: tuple(np.min(rows, axis=0)) for name, rows in taken.items()}  # type: ignore[misc]


def main() -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    found = uvloop.run(measure())
    said = f"{measured_on()} The least of {ROUNDS} rounds of {REQUESTS:,} requests."
    print(f"{said}\n\n{table(COLUMNS, [[name, *(f'{value:.1f}' for value in pair)] for name, pair in found.items()])}")  # noqa: T201


if __name__ == "__main__":
    main()
