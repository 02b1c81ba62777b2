"""A REST API for the dashboard's tests and benchmarks: pages, cursors, ETags, CSV and problems, over rows made here.

`python -m tests.standins.dashboard_api PORT [SESSIONS] [TRADES]` serves it. `StandIn` runs it in a thread; its `rows` may be
changed, and `down`, `slow_seconds` and `problem` make it fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import datetime as dt
import hashlib
import io
import json
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

LAST = dt.date(2026, 3, 2)
YEARS_20 = 5_040
READ_KEY, CONTROL_KEY = "read-key-of-the-tests-0", "control-key-of-the-tests-0"


def weekdays(count: int, last: dt.date = LAST) -> list[dt.date]:
    """The last `count` weekdays up to `last`."""
    days: list[dt.date] = []
    while len(days) < count:
        if last.weekday() < 5:
            days.append(last)
        last -= dt.timedelta(days=1)
    return days[::-1]


def equity(count: int, seed: int = 7) -> list[dict[str, Any]]:
    """A curve of `count` sessions."""
    values = 100_000 * np.cumprod(1 + np.random.default_rng(seed).normal(0.0004, 0.008, count))
    falls = 100 * (values / np.maximum.accumulate(values) - 1) if count else values
    days = weekdays(count)
    return [
        {"session": day.isoformat(), "equity_usd": round(float(value), 2), "drawdown_pct": round(float(fall), 4)}
        for day, value, fall in zip(days, values, falls, strict=True)
    ]


def trades(count: int, seed: int = 8) -> list[dict[str, Any]]:
    """Closed trades, newest first."""
    random = np.random.default_rng(seed)
    days = weekdays(count + 5)
    gains = random.normal(12, 180, count)
    return [
        {
            "id": count - each,
            "sleeve": "bollinger",
            "symbol": ("SPY", "QQQ", "IWM")[each % 3],
            "entry_session": days[count - each - 1].isoformat(),
            "exit_session": days[count - each + 3].isoformat(),
            "quantity": 10 + each % 40,
            "pnl_usd": round(float(gains[each]), 2),
            "reason": "rule",
        }
        for each in range(count)
    ]


def desk(sessions: int = 750, closed: int = 300) -> dict[str, list[dict[str, Any]]]:
    """The rows of every view, for a desk of that many sessions; without sessions it is an empty one."""
    curve = equity(sessions)
    started = bool(curve)
    return {
        "/equity": curve,
        "/trades": trades(closed),
        "/pnl": [
            {"period": name, "pnl_usd": pnl, "pnl_pct": pct}
            for name, pnl, pct in (
                ("today", 312.4, 0.21), ("week", -120.0, -0.08), ("month", 1_804.55, 1.2), ("start", 48_211.9, 48.2),
            )
            if started
        ],
        "/positions": [
            {"sleeve": "bollinger", "symbol": "SPY", "quantity": 30, "value_usd": 15_321.0, "unrealised_usd": -88.2},
            {"sleeve": "gap", "symbol": "QQQ", "quantity": 12, "value_usd": 5_804.4, "unrealised_usd": 41.04},
        ][: 2 * started],
        "/orders": [
            {"created_at": "2026-03-02T21:35:00+00:00", "sleeve": "gap", "symbol": "QQQ", "side": "buy", "quantity": 12,
             "state": "filled"},
        ][:started],
        "/alerts": [
            {"id": 1, "severity": "critical", "subject": "Order <b>gap</b> is unknown at the venue", "book": "main",
             "raised_at": "2026-03-02T21:36:10+00:00", "state": "raised"},
        ][:started],
        "/deployments": [
            {"name": "main", "stage": "paper", "state": "active", "equity_usd": curve[-1]["equity_usd"] if started else None,
             "positions": 2 * started, "entries_blocked": []},
            {"name": "trio", "stage": "paper", "state": "paused", "equity_usd": 50_000.0, "positions": 0,
             "entries_blocked": ["paused by ann"]},
        ],
    }  # fmt: skip


BARE = {"/alerts", "/deployments"}  # routes that answer a list, not a page


@dataclass
class StandIn:
    """The API with its rows and its ailments."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=desk)
    ready: dict[str, Any] = field(
        default_factory=lambda: {"ready": True, "state": "green", "database": "answers", "trouble": [], "entries_blocked": {}}
    )
    read_key: str | None = None
    slow_seconds: float = 0.0
    problem: tuple[int, str] | None = None
    requests: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    changes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [Route(path, self.view) for path in self.rows]
        routes += [Route("/readyz", self.readyz), Route("/trading/halt", self.halt, methods=["POST"])]
        return Starlette(routes=routes)

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
        path, query = request.url.path, request.query_params
        rows = self.rows[path]
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

    async def halt(self, request: Request) -> Response:
        """The halt switch, with a control key."""
        if request.headers.get("x-api-key") != CONTROL_KEY:
            return problem(403, "This key reads; expected a control key in X-API-Key")
        if self.problem is not None:
            return problem(*self.problem)
        change = await request.json()
        self.changes.append((request.url.path, change))
        return JSONResponse({"portfolio": change.get("portfolio"), "halted": True})

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
