"""The port to a venue. Owns the protocol and the one way orders are sent through it; adapters own the wire.

`place` is what makes a crash harmless: an intent is committed before it is sent, its state says how far it got, and an order
whose answer never came is looked up under its id before anything else is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from core.errors import RetryLater
from core.models import OrderState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from core.models import OrderIntent, Position
    from trading.brokers.book import Book
    from trading.portfolio import Account

log = structlog.get_logger()


class Broker(Protocol):
    """A venue that takes orders for one portfolio."""

    def submit(self, order: OrderIntent) -> OrderState:
        """Send the order and return what the venue made of it: ACCEPTED, FILLED or REJECTED.

        Raises
        ------
        core.errors.RetryLater
            When no answer came; whether the order arrived is then unknown.
        """
        ...

    def find(self, client_order_id: str) -> OrderState | None:
        """The state of an order the venue has, or None when it never arrived."""
        ...

    def open_orders(self) -> list[str]:
        """Client order ids that wait at the venue, sorted."""
        ...

    def positions(self) -> list[Position]:
        """What the venue holds for the portfolio."""
        ...

    def cash_usd(self) -> Decimal:
        """Cash of the portfolio."""
        ...

    def account(self, prices: Mapping[str, float]) -> Account:
        """Value of the portfolio; a venue that marks positions itself ignores `prices`."""
        ...


def place(book: Book, broker: Broker, intents: Sequence[OrderIntent]) -> dict[str, OrderState]:
    """Write the intents down, send those not sent yet, and return the state of each.

    Safe to call again with the same intents, after any crash: nothing is sent twice.

    Raises
    ------
    core.errors.RetryLater
        When the venue did not answer; the order stays UNKNOWN, those behind it stay INTENT.
    """
    book.record_intents(intents)
    return {intent.client_order_id: _send(book, broker, intent.client_order_id) for intent in intents}


def _send(book: Book, broker: Broker, client_order_id: str) -> OrderState:
    known = book.order(client_order_id)
    if known is None:
        raise LookupError(f"Order {client_order_id} was recorded and is not in the book.")
    order, state = known
    if state in {OrderState.SUBMITTED, OrderState.UNKNOWN}:
        found = broker.find(client_order_id)
        if found is not None:
            log.info("order_found", client_order_id=client_order_id, state=found)
            book.transition(client_order_id, found, "found at the broker")
            return found
    elif state is not OrderState.INTENT:
        return state
    book.transition(client_order_id, OrderState.SUBMITTED)
    try:
        answer = broker.submit(order)
    except RetryLater as error:
        book.transition(client_order_id, OrderState.UNKNOWN, str(error))
        raise
    book.transition(client_order_id, answer)
    log.info("order_placed", client_order_id=client_order_id, symbol=order.symbol, side=order.side, state=answer)
    return answer
