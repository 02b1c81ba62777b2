"""Rebuild a portfolio's book as it stood at an earlier session from the ledger's fills."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING

from core.book_events import BookEventKind
from core.models import Leg, OrderState
from pipeline.accounts.recorded_actions import FAR, ratio_since, recorded_actions
from trading.brokers.book_events import apply_event
from trading.brokers.intake import position_after
from trading.brokers.memory import MemoryBook
from trading.corporate_actions import scaled_position, split_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from core.book_events import BookEvent
    from core.models import Fill, OrderIntent
    from storage.market.bars import BarStore
    from storage.trading.ledger import Ledger

ONE_DAY = dt.timedelta(days=1)


def book_before(ledger: Ledger, portfolio: str, day: dt.date, symbols: Collection[str] | None = None) -> MemoryBook:
    """Return the book as it stood after the session before `day`, in its own terms, without the orders decided there.

    Parameters
    ----------
    symbols
        Rebuild what the book held in these symbols alone; None rebuilds all of it.
    """
    book, events = MemoryBook(), ledger.book_events(portfolio)
    waiting = [event for event in events if event.session < day and (symbols is None or event.symbol in symbols)]
    for order, fill in ledger.fills(portfolio, symbols):
        if fill.session < day:
            while waiting and waiting[0].session <= fill.session:
                _record_event(book, waiting.pop(0))
            _record_fill(book, order, fill)
    for event in waiting:
        _record_event(book, event)
    for order, _ in book.open_orders(portfolio):
        if order.leg is Leg.ENTRY:  # good for its own session
            book.transition(order.client_order_id, OrderState.EXPIRED)
    return book


def bring_to_bars(book: MemoryBook, portfolio: str, bars: BarStore, day: dt.date) -> MemoryBook:
    """Bring positions and their open orders from the terms before a session into those of the newest bars; return the book."""
    positions = book.positions(portfolio)
    actions = recorded_actions(bars, sorted({position.symbol for position in positions}), FAR) if positions else {}
    for position in positions if actions else ():
        price = float(position.entry_price)
        ratio = ratio_since(bars, actions, position.symbol, position.entry_session, price, after=day - ONE_DAY)
        if ratio != 1:
            event = split_of(position, BookEventKind.SPLIT, ratio, effective=day, session=day)
            apply_event(book, event, position)
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
