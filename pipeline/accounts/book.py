"""Rebuild a portfolio's book as it stood at an earlier session from the ledger's fills."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from core.models import Leg, OrderState
from trading.brokers.intake import position_after
from trading.brokers.memory import MemoryBook
from trading.corporate_actions import scaled_position

if TYPE_CHECKING:
    import datetime as dt

    from core.book_events import BookEvent
    from core.models import Fill, OrderIntent
    from storage.trading.ledger import Ledger


def book_before(ledger: Ledger, portfolio: str, day: dt.date, *, present: bool = False) -> MemoryBook:
    """Return the book as it stood after the session before `day`, without the orders decided at that session.

    Parameters
    ----------
    present
        Give the positions in the terms of today, with later splits applied, as the newest bars are; else in those of that day.
    """
    book, events = MemoryBook(), ledger.book_events(portfolio)
    waiting = [event for event in events if event.session < day]
    for order, fill in ledger.fills(portfolio):
        if fill.session < day:
            while waiting and waiting[0].session <= fill.session:
                _record_event(book, waiting.pop(0))
            _record_fill(book, order, fill)
    for event in waiting:
        _record_event(book, event)
    if present:
        for event in events:
            if event.symbol and event.session >= day:
                _record_event(book, replace(event, session=day, cash_usd=Decimal(0)))
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


def _record_event(book: MemoryBook, event: BookEvent) -> None:
    """Change the position that an event concerns; orders come from the ledger in the terms of today already."""
    book.record_event(event, partial(scaled_position, event=event), lambda order: order)
