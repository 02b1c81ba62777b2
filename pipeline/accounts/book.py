"""Rebuild a portfolio's book as it stood at an earlier session from the ledger's fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.models import Leg, OrderState
from trading.brokers.intake import position_after
from trading.brokers.memory import MemoryBook

if TYPE_CHECKING:
    import datetime as dt

    from core.models import Fill, OrderIntent
    from storage.trading.ledger import Ledger


def book_before(ledger: Ledger, portfolio: str, day: dt.date) -> MemoryBook:
    """Return the book as it stood after the session before `day`, without the orders decided at that session."""
    book = MemoryBook()
    for order, fill in ledger.fills(portfolio):
        if fill.session < day:
            _record_fill(book, order, fill)
    for order, _ in book.open_orders(portfolio):
        if order.leg is Leg.ENTRY:  # good for its own session
            book.transition(order.client_order_id, OrderState.EXPIRED)
    return book


def accept(book: MemoryBook, order: OrderIntent) -> None:
    """Put an order into the book as one that the venue has accepted."""
    book.record_intents([order])
    for state in (OrderState.SUBMITTED, OrderState.ACCEPTED):
        book.transition(order.client_order_id, state)


def _record_fill(book: MemoryBook, order: OrderIntent, fill: Fill) -> None:
    if book.order(order.client_order_id) is None:
        accept(book, order)
    book.record_fill(fill, order, lambda before: position_after(before, order, fill))
