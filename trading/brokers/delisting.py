"""Book recorded delistings: pay positions out and end the orders of the symbol. It asks no venue."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from core.models import Leg, OrderState
from trading.brokers.intake import position_after
from trading.delistings import REASON, delisting_exits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.models import Fill
    from trading.brokers.book import Book
    from trading.delistings import Delisting

log = structlog.get_logger()


def book_delistings(book: Book, portfolio: str, delistings: Iterable[Delisting]) -> list[Fill]:
    """Return the fills by which the delistings close the portfolio's positions; booked again, they change nothing.

    Call it at the open of their session, before the session's bars are filled, with what a venue keeps of the orders cancelled
    there: those decided before end here as the paper broker ends them, entries expired, exits cancelled.
    """
    booked = []
    for delisting in delistings:
        for order, fill in delisting_exits(book.positions(portfolio), delisting):
            if book.record_fill(fill, order, partial(position_after, order=order, fill=fill)):
                log.info(REASON, symbol=fill.symbol, strategy=order.strategy, cash=str(fill.price), session=str(fill.session))
                booked.append(fill)
        for order, state in book.open_orders(portfolio):
            if order.symbol == delisting.symbol and order.decision_session < delisting.session:
                lapsed = order.leg is Leg.ENTRY and state is not OrderState.CANCEL_PENDING
                book.transition(order.client_order_id, OrderState.EXPIRED if lapsed else OrderState.CANCELLED, REASON)
    return booked
