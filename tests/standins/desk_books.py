"""The ledger held against Alpaca's stand-in, by looking into both. Owns what must be equal; it asks through no wire."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from core.models import Leg
from core.sessions import close_of, open_of
from tests.standins.alpaca_orders import WORKING
from trading.brokers.alpaca.read import fill_id, state_of
from trading.brokers.alpaca.terms import to_tick
from trading.brokers.children import entry_of

if TYPE_CHECKING:
    from storage.trading.ledger import Ledger
    from tests.standins.alpaca_exchange import Exchange
    from tests.standins.alpaca_orders import VenueOrder


@dataclass(frozen=True)
class Books:
    """Both books of the portfolio `main`, whose account began with `cash_usd`; `brackets` says where its stops rest."""

    ledger: Ledger
    exchange: Exchange
    cash_usd: Decimal
    brackets: bool

    def differences(self) -> list[str]:
        """Everything in which ledger and venue part: orders and their states, fills, positions, cash."""
        said = []
        if self.ledger_fills() != self.venue_fills():
            said.append(f"fills {self.ledger_fills() ^ self.venue_fills()}")
        held = {position.symbol: position.quantity for position in self.ledger.positions("main")}
        if held != {symbol: quantity for symbol, (quantity, _) in self.exchange.held.items()}:
            said.append(f"positions {held}, venue {self.exchange.held}")
        cash = self.cash_usd + self.ledger.cash_flow_usd("main")
        if cash != self.exchange.cash:
            said.append(f"cash {cash}, venue {self.exchange.cash}")
        return said + self.states_apart()

    def states_apart(self) -> list[str]:
        """Orders that the two have in different states, and those that work in one book alone."""
        states = {order.client_order_id: state_of(order.json()) for order in self.sent()}
        found = {name: known[1] for name in states if (known := self.ledger.order(name)) is not None}
        alone = [order.client_order_id for order, _ in self.ledger.open_orders("main") if order.client_order_id not in states]
        return [
            *(
                f"{name} is {found.get(name)}, at the venue {state}"
                for name, state in states.items()
                if found.get(name) != state
            ),
            *(f"{name} is open in the ledger alone" for name in alone),
        ]

    def ledger_fills(self) -> set[str]:
        """Ids of the fills in the ledger."""
        return {fill.fill_id for _, fill in self.ledger.fills("main")}

    def venue_fills(self) -> set[str]:
        """The same at the venue."""
        with self.exchange.lock:
            return {fill_id(row["order_id"], Decimal(row["cum_qty"])) for row in self.exchange.activities}

    def caught_up(self) -> bool:
        """Whether the ledger has every fill of the venue, and the children rest where the fills put them."""
        return self.ledger_fills() == self.venue_fills() and not self.misplaced()

    def misplaced(self) -> list[str]:
        """Positions whose stop or target rests elsewhere than the ledger has it; none while an exit is on its way."""
        if not self.brackets:
            return []
        leaving = {order.symbol for order, _ in self.ledger.open_orders("main")}
        wanted = {
            held.symbol: {to_tick(price) for price in (held.stop_price, held.target_price) if price is not None}
            for held in self.ledger.positions("main")
            if held.symbol not in leaving
        }
        return [symbol for symbol, prices in wanted.items() if prices != self.resting(symbol)]

    def resting(self, symbol: str) -> set[Decimal | None]:
        """Prices of the symbol's open orders at the venue."""
        with self.exchange.lock:
            orders = [order for order in self.exchange.orders.values() if order.symbol == symbol]
            return {order.stop_price or order.limit_price for order in orders if order.status in WORKING}

    def sent(self) -> list[VenueOrder]:
        """Orders at the venue that the desk decided: no children, and none sent in their place."""
        with self.exchange.lock:
            orders = [order for order in self.exchange.orders.values() if order.parent is None]
            return [order for order in orders if entry_of(self.first(order).client_order_id) is None]

    def first(self, order: VenueOrder) -> VenueOrder:
        """The order that a moved one was at first, under the name that it was sent with."""
        while order.replaces is not None:
            order = self.exchange.orders[order.replaces]
        return order

    def doubled(self) -> list[str]:
        """Ids and trades that the venue has twice, and orders that no intent stands for."""
        ids = [order.client_order_id for order in self.sent()]
        kinds = [(order.symbol, order.side, order.times["created_at"].date()) for order in self.sent() if order.filled_qty]
        return [
            *(name for name in set(ids) if ids.count(name) > 1 or self.ledger.order(name) is None),
            *(str(kind) for kind in set(kinds) if kinds.count(kind) > 1),
        ]

    def late(self) -> list[str]:
        """Entries that reached the venue outside the hours between their decision and their open."""
        found = []
        for order in self.sent():
            known = self.ledger.order(order.client_order_id)
            if known is None or known[0].leg is not Leg.ENTRY:
                continue
            if not close_of(known[0].decision_session) <= order.times["created_at"] < open_of(known[0].session):
                found.append(order.client_order_id)
        return found
