"""The order listener: Alpaca's trade updates into the desk's book, and the gaps filled by asking. Owns no order; it sends none.

The stream runs in a thread of its own, where alpaca-py reconnects it with back-off, and hands its messages to a queue; whatever
touches the book or the API is done by the caller's thread. Nothing is lost with a message: after each connection, and every so
often, the fills and the open orders are asked for, and what is known already is no news.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from alpaca.trading.stream import TradingStream

from core.errors import ConfigError, IllegalTransition, RetryLater, StopTrading
from core.models import Leg, OrderState
from trading.brokers.alpaca.protector import Protector
from trading.brokers.alpaca.read import fill_of_event, state_of
from trading.brokers.alpaca.wire import require_host
from trading.brokers.children import is_ours
from trading.brokers.intake import collect, take_fill, take_state
from trading.brokers.listing import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import SecretStr

    from trading.brokers.alpaca.broker import AlpacaBroker
    from trading.brokers.book import Book

    Json = dict[str, Any]

log = structlog.get_logger()
FILLS = ("fill", "partial_fill")
ENDS = ("canceled", "expired", "rejected", "replaced", "done_for_day", "suspended")
CORRECTIONS = ("trade_bust", "trade_correct")
OVERLAP = dt.timedelta(hours=1)  # activities may be told late; what is told twice does no harm
FIRST_LOOK_BACK = dt.timedelta(days=10)
_wire_log = logging.getLogger("trading.alpaca.wire")
_wire_log.setLevel(logging.INFO)  # at DEBUG websockets logs frames, and the first one holds the keys


class TradeStream(TradingStream):
    """alpaca-py's stream, handing over what it hears.

    Parameters
    ----------
    live
        The endpoint for real money; otherwise the paper one, or `url`.
    shortest_wait_seconds, longest_wait_seconds
        Bounds of the pause before it connects again, which doubles each time, with jitter.
    """

    def __init__(
        self,
        key: SecretStr,
        secret: SecretStr,
        *,
        live: bool = False,
        url: str | None = None,
        shortest_wait_seconds: float = 1.0,
        longest_wait_seconds: float = 30.0,
    ) -> None:
        require_host(None if live else url, "stream")
        wire = {"ping_interval": 10, "ping_timeout": 20, "max_queue": 1024, "logger": _wire_log}
        super().__init__(
            key.get_secret_value(),
            secret.get_secret_value(),
            paper=not live,
            raw_data=True,
            url_override=None if live or url is None else url,  # type: ignore[arg-type]
            websocket_params=wire,
        )
        self._reconnect_min_backoff = shortest_wait_seconds
        self._reconnect_max_backoff = longest_wait_seconds
        self.inbox: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self.subscribe_trade_updates(self._heard)
        self._thread = threading.Thread(target=self.run, name="alpaca-stream", daemon=True)

    def start(self) -> None:
        """Connect, in a thread of its own."""
        self._thread.start()

    def end(self) -> None:
        """Close the connection and wait for the thread."""
        loop: Any = self._loop
        if loop is not None and loop.is_running():
            for last in (self.stop_ws, self.close):
                with contextlib.suppress(TimeoutError):
                    asyncio.run_coroutine_threadsafe(last(), loop).result(timeout=5)
        self._thread.join(timeout=10)

    async def _heard(self, message: Json) -> None:
        self.inbox.put(message)

    async def _dispatch(self, msg: Json) -> None:
        """Hand over every message; alpaca-py's own passes over the one that says that it listens now."""
        self.inbox.put(msg)

    async def _auth(self) -> None:
        """Say so when the keys are refused; alpaca-py tries them again for ever."""
        try:
            await super()._auth()  # type: ignore[no-untyped-call]
        except ValueError:
            self.inbox.put({"stream": "refused"})
            raise


@dataclass
class _Waiting:
    """An event that does not fit the book yet, and until when it may."""

    event: Json
    until: float


