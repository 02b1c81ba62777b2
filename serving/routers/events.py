"""The route that streams what changes, as server-sent events. `serving.change_feed` reads the changes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from serving.access import reader
from serving.change_feed import ChangeFeed, Listener
from serving.routers.routes import DENIED, PROBLEM
from serving.state import state_of

SILENT_SECONDS = 15.0  # after which a comment shows that the stream lives
LAST_SECONDS = 1.0  # in which a listener takes the end of the stream
COMMENT = b": alive\n\n"
STREAMED = "Events until either side ends the stream: lines `id`, `event` and `data`, with a JSON object as data."
READING: dict[int | str, dict[str, Any]] = {200: {"description": STREAMED}, **dict.fromkeys((*DENIED, 422, 503), PROBLEM)}


class EventStream(StreamingResponse):
    """Sends a listener's events until it leaves, is too slow, or the server ends."""

    media_type = "text/event-stream"

    def __init__(self, feed: ChangeFeed, listener: Listener) -> None:
        super().__init__(events_of(listener), headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        self._feed, self._listener = feed, listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream, and watch for the end."""
        del scope
        streaming = asyncio.create_task(self.stream_response(send))
        leaving = asyncio.create_task(self.listen_for_disconnect(receive))
        ending = asyncio.create_task(self._listener.over.wait())
        try:
            await asyncio.wait({streaming, leaving, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._feed.leave(self._listener)
            for task in (streaming, leaving, ending):
                task.cancel()
            await asyncio.gather(streaming, leaving, ending, return_exceptions=True)
        if self._listener.over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(send({"type": "http.response.body", "body": b"", "more_body": False}), LAST_SECONDS)


router = APIRouter(tags=["record"], dependencies=[Depends(reader)])


@router.get("/events", response_class=EventStream, status_code=200, responses=READING)
async def events(
    request: Request,
    last_event_id: Annotated[
        str | None, Header(description="Id of the last event that came: those after it come first.")
    ] = None,
) -> EventStream:
    """Stream what changes: `order`, `fill`, `alert`, `halt`, `deployment`, `parameters`, `heartbeat`, `step`, `equity`.

    `database` says that the database does not answer, and that it answers again; `reset` that events were lost, and that the
    pages are to be loaded anew. A comment comes after 15 s without an event.
    """
    feed = state_of(request).feed
    return EventStream(feed, await feed.join(last_event_id))


async def events_of(listener: Listener) -> Any:  # noqa: ANN401  # an asynchronous iterator of bytes
    """Yield what a listener has to get, a comment where there is nothing for a while."""
    while True:
        try:
            yield await asyncio.wait_for(listener.take(), SILENT_SECONDS)
        except TimeoutError:
            yield COMMENT
