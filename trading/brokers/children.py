"""Stops and targets that rest at a venue and were never sent. Owns their names and the orders written down for their fills.

A venue tells a child's fill under `<entry>.stop` or `<entry>.target`, where `<entry>` is the client order id of the entry.
Those sent in the place of others have a number: `<entry>.stop-2`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.models import Origin
from trading.orders import exit_order

if TYPE_CHECKING:
    from core.models import Fill, OrderIntent
    from trading.brokers.book import Book

STOP, TARGET = "stop", "target"
_CHILD = re.compile(rf"(?P<entry>.+)\.(?P<kind>{STOP}|{TARGET})(-(?P<attempt>\d+))?")


@dataclass(frozen=True)
class ChildName:
    """The parts of a child's name.

    >>> str(ChildName("20261123-entry-AAPL-1f", "stop", 2)), str(ChildName("20261123-entry-AAPL-1f", "target"))
    ('20261123-entry-AAPL-1f.stop-2', '20261123-entry-AAPL-1f.target')
    """

    entry: str
    kind: str
    attempt: int = 1

    def __str__(self) -> str:
        """Return the name itself."""
        return f"{self.entry}.{self.kind}" + (f"-{self.attempt}" if self.attempt > 1 else "")


def child_name(client_order_id: str) -> ChildName | None:
    """The parts of a child's name, None for any other order.

    >>> child_name("20261123-entry-AAPL-1f.target-3"), child_name("20261123-entry-BRK.B-1f")
    (ChildName(entry='20261123-entry-AAPL-1f', kind='target', attempt=3), None)
    """
    found = _CHILD.fullmatch(client_order_id)
    return None if found is None else ChildName(found["entry"], found["kind"], int(found["attempt"] or 1))


def entry_of(client_order_id: str) -> str | None:
    """The entry a child belongs to, None for any other order.

    >>> entry_of("20261123-entry-AAPL-1f.stop"), entry_of("20261123-entry-BRK.B-1f")
    ('20261123-entry-AAPL-1f', None)
    """
    found = child_name(client_order_id)
    return None if found is None else found.entry


def is_ours(book: Book, client_order_id: str) -> bool:
    """Return True for an order of the desk, or one that protects an entry of the desk."""
    entry = entry_of(client_order_id)
    return book.order(client_order_id) is not None or (entry is not None and book.order(entry) is not None)


def child_order(book: Book, fill: Fill) -> OrderIntent | None:
    """The order of a child's first fill: an exit of the whole position that it protected.

    None when the fill is no child's, or nothing is held that the child could have sold.
    """
    entry = entry_of(fill.client_order_id)
    found = None if entry is None else book.order(entry)
    if found is None:
        return None
    order = found[0]
    for position in book.positions(order.portfolio):
        if (position.strategy, position.symbol) == (order.strategy, order.symbol):
            leaving = exit_order(position, decision_session=fill.session, session=fill.session, origin=Origin.VENUE)
            return replace(leaving, client_order_id=fill.client_order_id)
    return None
