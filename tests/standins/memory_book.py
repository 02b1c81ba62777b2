"""The desk's book in memory: a working `trading.brokers.book.Book` for tests that need no database."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from core.errors import IllegalTransition
from core.models import Fill, OrderIntent, OrderState, Position, Side, require_transition

if TYPE_CHECKING:
    from collections.abc import Sequence


class MemoryBook:
    """See `trading.brokers.book.Book`."""

    def __init__(self) -> None:
        self.orders: dict[str, tuple[OrderIntent, OrderState]] = {}
        self.events: list[tuple[str, OrderState]] = []
        self.executions: dict[str, tuple[OrderIntent, Fill]] = {}
        self.held: dict[tuple[str, str, str], Position] = {}

    def record_intents(self, intents: Sequence[OrderIntent]) -> int:
        fresh = [intent for intent in intents if intent.client_order_id not in self.orders]
        for intent in fresh:
            self.orders[intent.client_order_id] = (intent, OrderState.INTENT)
            self.events.append((intent.client_order_id, OrderState.INTENT))
        return len(fresh)

    def order(self, client_order_id: str) -> tuple[OrderIntent, OrderState] | None:
        return self.orders.get(client_order_id)

    def open_orders(self, portfolio: str) -> list[tuple[OrderIntent, OrderState]]:
        final = {OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED}
        found = [pair for pair in self.orders.values() if pair[0].portfolio == portfolio and pair[1] not in final]
        return sorted(found, key=lambda pair: (pair[0].session, pair[0].client_order_id))

    def transition(self, client_order_id: str, state: OrderState, reason: str = "") -> None:
        del reason
        if client_order_id not in self.orders:
            raise IllegalTransition(f"Order {client_order_id} is not in the book.")
        intent, present = self.orders[client_order_id]
        if present is state:
            return
        require_transition(present, state)
        self.orders[client_order_id] = (intent, state)
        self.events.append((client_order_id, state))

    def record_fill(self, fill: Fill, order: OrderIntent, position: Position | None) -> bool:
        if fill.fill_id in self.executions:
            return False
        if self.record_intents([order]):
            self.transition(order.client_order_id, OrderState.SUBMITTED)
        self.transition(order.client_order_id, OrderState.FILLED)
        self.executions[fill.fill_id] = (order, fill)
        key = (order.portfolio, order.strategy, order.symbol)
        self.held.pop(key, None)
        if position is not None:
            self.held[key] = position
        return True

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
