"""A venue's rows as read one by one: those that could be read, and by name those that could not. Pure; it requests nothing.

One account may hold what nobody here has sent: an order in dollars, an option, a status that is new. Such a row costs no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = structlog.get_logger()
T = TypeVar("T")
UNREADABLE = (KeyError, TypeError, AttributeError, ValueError, ArithmeticError)


@dataclass(frozen=True)
class Unreadable:
    """A row that cannot be read, under the names that it shows.

    Attributes
    ----------
    client_order_id
        The desk's name of the order; empty for a position.
    symbol
        In the desk's spelling; empty where the row shows none.
    found
        The row in words.
    problem
        What is wrong with it.
    """

    client_order_id: str
    symbol: str
    found: str
    problem: str

    @property
    def subject(self) -> str:
        """The name under which a difference lists it."""
        return self.client_order_id or self.symbol or self.found


class Listing(list[T]):
    """Rows of a venue that could be read; `unreadable` holds the others.

    >>> Listing([1, 2]) == [1, 2], Listing().unreadable
    (True, ())
    """

    def __init__(self, rows: Iterable[T] = (), unreadable: Iterable[Unreadable] = ()) -> None:
        super().__init__(rows)
        self.unreadable = tuple(unreadable)


def read_each(rows: Iterable[Any], read: Callable[[Any], T], describe: Callable[[Any, str], Unreadable]) -> Listing[T]:
    """Return the rows as `read` reads them; one that it cannot read is logged, described and left out.

    Examples
    --------
    >>> found = read_each(["1", "2"], int, lambda row, problem: Unreadable(row, "", row, problem))
    >>> found, found.unreadable
    ([1, 2], ())
    """
    found: list[T] = []
    unreadable: list[Unreadable] = []
    for row in rows:
        try:
            found.append(read(row))
        except UNREADABLE as error:
            unreadable.append(describe(row, f"{type(error).__name__}: {error}"))
            log.warning("venue_row_unreadable", subject=unreadable[-1].subject, problem=unreadable[-1].problem)
    return Listing(found, unreadable)
