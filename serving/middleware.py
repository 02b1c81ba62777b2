"""Plain ASGI around every request: limits the body's size and measures the time.

Starlette's `@app.middleware("http")` runs each request in tasks of its own; for an answer of 100 us that is half the time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from serving.problems import TooLarge, answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from serving.metrics import Metrics

MAX_BODY_BYTES = 2_000_000  # 1,000 rows of features take 700 kB


class Around:
    """Refuses bodies that are too large, and measures every request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["desk_started"] = started = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._limited(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            self._metrics.requests.of(route, str(status)).add(time.perf_counter() - started)

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body that says it is too large, and stop reading one that does not say."""
        length = next((value for name, value in scope["headers"] if name == b"content-length"), None)
        if length is None:
            receive = _counting(receive)
        elif not length.isdigit() or int(length) > MAX_BODY_BYTES:
            await _refuse(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _counting(receive: Receive) -> Receive:
    read = 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY_BYTES:
            raise TooLarge(MAX_BODY_BYTES)
        return message

    return counted


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    error = TooLarge(MAX_BODY_BYTES)
    response = answer(scope["path"], error.status_code, error.detail, "Send fewer rows at a time.")
    response.headers["connection"] = "close"  # the rest of the body is not read
    await response(scope, receive, send)
