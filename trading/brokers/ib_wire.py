"""A connection to TWS or IB Gateway behind plain calls. Owns the thread with ib_async's event loop; no order logic."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

from ib_async import IB, StartupFetch

from core.errors import ConfigError, RetryLater

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
STARTUP = StartupFetch.ORDERS_OPEN | StartupFetch.ORDERS_COMPLETE | StartupFetch.ACCOUNT_UPDATES | StartupFetch.EXECUTIONS


class IBWire:
    """Runs coroutines on a connected `IB`, connecting when there is no connection.

    Parameters
    ----------
    client_id
        TWS lets a client cancel and change its own orders alone: the same number must be used at every start.
    live
        Whether the account may be one for real money; it must be one then, and a paper account otherwise.
    timeout_seconds
        Silence after which an answer no longer counts, for each request of a call.
    """

    def __init__(self, host: str, port: int, client_id: int, *, live: bool = False, timeout_seconds: float = 10.0) -> None:
        self.host = host
        self.port = port
        self.client_id = client_id
        self.live = live
        self.timeout_seconds = timeout_seconds
        self._ib: IB | None = None
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="ib", daemon=True).start()

    def call(self, work: Callable[[IB], Awaitable[T]]) -> T:
        """Return the coroutine's result.

        Raises
        ------
        core.errors.RetryLater
            When TWS was not reached or did not answer; the next call connects anew.
        core.errors.ConfigError
            When the account is not of the kind that the settings ask for.
        """

        async def connected() -> T:
            return await work(await self._connected())

        future = asyncio.run_coroutine_threadsafe(connected(), self._loop)
        try:
            return future.result(timeout=10 * self.timeout_seconds)
        except OSError as error:  # a refused or broken connection, and silence
            future.cancel()
            self.disconnect()
            raise RetryLater(f"TWS at {self.host}:{self.port} gave no answer ({type(error).__name__}).") from error

    async def within(self, answer: Awaitable[T]) -> T:
        """Wait for one answer, as long as it counts and the connection is there."""
        return await asyncio.wait_for(answer, self.timeout_seconds)

    def disconnect(self) -> None:
        """Drop the connection, with everything ib_async believed."""

        async def drop() -> None:
            if self._ib is not None:
                self._ib.disconnect()
                self._ib = None

        asyncio.run_coroutine_threadsafe(drop(), self._loop).result(timeout=5)

    async def _connected(self) -> IB:
        if self._ib is None or not self._ib.isConnected():
            self._ib = IB()
            await self._ib.connectAsync(
                self.host,
                self.port,
                clientId=self.client_id,
                timeout=self.timeout_seconds,
                raiseSyncErrors=True,
                fetchFields=STARTUP,
            )
            self._require_kind(self._ib)
        return self._ib

    def _require_kind(self, ib: IB) -> None:
        """Interactive Brokers' paper accounts start with D."""
        accounts = ib.managedAccounts()
        if any(name.startswith("D") == self.live for name in accounts):
            ib.disconnect()
            self._ib = None
            kind = "an account for real money (BROKER_LIVE=1)" if self.live else "a paper account, which starts with D"
            raise ConfigError(
                f"TWS at {self.host}:{self.port}: expected {kind}, found {accounts[0][:2]}... Change IB_PORT, or BROKER_LIVE."
            )
