"""A REST API for the dashboard's tests and benchmarks: pages, cursors, ETags, CSV and problems, over rows made here.

`python -m tests.standins.dashboard_api PORT [SESSIONS] [TRADES]` serves it. `StandIn` runs it in a thread; its `rows` may be
changed, and `down`, `slow_seconds` and `problem` make it fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import hashlib
import io
import json
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.standins.money_rows import ENTRY_ID, EXIT_ID, equity, halt_state, health, money_rows, order_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

YEARS_20 = 5_040
READ_KEY, CONTROL_KEY = "read-key-of-the-tests-0", "control-key-of-the-tests-0"
EQUAL = ("book", "sleeve", "symbol", "reason", "period", "leg")  # parameters that choose rows of that value


def desk(sessions: int = 750, closed: int = 300) -> dict[str, list[dict[str, Any]]]:
    """The rows of every view, for a desk of that many sessions; without sessions it is an empty one."""
    return money_rows(equity(sessions), closed)


BARE = {"/alerts", "/deployments"}  # routes that answer a list, not a page


@dataclass
class StandIn:
    """The API with its rows and its ailments."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=desk)
    ready: dict[str, Any] = field(
        default_factory=lambda: {"ready": True, "state": "green", "database": "answers", "trouble": [], "entries_blocked": {}}
    )
    health: dict[str, Any] = field(default_factory=health)
    pages: dict[str, dict[str, Any]] = field(default_factory=lambda: {each: order_page(each) for each in (ENTRY_ID, EXIT_ID)})
    halted: set[str | None] = field(default_factory=set)
    read_key: str | None = None
    slow_seconds: float = 0.0
    problem: tuple[int, str] | None = None
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)  # by a part of the path and query
    requests: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    changes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [Route(path, self.view) for path in self.rows if "?" not in path]
        routes += [Route("/readyz", self.readyz), Route("/health", self.checks), Route("/orders/{order:path}", self.order)]
        routes += [Route("/trading/halt", self.halt_state), Route("/trading/halt", self.change, methods=["POST"])]
        changes = ("/trading/resume", "/deployments/{name}/pause", "/deployments/{name}/unpause")
        return Starlette(routes=[*routes, *(Route(path, self.change, methods=["POST"]) for path in changes)])

    async def view(self, request: Request) -> Response:
        """A page of a view, or all of it as CSV."""
        self.requests.append(str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""))
        response = await self._view(request)
        self.statuses.append(response.status_code)
        return response

    async def _view(self, request: Request) -> Response:
        await asyncio.sleep(self.slow_seconds)
        if self.problem is not None:
            return problem(*self.problem)
        if self.read_key is not None and request.headers.get("x-api-key") != self.read_key:
            return problem(401, "Expected a read key in X-API-Key, found another")
        for part, refusal in self.refusals.items():
            if part in f"{request.url.path}?{request.url.query}":
                return problem(*refusal)
        path, query = request.url.path, request.query_params
        rows = self.rows.get(f"{path}?by={query.get('by')}", self.rows[path])
        wanted = {name: query[name] for name in EQUAL if name in query}
        rows = [row for row in rows if all(row.get(name, value) == value for name, value in wanted.items())]
        if query.get("format") == "csv":
            return Response(as_csv(rows), media_type="text/csv")
        first, limit = int(query.get("after") or 0), int(query.get("limit") or 100)
        page = rows[first : first + limit]
        following = str(first + limit) if first + limit < len(rows) else None
        body = json.dumps(page if path in BARE else {"rows": page, "next": following}).encode()
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        return Response(body, media_type="application/json", headers={"etag": tag})

    async def readyz(self, _: Request) -> Response:
        """Readiness: 503 when it is red."""
        return JSONResponse(self.ready, 200 if self.ready["ready"] else 503)

    async def checks(self, _: Request) -> Response:
        """The health checks."""
        return problem(*self.problem) if self.problem else JSONResponse(self.health)

    async def order(self, request: Request) -> Response:
        """Everything behind an order."""
        if self.problem is not None:
            return problem(*self.problem)
        page = self.pages.get(request.path_params["order"])
        return problem(404, "No order has that id") if page is None else JSONResponse(page)

    async def halt_state(self, request: Request) -> Response:
        """The halt switch of a book."""
        book = request.query_params.get("portfolio", "main")
        halted = not self.halted.isdisjoint({book, None})
        return problem(*self.problem) if self.problem else JSONResponse(halt_state(book, halted=halted))

    async def change(self, request: Request) -> Response:
        """A change, with a control key: the halt, its end, or a deployment's pause."""
        if request.headers.get("x-api-key") != CONTROL_KEY:
            return problem(403, "This key reads; expected a control key in X-API-Key")
        if self.problem is not None:
            return problem(*self.problem)
        change = await request.json()
        path, book = request.url.path, change.get("portfolio")
        self.changes.append((path, change))
        if path.startswith("/trading/"):
            (self.halted.add if path.endswith("halt") else self.halted.discard)(book)
            return JSONResponse(halt_state(book or "main", halted=path.endswith("halt")))
        row = next(row for row in self.rows["/deployments"] if row["name"] == request.path_params["name"])
        row["state"], row["version"] = "active" if path.endswith("unpause") else "paused", row["version"] + 1
        return JSONResponse(row)

    @contextlib.contextmanager
    def served(self, port: int = 0) -> Iterator[str]:
        """Serve in a thread; yields the address."""
        port = port or free_port()
        config = uvicorn.Config(self.app(), host="127.0.0.1", port=port, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(10)


def problem(status: int, detail: str) -> JSONResponse:
    """An answer as problem+json."""
    body = {"type": "urn:desk:Test", "title": "Test", "status": status, "detail": detail, "remedy": "Do this", "instance": "/"}
    return JSONResponse(body, status, media_type="application/problem+json")


def as_csv(rows: list[dict[str, Any]]) -> str:
    """The rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    port, *sizes = (int(each) for each in sys.argv[1:])
    with StandIn(desk(*sizes)).served(port) as address:
        print(address, flush=True)  # noqa: T201
        threading.Event().wait()
