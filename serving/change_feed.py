"""One reader of new rows for all listeners of `GET /events`: it polls, numbers the events and hands them out.

An event's id is `RUN-NUMBER-POSITIONS`: the feed's own run, a running number, and the position of each kind of row after the
event. A listener that comes back with the id of its last event gets what it missed: exactly that from the events in memory;
after a restart, or a long absence, from the database by the positions, where rows near them may come a second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog
from fastapi.sse import format_sse_event
from sqlalchemy.exc import SQLAlchemyError

from core.errors import RetryLater
from storage.views.changes import KINDS, WINDOWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from storage.views.changes import Change, Changes, Positions

log = structlog.get_logger()
POLL_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 60.0  # without a listener, after which the feed stops reading
START_SECONDS: Final = 2.0  # for which a first listener waits for the database
RETRY_MILLISECONDS: Final = 2_000
MOST_ROWS: Final = 500  # of a kind in one poll, and to a listener that comes back
MOST_WAITING_BYTES: Final = 1_000_000  # a listener that leaves more unread is dropped
REMEMBERED: Final = 2_000  # events
STRANGE_ID = "The id of the last event is none of this stream. Load the pages anew."
MISSED_TOO_MUCH = "Too much has changed since the last event. Load the pages anew."
NO_DATABASE = "The database does not answer."


class TooManyListeners(RetryLater):
    """As many listeners as are allowed listen already."""


class LastEvent(NamedTuple):
    """The id of an event, in its parts."""

    run: str
    number: int
    positions: dict[str, int]


class Listener:
    """One open stream.

    Attributes
    ----------
    missed
        Positions from which the database is read before it joins the others; None once it has joined.
    over
        Set when the stream is to end.
    """

    def __init__(self) -> None:
        self.missed: Positions | None = None
        self.over = asyncio.Event()
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._more = asyncio.Event()

    def put(self, content: bytes) -> None:
        """Add to what it has to get; one that reads too slowly is over."""
        slow = self._bytes + len(content) > MOST_WAITING_BYTES and bool(self._waiting)
        if slow and not self.over.is_set():
            log.warning("slow_listener_dropped", waiting_bytes=self._bytes)
            self.over.set()
        if not slow:
            self._waiting.append(content)
            self._bytes += len(content)
            self._more.set()

    async def take(self) -> bytes:
        """Wait for something to send, and return all of it."""
        await self._more.wait()
        content = b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        self._more.clear()
        return content


class ChangeFeed:
    """The listeners, the position of the feed and the events that it remembers.

    Parameters
    ----------
    changes
        Opens the reader of new rows; the database may be down.
    most_listeners
        Listeners at once.
    """

    def __init__(self, changes: Callable[[], Changes], most_listeners: int, poll_seconds: float = POLL_SECONDS) -> None:
        self._changes, self._most, self._poll_seconds = changes, most_listeners, poll_seconds
        self._listeners: set[Listener] = set()
        self._trouble: str | None = None
        self._tried, self._wanted = asyncio.Event(), asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self._closed = False
        self._forget()

    @property
    def listening(self) -> int:
        """Number of listeners."""
        return len(self._listeners)

    async def join(self, last_event_id: str | None) -> Listener:
        """Return a new listener, which gets every change from now on, and before them those after its last event.

        Raises
        ------
        TooManyListeners
            When there are as many as are allowed, or the server is ending.
        """
        if self._closed or len(self._listeners) >= self._most:
            raise TooManyListeners(f"{self._most} listeners listen already, and no more are allowed.")
        self._poller = self._poller or asyncio.create_task(self._poll_for_ever())
        listener = Listener()
        if self._trouble is not None:
            listener.put(_event("database", {"answers": False, "reason": self._trouble}))
        self._listeners.add(listener)
        try:
            self._resume(listener, last_event_id)
            self._wanted.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._tried.wait(), START_SECONDS)
        except BaseException:
            self.leave(listener)
            raise
        place = self._id(self._positions) if self._positions and listener.missed is None else None
        listener.put(format_sse_event(comment="listening", retry=RETRY_MILLISECONDS, id=place))
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget a listener."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """End every stream, and take no more listeners."""
        self._closed = True
        for listener in self._listeners:
            listener.over.set()
        if self._poller is not None:
            self._poller.cancel()

    def _forget(self) -> None:
        """Begin a new run, at whatever is the present then."""
        self._run, self._number = secrets.token_hex(4), 0
        self._positions: dict[str, int] = {}  # empty before the first poll that succeeds
        self._seen: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
        self._remembered: deque[tuple[int, bytes]] = deque(maxlen=REMEMBERED)
        self._tried.clear()
        self._wanted.clear()

    def _resume(self, listener: Listener, last_event_id: str | None) -> None:
        """Give a listener what followed its last event where that is remembered; else mark that the database has it."""
        if not last_event_id:
            return
        last = _parsed(last_event_id)
        if last is None:
            listener.put(_event("reset", {"reason": STRANGE_ID}))
        elif last.run == self._run and self._number - len(self._remembered) <= last.number <= self._number:
            listener.put(b"".join(content for number, content in self._remembered if number > last.number))
        else:
            listener.missed = last.positions

    async def _poll_for_ever(self) -> None:
        """Poll while anybody listens and a while longer, then wait for a listener."""
        quiet = 0.0
        while True:
            await self._wanted.wait()
            try:
                await self._poll()
            except (SQLAlchemyError, RetryLater) as error:
                self._note_outage(error)
            except Exception:
                log.exception("change_feed_failed")
            else:
                self._note_answer()
            self._tried.set()
            await asyncio.sleep(self._poll_seconds)
            quiet = 0.0 if self._listeners else quiet + self._poll_seconds
            if quiet > QUIET_SECONDS:
                self._forget()

    async def _poll(self) -> None:
        """Read what is new, hand it out, and give those that came back what they missed."""
        if not self._positions:
            await asyncio.to_thread(self._begin)
        self._hand_out(await asyncio.to_thread(self._read, self._positions, self._seen))
        for listener in [each for each in self._listeners if each.missed is not None]:
            after = {kind: min((listener.missed or {})[kind], self._positions[kind]) for kind in KINDS}
            listener.put(self._caught_up(after, await asyncio.to_thread(self._read, after, {})))
            listener.missed = None

    def _read(self, after: Positions, seen: dict[str, dict[str, int]]) -> list[Change]:
        return self._changes().read(after, seen, MOST_ROWS)

    def _begin(self) -> None:
        """Take the present as the start: what is there already is no news."""
        changes = self._changes()
        positions = changes.newest()
        for change in changes.read(positions, {}, REMEMBERED):
            self._pass(change, positions)
        self._positions = positions

    def _hand_out(self, new: Sequence[Change]) -> None:
        """Number the changes, remember them, and give them to every listener in one piece."""
        parts = []
        for change in new:
            self._pass(change, self._positions)
            self._number += 1
            parts.append(_event(change.kind, change.data, self._id(self._positions)))
            self._remembered.append((self._number, parts[-1]))
        for kind, keys in self._seen.items():
            start = self._positions[kind] - WINDOWS[kind]
            self._seen[kind] = {key: position for key, position in keys.items() if position > start}
        if parts:
            self._tell_joined(b"".join(parts))

    def _pass(self, change: Change, positions: dict[str, int]) -> None:
        """Note a change as read."""
        self._seen[change.kind][change.key] = change.position
        positions[change.kind] = max(positions[change.kind], change.position)

    def _caught_up(self, after: Positions, rows: Iterable[Change]) -> bytes:
        """Return what a listener missed, without what the next poll brings; or that it missed too much."""
        missed = [each for each in rows if self._is_past(each)]
        if max(Counter(each.kind for each in missed).values(), default=0) >= MOST_ROWS:
            return _event("reset", {"reason": MISSED_TOO_MUCH}, self._id(self._positions))
        at, parts = dict(after), []
        for change in missed:
            at[change.kind] = max(at[change.kind], change.position)
            parts.append(_event(change.kind, change.data, self._id(at, run="")))
        return b"".join(parts) + format_sse_event(id=self._id(self._positions))

    def _is_past(self, change: Change) -> bool:
        """Return True for a change that the feed has handed out already, or reads no more."""
        behind_window = change.position <= self._positions[change.kind] - WINDOWS[change.kind]
        return behind_window or change.key in self._seen[change.kind]

    def _note_outage(self, error: Exception) -> None:
        if self._trouble is None:
            self._trouble = NO_DATABASE
            log.warning("change_feed_waits", reason=f"{type(error).__name__}: {error}")
            self._tell(_event("database", {"answers": False, "reason": NO_DATABASE}))

    def _note_answer(self) -> None:
        if self._trouble is not None:
            self._trouble = None
            self._tell(_event("database", {"answers": True, "reason": None}, self._id(self._positions)))

    def _tell(self, content: bytes) -> None:
        for listener in self._listeners:
            listener.put(content)

    def _tell_joined(self, content: bytes) -> None:
        for listener in self._listeners:
            if listener.missed is None:
                listener.put(content)

    def _id(self, positions: Positions, run: str | None = None) -> str:
        """Return the id of an event; with another run it is looked up in the database."""
        return "-".join(map(str, (self._run if run is None else run, self._number, *(positions[kind] for kind in KINDS))))


def _event(kind: str, data: object, name: str | None = None) -> bytes:
    return format_sse_event(event=kind, data_str=json.dumps(data, allow_nan=False), id=name)


def _parsed(last_event_id: str) -> LastEvent | None:
    """Return the parts of an event's id; None where it is none."""
    run, *numbers = last_event_id.split("-")
    if len(numbers) != len(KINDS) + 1 or not all(each.isascii() and each.isdigit() and len(each) <= 18 for each in numbers):  # noqa: PLR2004  # digits of a 64-bit number
        return None
    number, *positions = map(int, numbers)
    return LastEvent(run, number, dict(zip(KINDS, positions, strict=True)))
