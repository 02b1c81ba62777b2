"""Routes whose JSON carries an ETag, so that a client that has it already gets 304 and no body."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "Nothing has changed since the ETag in If-None-Match."}}


class Tagged(APIRoute):
    """Adds an ETag to the JSON that a GET route answers, and answers 304 to a request that names it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler with its answers tagged."""
        handler = super().get_route_handler()

        async def tagging(request: Request) -> Response:
            return tagged(request, await handler(request))

        return tagging if "GET" in self.methods else handler


def tagged(request: Request, response: Response) -> Response:
    """Return the response with its ETag, or 304 when the request names that; a stream or an error as it is."""
    body = getattr(response, "body", None)
    if response.status_code != 200 or body is None:  # noqa: PLR2004
        return response
    tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    given = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if given & {tag, "*"}:
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response
