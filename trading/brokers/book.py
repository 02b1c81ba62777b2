"""The port to the desk's own record of orders, fills and positions. Owns the protocol; it stores nothing.

`storage.trading.ledger.Ledger` implements it on PostgreSQL, tests in memory. Its methods speak only the nouns of `core.models`,
so that storage needs no import from here. Every method commits before it returns: what it says has happened survives a crash.

Prices, quantities and money are exact `Decimal`; a store must give back every digit it was given (PostgreSQL `numeric` without
a scale), or a stop would move by a rounding and the daily path would part from the backtest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from core.book_events import BookEvent
    from core.models import Fill, OrderIntent, OrderState, Position

    Change = Callable[[Position | None], Position | None]  # the position before the fill -> the one after it, None = flat
    EventChange = Callable[[Position], Position | None]
    Reorder = Callable[[OrderIntent], OrderIntent]  # an open order before an event -> the same in the terms after it


class Book(Protocol):
    """Orders, fills and positions of every portfolio."""

    def record_intents(self, intents: Sequence[OrderIntent]) -> int:
        """Store the intents whose `client_order_id` is not known yet, in state INTENT; return how many were new."""
        ...

    def order(self, client_order_id: str) -> tuple[OrderIntent, OrderState] | None:
        """The intent, in the terms of today while it is open, and its present state; None without such an order."""
        ...

    def open_orders(self, portfolio: str) -> list[tuple[OrderIntent, OrderState]]:
        """Orders whose state is not in `core.models.FINAL`, sorted by (session, client_order_id)."""
        ...

    def transition(self, client_order_id: str, state: OrderState, reason: str = "") -> bool:
        """Append the event and move the order; False, and nothing changes, when it is in that state already.

        Who moves an order to SUBMITTED, and is told True, is the one who may send it.

        Raises
        ------
        core.errors.IllegalTransition
            When `core.models.TRANSITIONS` does not allow the move.
        """
        ...

    def record_fill(self, fill: Fill, order: OrderIntent, change: Change) -> bool:
        """Record an execution, of the whole order or a part, and its consequences in one transaction.

        Stores `order` if it is not known yet (a stop or target that the broker executed by itself: INTENT, SUBMITTED, FILLED),
        moves it to FILLED when the fills reach its quantity and to PARTIALLY_FILLED before (a cancellation that is asked for or
        done stays what it is), appends an event, stores `fill`, and puts `change(position)` in the place of the position of the
        order's (portfolio, strategy, symbol). Returns False, and changes nothing, when the `fill_id` is known already.

        Raises
        ------
        core.errors.IllegalTransition
            When the fills would exceed the order, or the order was refused or never sent.
        """
        ...

    def record_event(self, event: BookEvent, change: EventChange, reorder: Reorder) -> bool:
        """Record a book event and its consequences in one transaction; False, and nothing changes, when its id is known.

        Puts `change(position)` in the place of the position of the event's (portfolio, strategy, symbol), and `reorder(order)`
        in the place of each of its open orders. An event without a symbol brings cash alone.
        """
        ...

    def book_events(self, portfolio: str) -> list[BookEvent]:
        """Book events, sorted by (session, event_id)."""
        ...

    def filled(self, client_order_id: str) -> Decimal:
        """Quantity filled so far, in the terms of today."""
        ...

    def fills(self, portfolio: str) -> list[tuple[OrderIntent, Fill]]:
        """Every fill as it was executed, with its order, in the order of `filled_at`, then `fill_id`."""
        ...

    def positions(self, portfolio: str) -> list[Position]:
        """Open positions, sorted by (strategy, symbol)."""
        ...

    def cash_flow_usd(self, portfolio: str) -> Decimal:
        """Cash the fills and events have brought: sales minus purchases minus commissions, and the events' cash."""
        ...
