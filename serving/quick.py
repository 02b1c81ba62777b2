"""A route whose endpoint makes the body of its answer itself. Owns how a request reaches it; it predicts nothing.

FastAPI solves dependencies, reads the body as a stream and makes a response object: 14 us a request for routes that need none
of it. Here the route is still FastAPI's own, in its place among the others, in the OpenAPI document and behind the same error
handlers; only the way from it to the endpoint is short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

JSON = "application/json"
CONTENT_TYPE = (b"content-type", JSON.encode())


class Quick(APIRoute):
    """Sends what an endpoint `async (request) -> bytes` returns, as JSON with status 200."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401  # FastAPI's own
        super().__init__(path, endpoint, **options)
        self.app = answering(endpoint)


def answering(endpoint: Callable[[Request], Awaitable[bytes]]) -> ASGIApp:
    """The endpoint as an ASGI application; its errors are the application's to answer."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        content = await endpoint(Request(scope, receive, send))
        headers = [CONTENT_TYPE, (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return app


async def body_of(request: Request) -> bytes:
    """The whole body, which mostly comes in one message."""
    parts = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
