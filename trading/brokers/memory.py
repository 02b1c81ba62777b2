"""The desk's book in memory: a `trading.brokers.book.Book` that lives and dies with its process. Owns no durability.

A replay of years and a test need no database. It answers what `storage.trading.ledger.Ledger` answers, by the same contract
(`tests/contracts/test_books.py`), and keeps sums that the ledger asks the database for.
"""

from __future__ import annotations

from bisect import insort
from decimal import Decimal
from typing import TYPE_CHECKING

from core.errors import IllegalTransition
from core.models import FINAL, Fill, OrderIntent, OrderState, Position, Side, require_transition, state_after_fill
from trading.corporate_actions import present_fill

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.book_events import BookEvent

NOTHING = Decimal(0)


class MemoryBook:
    """See `trading.brokers.book.Book`.

    Attributes
    ----------
    orders
        Every order with its present state, by client order id.
    events
        Each move of an order, in the order they came.
    """

    def __init__(self) -> None:
        self.orders: dict[str, tuple[OrderIntent, OrderState]] = {}
        self.events: list[tuple[str, OrderState]] = []
        self.executions: dict[str, tuple[OrderIntent, Fill]] = {}
        self.held: dict[tuple[str, str, str], Position] = {}
        self._open: dict[str, None] = {}
        self._fills: dict[str, list[tuple[object, str]]] = {}
        self._filled: dict[str, Decimal] = {}
        self._flow: dict[tuple[str, str | None], Decimal] = {}  # by portfolio and strategy; None: all of them
        self._book_events: dict[str, BookEvent] = {}

    def record_intents(self, intents: Sequence[OrderIntent]) -> int:
        """Store the intents not known yet, in state INTENT; return how many were new."""
        before = len(self.orders)
        for intent in intents:
            if intent.client_order_id not in self.orders:
                self._move(intent, OrderState.INTENT)
        return len(self.orders) - before

    def order(self, client_order_id: str) -> tuple[OrderIntent, OrderState] | None:
        """The intent and its present state, or None."""
        return self.orders.get(client_order_id)

    def open_orders(self, portfolio: str) -> list[tuple[OrderIntent, OrderState]]:
        """Orders whose life is not over, sorted by (session, client_order_id)."""
        found = [self.orders[each] for each in self._open if self.orders[each][0].portfolio == portfolio]
        return sorted(found, key=lambda pair: (pair[0].session, pair[0].client_order_id))

    def transition(self, client_order_id: str, state: OrderState, reason: str = "") -> bool:
        """Move the order; False when it is in that state already."""
        del reason
        if client_order_id not in self.orders:
            raise IllegalTransition(f"Order {client_order_id} is not in the book; record its intent first.")
        intent, present = self.orders[client_order_id]
        if present is state:
            return False
        require_transition(present, state)
        self._move(intent, state)
        return True

    def record_fill(self, fill: Fill, order: OrderIntent, change: Callable[[Position | None], Position | None]) -> bool:
        """Record an execution, its order's move and the position after it; False when the fill is known."""
        if fill.fill_id in self.executions:
            return False
        fresh = order.client_order_id not in self.orders
        state = OrderState.SUBMITTED if fresh else self.orders[order.client_order_id][1]
        present = present_fill(self.book_events(order.portfolio), order, fill) if self._book_events else fill
        filled = self.filled(order.client_order_id) + present.quantity
        reached = state_after_fill(order, state, filled)
        if reached is not state:
            require_transition(state, reached)
        key = (order.portfolio, order.strategy, order.symbol)
        after = change(self.held.get(key))  # the last that may raise: nothing is half done
        if fresh:
            self.record_intents([order])
            self._move(order, OrderState.SUBMITTED)
        self._keep(fill, order, filled)
        self._move(order, reached)
        self.held.pop(key, None)
        if after is not None:
            self.held[key] = after
        return True

    def record_event(
        self,
        event: BookEvent,
        change: Callable[[Position], Position | None],
        reorder: Callable[[OrderIntent], OrderIntent],
    ) -> bool:
        """Record a book event with the position and the open orders after it; False when it is known."""
        if event.event_id in self._book_events:
            return False
        key = (event.portfolio, event.strategy, event.symbol)
        concerned = [self.orders[each] for each in self._open if self._key(each) == key]
        reordered = [(order, reorder(order), state) for order, state in concerned]
        held = self.held.get(key)
        after = None if held is None else change(held)  # the last that may raise: nothing is half done
        self._book_events[event.event_id] = event
        for before, order, state in reordered:
            self.orders[order.client_order_id] = (order, state)
            if order.client_order_id in self._filled:
                self._filled[order.client_order_id] *= order.quantity / before.quantity
        self.held.pop(key, None)
        if after is not None:
            self.held[after.portfolio, after.strategy, after.symbol] = after
        self._add_flow(event.portfolio, event.strategy, event.cash_usd)
        return True

    def book_events(self, portfolio: str) -> list[BookEvent]:
        """Book events, sorted by (session, event_id)."""
        mine = [event for event in self._book_events.values() if event.portfolio == portfolio]
        return sorted(mine, key=lambda event: (event.session, event.event_id))

    def filled(self, client_order_id: str) -> Decimal:
        """Quantity filled so far, in the terms of today."""
        return self._filled.get(client_order_id, NOTHING)

    def fills(self, portfolio: str) -> list[tuple[OrderIntent, Fill]]:
        """Every fill with its order, in the order of `filled_at`, then `fill_id`."""
        return [self.executions[fill_id] for _, fill_id in self._fills.get(portfolio, [])]

    def positions(self, portfolio: str) -> list[Position]:
        """Open positions, sorted by (strategy, symbol)."""
        return [position for key, position in sorted(self.held.items()) if key[0] == portfolio]

    def cash_flow_usd(self, portfolio: str, strategy: str | None = None) -> Decimal:
        """Cash the fills and events have brought, those of one strategy where named; zero before the first."""
        return self._flow.get((portfolio, strategy), NOTHING)

    def _add_flow(self, portfolio: str, strategy: str, usd: Decimal) -> None:
        for share in (None, strategy):
            self._flow[portfolio, share] = self._flow.get((portfolio, share), NOTHING) + usd

    def _key(self, client_order_id: str) -> tuple[str, str, str]:
        order, _ = self.orders[client_order_id]
        return order.portfolio, order.strategy, order.symbol

    def _keep(self, fill: Fill, order: OrderIntent, filled: Decimal) -> None:
        self.executions[fill.fill_id] = (order, fill)
        insort(self._fills.setdefault(order.portfolio, []), (fill.filled_at, fill.fill_id))
        self._filled[order.client_order_id] = filled
        signed = fill.quantity if fill.side is Side.SELL else -fill.quantity
        self._add_flow(order.portfolio, order.strategy, signed * fill.price - fill.commission_usd)

    def _move(self, intent: OrderIntent, state: OrderState) -> None:
        self.orders[intent.client_order_id] = (intent, state)
        self.events.append((intent.client_order_id, state))
        if state in FINAL:
            self._open.pop(intent.client_order_id, None)
        else:
            self._open[intent.client_order_id] = None
