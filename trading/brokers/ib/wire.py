"""A connection to TWS or IB Gateway behind plain calls. Owns the thread with ib_async's event loop; no order logic."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from ib_async import StartupFetch

from core.errors import ConfigError, RetryLater, UnreadableAnswer
from trading.brokers.ib.reports import CLIENT_ID_IN_USE, CONNECTION, ReportingIB
from trading.brokers.listing import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
STARTUP = StartupFetch.ORDERS_OPEN | StartupFetch.ORDERS_COMPLETE | StartupFetch.ACCOUNT_UPDATES | StartupFetch.EXECUTIONS


class IBWire:
    """Runs coroutines on a connected `IB`, connecting when there is no connection.

    Parameters
    ----------
    client_id
        TWS lets a client cancel and change its own orders alone: the same number must be used at every start. TWS takes one
        connection under a number at a time, which is why a connection that nobody uses is given back.
    live
        Whether the account may be one for real money; it must be one then, and a paper account otherwise.
    timeout_seconds
        Silence after which an answer no longer counts, for each request of a call.
    idle_seconds
        Time without a call after which the connection is given back, for the next process of the desk.
    """

    def __init__(
        self,
        host: str,
        port: int,
        client_id: int,
        *,
        live: bool = False,
        timeout_seconds: float = 10.0,
        idle_seconds: float = 1.0,
    ) -> None:
        self.host = host
        self.port = port
        self.client_id = client_id
        self.live = live
        self.timeout_seconds = timeout_seconds
        self.idle_seconds = idle_seconds
        self._ib: ReportingIB | None = None
        self._calls = 0
        self._idle: asyncio.TimerHandle | None = None
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="ib", daemon=True).start()

    def call(self, work: Callable[[ReportingIB], Awaitable[T]]) -> T:
        """Return the coroutine's result.

        Raises
        ------
        core.errors.RetryLater
            When TWS was not reached or did not answer; the next call connects anew.
        core.errors.ConfigError
            When the account is not of the kind that the settings ask for.
        """

        async def connected() -> T:
            self._calls += 1
            if self._idle is not None:
                self._idle.cancel()
            try:
                return await work(await self._connected())
            finally:
                self._calls -= 1
                if not self._calls:
                    self._idle = self._loop.call_later(self.idle_seconds, self._drop)

        future = asyncio.run_coroutine_threadsafe(connected(), self._loop)
        try:
            return future.result(timeout=10 * self.timeout_seconds)
        except OSError as error:  # a refused or broken connection, and silence
            future.cancel()
            words = self._last_words()
            self.disconnect()
            raise RetryLater(f"TWS at {self.host}:{self.port} gave no answer ({type(error).__name__}).{words}") from error
        except UNREADABLE as error:
            raise UnreadableAnswer(f"TWS's answer cannot be read ({type(error).__name__}: {error}).") from error

    async def within(self, answer: Awaitable[T]) -> T:
        """Wait for one answer, as long as it counts and the connection is there."""
        return await asyncio.wait_for(answer, self.timeout_seconds)

    def disconnect(self) -> None:
        """Drop the connection, with everything ib_async believed."""

        async def drop() -> None:
            self._drop()

        asyncio.run_coroutine_threadsafe(drop(), self._loop).result(timeout=5)

    def _drop(self) -> None:
        ib, self._ib = self._ib, None
        if ib is not None:
            with suppress(ConnectionError):  # ib_async has no figures of a connection that never was
                ib.disconnect()
            ib.client.disconnect()  # type: ignore[no-untyped-call]

    def _last_words(self) -> str:
        """Return what TWS said last about the connection, as a sentence with its code, or nothing."""
        said = [] if self._ib is None else self._ib.wrapper.complaints.get(CONNECTION, [])
        faults = [each for each in said if not each.is_notice]
        return f" It said: {faults[-1].words} (TWS {faults[-1].code})" if faults else ""

    async def _connected(self) -> ReportingIB:
        if self._ib is None or not self._ib.isConnected():
            self._ib = ReportingIB()
            await self._connect(self._ib)
            self._require_kind(self._ib)
        return self._ib

    async def _connect(self, ib: ReportingIB) -> None:
        """Connect, or raise ConnectionError at once where TWS says that the client id is in use."""
        in_use = self._loop.create_future()

        def hear(_number: int, code: int, words: str, _contract: object) -> None:
            if code == CLIENT_ID_IN_USE and not in_use.done():
                in_use.set_result(words)

        ib.errorEvent += hear
        connecting = asyncio.ensure_future(
            ib.connectAsync(
                self.host,
                self.port,
                clientId=self.client_id,
                timeout=self.timeout_seconds,
                raiseSyncErrors=True,
                fetchFields=STARTUP,
            )
        )
        await asyncio.wait({connecting, in_use}, return_when=asyncio.FIRST_COMPLETED)
        if in_use.done():
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
            raise ConnectionError(f"client id {self.client_id}: {in_use.result()}")
        await connecting

    def _require_kind(self, ib: ReportingIB) -> None:
        """Interactive Brokers' paper accounts start with D."""
        accounts = ib.managedAccounts()
        if any(name.startswith("D") == self.live for name in accounts):
            ib.disconnect()
            self._ib = None
            kind = "an account for real money (VENUE__LIVE=1)" if self.live else "a paper account, which starts with D"
            raise ConfigError(
                f"TWS at {self.host}:{self.port}: expected {kind}, found {accounts[0][:2]}... Change VENUE__IB__PORT, or "
                "VENUE__LIVE."
            )
