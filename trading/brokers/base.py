"""The ports to a venue. Owns the protocols; adapters own the wire, `trading.brokers.placing` the way orders go through it.

Every venue is a `Broker`. One with a clock is a `Timetable` as well, one with market data has `Quotes`: Alpaca alone so far.

Outcome policy. An `Answer` proves what became of a request and is final. A timeout, a dropped connection, a server error (5xx)
or an answer that cannot be read proves nothing: the adapter raises `core.errors.RetryLater`, with `retry_after_seconds` where
the venue asked for a pause (429), and its kind `UnreadableAnswer` where an answer came. The caller then looks the order up
under its id before it sends anything again. A bad key or a setting that contradicts another is `ConfigError`. Nothing else may
come out of an adapter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Mapping, Sequence
    from decimal import Decimal

    from core.book_events import CashMovement
    from core.models import Answer, Fill, Instrument, MarketClock, MarketDay, OrderIntent, OrderView, Quote, VenuePosition
    from trading.brokers.listing import Listing
    from trading.portfolio import Account

    Fence = Callable[[], None]  # raises ExecutorBusy when another executor has taken over


def unfenced() -> None:
    """Let the order go: nobody else may send."""


class Broker(Protocol):
    """A venue that takes orders for one portfolio. Every method raises `RetryLater` when no readable answer came."""

    @property
    def name(self) -> str:
        """`paper`, `alpaca`, `ib`: the prefix of its fill ids."""
        ...

    @property
    def holds_brackets(self) -> bool:
        """True when stops and targets rest at the venue once the entry fills; otherwise the desk watches them."""
        ...

    def submit(self, order: OrderIntent, fence: Fence = unfenced) -> Answer:
        """Send the order once, without retries.

        An id the venue has already is no refusal: the answer is then the state of the order it has.

        Parameters
        ----------
        fence
            Called after every look-up, right before anything that changes the venue is written to the wire; what it raises
            comes out, and nothing is sent.

        Returns
        -------
        Answer
            ACCEPTED, PARTIALLY_FILLED or FILLED, or REJECTED with `refused` and the venue's words.
        """
        ...

    def find(self, client_order_id: str) -> OrderView | None:
        """The order as the venue has it, whatever became of it; None when it never arrived."""
        ...

    def cancel(self, client_order_id: str) -> Answer:
        """Ask for the cancellation of what is not filled yet.

        Returns
        -------
        Answer
            CANCEL_PENDING or CANCELLED; otherwise the order's state with `refused` TOO_LATE or UNKNOWN_ORDER.
        """
        ...

    def open_orders(self) -> Listing[OrderView]:
        """Orders that work at the venue, children of brackets included, sorted by client order id.

        Each is read by itself: what cannot be read is in `unreadable` and costs no other. So are positions and fills.
        """
        ...

    def positions(self) -> Listing[VenuePosition]:
        """Return the positions at the venue, one a symbol, sorted by symbol."""
        ...

    def fills(self, since: dt.datetime) -> Listing[Fill]:
        """Executions at or after an instant, oldest first; a fill may be repeated, under the same `fill_id`."""
        ...

    def cash_usd(self) -> Decimal:
        """Cash of the portfolio."""
        ...

    def account(self, prices: Mapping[str, float]) -> Account:
        """Value of the portfolio; a venue that marks positions itself ignores `prices`."""
        ...

    def instrument(self, symbol: str) -> Instrument:
        """The symbol's grid and smallest order.

        Raises
        ------
        core.errors.UnknownSymbol
            When the venue does not trade it.
        """
        ...


class Timetable(Protocol):
    """The clock and the trading hours of a venue. Both methods raise `RetryLater` when no readable answer came."""

    def clock(self) -> MarketClock:
        """The venue's time, and whether it is in session at that moment."""
        ...

    def calendar(self, start: dt.date, end: dt.date) -> Sequence[MarketDay]:
        """Sessions of shares from `start` to `end`, both included, with their hours."""
        ...


class Quotes(Protocol):
    """A source of newest quotes."""

    def latest(self, symbols: Collection[str]) -> Mapping[str, Quote]:
        """The newest quote of each symbol, however old; a symbol without one is left out. Raises as `Broker` does."""
        ...


@runtime_checkable
class CashStatement(Protocol):
    """A venue that lists the cash it moved without an order."""

    def cash_movements(self, since: dt.date) -> Sequence[CashMovement]:
        """Return deposits, withdrawals, dividends and fees on or after a day, oldest first."""
        ...
