"""Fills of stops and targets that rest at a venue, which the desk never sent. Owns their way into the book; it sends nothing.

A venue tells a child's fill under `<entry>.stop` or `<entry>.target`, where `<entry>` is the client order id of the entry.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trading.brokers.intake import position_after, take_fill
from trading.orders import exit_order

if TYPE_CHECKING:
    from core.models import Fill, OrderIntent, Position
    from trading.brokers.book import Book

KINDS = ("stop", "target")


def entry_of(client_order_id: str) -> str | None:
    """The entry a child belongs to, None for any other order.

    >>> entry_of("20261123-entry-AAPL-1f.stop"), entry_of("20261123-entry-BRK.B-1f")
    ('20261123-entry-AAPL-1f', None)
    """
    entry, dot, kind = client_order_id.rpartition(".")
    return entry if dot and kind in KINDS else None


def known_or_child(book: Book, client_order_id: str) -> bool:
    """Whether a fill under this id can be taken: the desk meant the order, or the entry it protects."""
    entry = entry_of(client_order_id)
    return book.order(client_order_id) is not None or (entry is not None and book.order(entry) is not None)


def take_any_fill(book: Book, fill: Fill) -> bool:
    """Record a fill of one of the desk's orders or of a child of one; False when it is known already.

    A child's first fill writes down the order as well: an exit of the whole position, which it protected.

    Raises
    ------
    core.errors.StopTrading
        When the desk never meant the order, or the fill does not fit what is held: reconciliation names what it is.
    """
    entry = entry_of(fill.client_order_id)
    found = None if entry is None or book.order(fill.client_order_id) is not None else book.order(entry)
    if found is None:
        return take_fill(book, fill)
    position = _held(book, found[0])
    if position is None:
        return take_fill(book, fill)  # raises: nothing is held that the child could have sold
    order = replace(
        exit_order(position, decision_session=fill.session, session=fill.session), client_order_id=fill.client_order_id
    )
    return book.record_fill(fill, order, lambda before: position_after(before, order, fill))


def _held(book: Book, entry: OrderIntent) -> Position | None:
    held = book.positions(entry.portfolio)
    return next((part for part in held if (part.strategy, part.symbol) == (entry.strategy, entry.symbol)), None)
