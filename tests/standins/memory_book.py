"""The desk's book in memory: a working `trading.brokers.book.Book` for tests that need no database."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from core.errors import IllegalTransition
from core.models import FINAL, Fill, OrderIntent, OrderState, Position, Side, require_transition, state_after_fill

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class MemoryBook:
    """See `trading.brokers.book.Book`."""

    def __init__(self) -> None:
        self.orders: dict[str, tuple[OrderIntent, OrderState]] = {}
        self.events: list[tuple[str, OrderState]] = []
        self.executions: dict[str, tuple[OrderIntent, Fill]] = {}
        self.held: dict[tuple[str, str, str], Position] = {}
        self._filled: dict[str, Decimal] = {}

    def record_intents(self, intents: Sequence[OrderIntent]) -> int:
        fresh = [intent for intent in intents if intent.client_order_id not in self.orders]
        for intent in fresh:
            self.orders[intent.client_order_id] = (intent, OrderState.INTENT)
            self.events.append((intent.client_order_id, OrderState.INTENT))
        return len(fresh)

    def order(self, client_order_id: str) -> tuple[OrderIntent, OrderState] | None:
        return self.orders.get(client_order_id)

    def open_orders(self, portfolio: str) -> list[tuple[OrderIntent, OrderState]]:
        found = [pair for pair in self.orders.values() if pair[0].portfolio == portfolio and pair[1] not in FINAL]
        return sorted(found, key=lambda pair: (pair[0].session, pair[0].client_order_id))

    def transition(self, client_order_id: str, state: OrderState, reason: str = "") -> bool:
        del reason
        if client_order_id not in self.orders:
            raise IllegalTransition(f"Order {client_order_id} is not in the book.")
        intent, present = self.orders[client_order_id]
        if present is state:
            return False
        require_transition(present, state)
        self.orders[client_order_id] = (intent, state)
        self.events.append((client_order_id, state))
        return True

    def record_fill(self, fill: Fill, order: OrderIntent, change: Callable[[Position | None], Position | None]) -> bool:
        if fill.fill_id in self.executions:
            return False
        fresh = order.client_order_id not in self.orders
        state = OrderState.SUBMITTED if fresh else self.orders[order.client_order_id][1]
        reached = state_after_fill(order, state, self.filled(order.client_order_id) + fill.quantity)
        if reached is not state:
            require_transition(state, reached)
        key = (order.portfolio, order.strategy, order.symbol)
        after = change(self.held.get(key))
        if fresh:
            self.record_intents([order])
            self.transition(order.client_order_id, OrderState.SUBMITTED)
        self.executions[fill.fill_id] = (order, fill)
        self._filled[order.client_order_id] = self.filled(order.client_order_id) + fill.quantity
        self.orders[order.client_order_id] = (order, reached)
        self.events.append((order.client_order_id, reached))
        self.held.pop(key, None)
        if after is not None:
            self.held[key] = after
        return True

    def filled(self, client_order_id: str) -> Decimal:
        return self._filled.get(client_order_id, Decimal(0))

    def fills(self, portfolio: str) -> list[tuple[OrderIntent, Fill]]:
        found = [pair for pair in self.executions.values() if pair[0].portfolio == portfolio]
        return sorted(found, key=lambda pair: (pair[1].filled_at, pair[1].fill_id))

    def positions(self, portfolio: str) -> list[Position]:
        found = [position for key, position in self.held.items() if key[0] == portfolio]
        return sorted(found, key=lambda held: (held.strategy, held.symbol))

    def cash_flow_usd(self, portfolio: str) -> Decimal:
        flows = [
            (fill.quantity if fill.side is Side.SELL else -fill.quantity) * fill.price - fill.commission_usd
            for _, fill in self.fills(portfolio)
        ]
        return sum(flows, Decimal(0))