class OrderListener:
    """Keeps the book at what the venue says.

    Parameters
    ----------
    alarm
        Told what a person must look at while the listener goes on.
    follow
        Brings the book into the terms after recorded splits, before fills are taken.
    beat
        Called each time the venue has been asked for everything and the book has it: the sign that the listener works.
    poll_seconds
        Pause between two times of asking while the stream is silent, and the longest that an event lost on the way is missed.
    patience_seconds
        How long a fill may contradict the book before trading stops: the one before it may be on its way.
    partial_seconds
        See `trading.brokers.alpaca.protector.Protector`.
    others
        Returns the other books in the account. The stream tells of their orders too, and their positions are protected alike.
    """

    def __init__(
        self,
        broker: AlpacaBroker,
        book: Book,
        portfolio: str,
        stream: TradeStream,
        *,
        clock: Callable[[], dt.datetime],
        alarm: Callable[[str], object] = lambda _words: None,
        follow: Callable[[], object] = lambda: None,
        beat: Callable[[], object] = lambda: None,
        poll_seconds: float = 60.0,
        patience_seconds: float = 60.0,
        partial_seconds: float = 60.0,
        others: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.broker = broker
        self.book = book
        self.portfolio = portfolio
        self.stream = stream
        self.clock = clock
        self.alarm = alarm
        self.follow = follow
        self.beat = beat
        self.poll_seconds = poll_seconds
        self.patience_seconds = patience_seconds
        self.since = clock() - FIRST_LOOK_BACK
        self.connections = 0
        self._poll_at = 0.0
        self._failures = 0
        self._waiting: list[_Waiting] = []
        self.others = others
        self.partial_seconds = partial_seconds
        self.protector = self._protector(portfolio)
        self._protectors = {portfolio: self.protector}

    def run(self, stop: threading.Event) -> None:
        """Listen until `stop` is set.

        Raises
        ------
        core.errors.StopTrading
            When what the venue says contradicts the book, or it takes a trade back.
        core.errors.ConfigError
            When the keys are not accepted.
        """
        self.stream.start()
        try:
            while not stop.is_set():
                self.step()
        finally:
            self.stream.end()

    def step(self, wait_seconds: float = 0.2) -> None:
        """Take one message, and ask the venue when that is due."""
        with contextlib.suppress(queue.Empty):
            self._take(self.stream.inbox.get(timeout=wait_seconds))
        if time.monotonic() >= self._poll_at:
            self.catch_up()

    def catch_up(self) -> None:
        """Ask for fills and open orders, then try again what did not fit; a silent venue is asked again, later each time."""
        asked = self.clock()
        try:
            fills = self._collect()
            moved = sum(protector.check() for protector in self._all_protectors())
        except RetryLater as error:
            self._failures += 1
            pause = min(self.poll_seconds, 2.0**self._failures * 0.5)
            self._poll_at = time.monotonic() + max(error.retry_after_seconds or 0.0, pause)
            log.warning("venue_silent", failures=self._failures, reason=str(error))
            return
        self._failures, self.since = 0, asked - OVERLAP
        self._poll_at = min(time.monotonic() + self.poll_seconds, *(each.due for each in self._protectors.values()))
        if fills or moved:
            log.info("caught_up", fills=fills, children_changed=moved)
        self._try_again()
        self.beat()

    def _protector(self, portfolio: str) -> Protector:
        def rest() -> list[str]:
            return [name for name in (self.portfolio, *self.others()) if name != portfolio]

        return Protector(self.broker, self.book, portfolio, alarm=self.alarm, partial_seconds=self.partial_seconds, others=rest)

    def _all_protectors(self) -> list[Protector]:
        """Return the protector of every book in the account; a book may be new."""
        for name in self.others():
            if name not in self._protectors:
                self._protectors[name] = self._protector(name)
        return list(self._protectors.values())

    def _collect(self) -> int:
        """Fills and states of every book; once more when the executor moved an order, or a split the shares, meanwhile."""
        self.follow()
        try:
            return self._collect_books()
        except IllegalTransition:
            self.follow()
            return self._collect_books()

    def _collect_books(self) -> int:
        return sum(collect(self.book, self.broker, name, self.since) for name in (self.portfolio, *self.others()))

    def _take(self, message: Json) -> None:
        stream = message.get("stream")
        if stream == "refused":
            raise ConfigError(
                "Alpaca's stream does not accept the keys. Check VENUE__ALPACA__API_KEY and VENUE__ALPACA__SECRET_KEY."
            )
        if stream == "listening":
            self.connections += 1
            log.info("listening", connections=self.connections)
            self._poll_at = 0.0
        elif stream == "trade_updates":
            self._take_event(message.get("data") or {})

    def _take_event(self, event: Json) -> None:
        """Put one event into the book; whatever it lacks is made good by asking."""
        try:
            self._apply(event)
        except UNREADABLE as error:
            log.warning("event_unreadable", kind=type(error).__name__, reason=str(error))
            self._poll_at = 0.0
        except RetryLater as error:  # to name a child, the venue had to be asked
            log.warning("event_deferred", reason=str(error))
            self._waiting.append(_Waiting(event, time.monotonic() + self.patience_seconds))
            self._poll_at = 0.0
        except StopTrading as error:
            if event["event"] in CORRECTIONS:
                raise
            log.warning("event_out_of_order", reason=str(error))
            self._waiting.append(_Waiting(event, time.monotonic() + self.patience_seconds))
            self._poll_at = 0.0

    def _try_again(self) -> None:
        """Events that did not fit: into the book if they do now, kept until their time is over."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            late = time.monotonic() > each.until
            try:
                self._apply(each.event)
            except StopTrading:
                if late:
                    raise
                self._waiting.append(each)
            except (RetryLater, *UNREADABLE) as error:  # the poll before this has brought what it would have said
                if late:
                    log.warning("event_dropped", kind=type(error).__name__, reason=str(error))
                else:
                    self._waiting.append(each)
        if self._waiting:
            self._poll_at = min(self._poll_at, time.monotonic() + 1.0)

    def _apply(self, event: Json) -> None:
        kind, order = event["event"], event["order"]
        name = self.broker.families.name(order)
        if not is_ours(self.book, name):
            log.warning("order_of_somebody_else", client_order_id=name, symbol=order.get("symbol"), event_kind=kind)
        elif kind in CORRECTIONS:
            raise StopTrading(f"Alpaca took back or corrected a trade in {order['symbol']}. Run `desk reconcile`.")
        elif kind in FILLS:
            if take_fill(self.book, fill_of_event(event, name)) and self._has_children(name):
                self._poll_at = 0.0  # they go where the fill puts them
        else:
            if self.book.order(name) is not None and state_of(order) is not OrderState.CANCEL_PENDING:
                take_state(self.book, name, state_of(order), f"Alpaca: {kind}")
            if kind in ENDS:
                self._poll_at = 0.0  # what it covered may be covered no more

    def _has_children(self, name: str) -> bool:
        """Return True for an entry with children, and for what takes from a position: the cover must be looked at again."""
        known = self.book.order(name)
        if known is None or known[0].leg is not Leg.ENTRY:
            return True
        return (known[0].stop_pct or known[0].target_pct) is not None
