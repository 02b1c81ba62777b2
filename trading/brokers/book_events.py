"""Apply book events to a book: positions and open orders together, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import RetryLater, StopTrading
from trading.corporate_actions import order_after, scaled_position

if TYPE_CHECKING:
    from core.book_events import BookEvent
    from core.models import OrderIntent, Position
    from trading.brokers.book import Book


def apply_event(book: Book, event: BookEvent, expected: Position | None = None) -> bool:
    """Apply an event to a book's position and open orders in one transaction; False when it is applied already.

    Parameters
    ----------
    expected
        The position that the event was made for.

    Raises
    ------
    core.errors.RetryLater
        When the position has changed since.
    core.errors.StopTrading
        When a symbol with open orders is renamed.
    """

    def change(position: Position) -> Position | None:
        if expected is not None and position.quantity != expected.quantity:
            raise RetryLater(
                f"{position.symbol}: {expected.quantity} held a moment ago, {position.quantity} now. Run it again."
            )
        return scaled_position(position, event)

    def reorder(order: OrderIntent) -> OrderIntent:
        if event.new_symbol is not None:
            raise StopTrading(f"{order.client_order_id} is open. Cancel it before {order.symbol} becomes {event.new_symbol}.")
        return order_after(order, event, expected)

    return book.record_event(event, change, reorder)
