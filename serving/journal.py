"""A bounded queue of predictions on their way to PostgreSQL; drops nothing silently.

An answer is encoded and queued before it is given: a thread that encoded thousands of them would hold the interpreter's lock
against the requests. When the queue is full no answer is given: the API says 503. While the database does
not take rows the queue grows, readiness is amber, and the rows are tried again until they are stored. On shutdown the queue is
drained; what the database does not take then is left in a file, which the next start stores. Rows that PostgreSQL refuses are
set aside in a file, counted and alerted. A process that is killed loses what it took in the last `FLUSH_SECONDS`.

Rows are stored at least once: a connection that breaks while it commits may store a batch twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING

import psycopg2
import structlog
from sqlalchemy.exc import OperationalError

from core.errors import RetryLater
from storage.trading.served import framed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from monitoring.alerts import Alerts
    from serving.metrics import Metrics
    from storage.trading.served import ServedPredictions

log = structlog.get_logger()
FLUSH_SECONDS = 0.1
BATCH_ROWS = 2000
RETRY_SECONDS = 1.0
DRAIN_SECONDS = 5.0
AMBER_FRACTION = 0.5
UNREACHABLE = (OperationalError, psycopg2.OperationalError, psycopg2.InterfaceError, RetryLater)


class QueueFull(RetryLater):
    """As many predictions wait to be stored as may."""


class Journal:
    """Predictions waiting to be stored.

    Parameters
    ----------
    table
        Opens the table on first use: the API starts before its database answers.
    folder
        For rows that could not be stored.
    limit_rows
        Rows that may wait; more are refused.
    """

    def __init__(
        self, table: Callable[[], ServedPredictions], folder: Path, limit_rows: int, alerts: Alerts, metrics: Metrics
    ) -> None:
        self._table, self._folder, self._limit, self._alerts, self._metrics = table, folder, limit_rows, alerts, metrics
        self._waiting: deque[bytes] = deque()
        self._writing: list[bytes] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ready = False
        self.trouble: str | None = None

    @property
    def depth(self) -> int:
        """Rows that wait or are being written."""
        return len(self._waiting) + len(self._writing)

    @property
    def amber(self) -> str | None:
        """Return why the queue needs attention; None when it does not."""
        if self.trouble:
            return f"{self.depth} of {self._limit} predictions wait: {self.trouble}"
        return f"{self.depth} of {self._limit} predictions wait" if self.depth > AMBER_FRACTION * self._limit else None

    def require_room(self, rows: int = 1) -> None:
        """Refuse what could not be recorded.

        Raises
        ------
        QueueFull
            When fewer than `rows` places are left.
        """
        if self.depth + rows > self._limit:
            self._metrics.refused.inc(rows)
            raise QueueFull(
                f"{self.depth} predictions wait to be stored, at most {self._limit} may: expected room for {rows} more. "
                f"{self.trouble or 'PostgreSQL takes them more slowly than they come'}."
            )

    def add(self, row: bytes) -> None:
        """Queue a row that `storage.trading.served.encode` made and for which there is room."""
        self._waiting.append(row)
        if not self._wake.is_set():
            self._wake.set()

    def start(self) -> None:
        """Begin to store, on the running loop: first what an earlier process left."""
        if any(self._folder.glob("left-*.copy")):
            self._wake.set()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Drain the queue; what the database does not take in `DRAIN_SECONDS` goes to a file."""
        if self._task is None:
            return
        self._wake.set()
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.depth and not self.trouble and time.monotonic() < deadline:
            await asyncio.sleep(FLUSH_SECONDS / 5)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        left = [*self._writing, *self._waiting]
        if left:
            path = await asyncio.to_thread(self._leave, left, "left")
            log.warning("predictions_left_in_file", rows=len(left), path=str(path), reason=self.trouble or "no time to drain")

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(FLUSH_SECONDS if len(self._waiting) < BATCH_ROWS else 0)
            self._wake.clear()
            await self._store()
            while self._waiting or self._writing:
                await self._store()

    async def _store(self) -> None:
        """Store one batch; after a failure keep it and wait."""
        if not self._writing:
            self._writing = [self._waiting.popleft() for _ in range(min(BATCH_ROWS, len(self._waiting)))]
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, self._writing))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:  # shut down in mid-write: know its outcome before anything is left in a file
            with contextlib.suppress(*UNREACHABLE):
                await writing
                self._writing = []
            raise
        except UNREACHABLE as error:
            self._note(error)
            await asyncio.sleep(RETRY_SECONDS)
            return
        except Exception as error:  # noqa: BLE001  # PostgreSQL refuses the rows themselves: trying again would block all others
            self._set_aside(error)
        self._writing = []
        self._metrics.queue.set(self.depth)
        self._recovered()

    def _write(self, rows: Sequence[bytes]) -> None:
        """Off the event loop: what an earlier process left, then these."""
        table = self._table()
        if not self._ready:
            table.name_features()
            for path in sorted(self._folder.glob("left-*.copy")):
                self._take_in(table, path)
            self._ready = True
        if rows:
            table.append(rows)
            self._metrics.stored.inc(len(rows))

    def _take_in(self, table: ServedPredictions, path: Path) -> None:
        """Store what an earlier process left; a file that is refused is set aside, so that it stops no other row."""
        try:
            table.append_file(path)
        except UNREACHABLE:
            raise
        except Exception as error:  # whatever is wrong with the file, it is kept
            aside = path.rename(path.with_name(path.name.replace("left", "refused", 1)))
            log.exception("predictions_of_an_earlier_process_refused", path=str(aside))
            text = f"Served predictions of an earlier process were refused: {error}\nThey are kept in {aside} (COPY, binary)."
            self._alerts.send("Predictions could not be stored", text)
            return
        path.unlink()
        log.info("predictions_of_an_earlier_process_stored", path=str(path))

    def _note(self, error: Exception) -> None:
        self._metrics.queue.set(self.depth)
        self._metrics.store_failures.inc()
        if self.trouble is None:
            log.error("predictions_wait", reason=type(error).__name__, rows=self.depth)
        self.trouble = f"the database does not answer ({type(error).__name__})"

    def _recovered(self) -> None:
        if self.trouble is not None:
            log.info("predictions_stored_again", rows_waiting=self.depth)
        self.trouble = None

    def _set_aside(self, error: Exception) -> None:
        path = self._leave(self._writing, "refused")
        self._metrics.set_aside.inc(len(self._writing))
        log.error("predictions_refused", rows=len(self._writing), path=str(path), exc_info=error)
        text = f"PostgreSQL refused {len(self._writing)} served predictions: {error}\nThey are kept in {path} (COPY, binary)."
        asyncio.get_running_loop().run_in_executor(None, self._alerts.send, "Predictions could not be stored", text)

    def _leave(self, rows: Sequence[bytes], kind: str) -> Path:
        """Write rows to a file that `ServedPredictions.append_file` reads."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{kind}-{time.time_ns()}-{uuid.uuid4().hex[:6]}.copy"
        half = path.with_suffix(".part")
        half.write_bytes(framed(rows))
        half.replace(path)
        return path
