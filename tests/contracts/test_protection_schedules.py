"""Whatever a venue does to the orders of a position, it ends covered or closed, and never sold twice. Drawn schedules."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.models import OrderState
from tests.standins.alpaca import AlpacaStandIn, Fault
from tests.standins.venues import AlpacaVenue, entry, send
from trading.brokers.alpaca.broker import AlpacaBroker
from trading.brokers.alpaca.protector import Protector
from trading.brokers.children import child_name
from trading.brokers.protection import uncovered
from trading.orders import exit_order

if TYPE_CHECKING:
    from core.models import Position
    from tests.standins.alpaca_orders import VenueOrder

REFUSED = Fault(status=403, body=json.dumps({"code": 40310000, "message": "trading in AAPL is halted"}))
EVENTS = (
    "cancel the stop",
    "cancel the target",
    "cancel both",
    "shrink",
    "suspend",
    "refuse an exit",
    "fill a part",
    "sell a part",
)


class World:
    """One position at the stand-in, a protector that looks at it, and what a schedule does to it."""

    def __init__(self, stand_in: AlpacaStandIn, quantity: float, bought: int) -> None:
        self.venue = AlpacaVenue(stand_in)
        self.alarms: list[str] = []
        assert isinstance(self.venue.broker, AlpacaBroker)
        self.protector = Protector(self.venue.broker, self.venue.book, "main", alarm=self.alarms.append, partial_seconds=0.0)
        self.sign = 1 if quantity > 0 else -1
        self.exits = 0
        self.order = entry(quantity, stop_pct=5, target_pct=10)
        send(self.venue, self.order)
        self.venue.exchange.is_open = True
        self.venue.exchange.trade("AAPL", "100", str(bought))

    def look(self) -> None:
        """Let the book learn and the protector look, as polls do, until nothing changes."""
        for _ in range(6):
            self.venue.settle()
            changed = self.protector.check()
            self.protector._renewed.clear()  # an hour passes
            if not changed and self.gap() == 0:
                return

    def positions(self) -> list[Position]:
        return self.venue.book.positions("main")

    def gap(self) -> Decimal:
        working = self.venue.broker.open_orders()
        return sum((uncovered(position, working) for position in self.positions()), Decimal(0))

    def children(self, kind: str) -> list[VenueOrder]:
        orders = self.venue.exchange.orders
        views = [
            view for view in self.venue.broker.open_orders() if (name := child_name(view.client_order_id)) and name.kind == kind
        ]
        return [orders[view.venue_order_id] for view in views]

    def happen(self, event: str) -> None:
        """One thing that a venue, or a person at it, does."""
        stops, targets, exchange = self.children("stop"), self.children("target"), self.venue.exchange
        if event in {"cancel the stop", "cancel both"} and stops:
            exchange.cancel_alone(stops[-1]) if event == "cancel the stop" else exchange.cancel(stops[-1].id)
        elif event == "cancel the target" and targets:
            exchange.cancel_alone(targets[-1])
        elif event == "shrink" and stops and stops[-1].qty > 1:
            stops[-1].qty -= 1
        elif event == "suspend" and stops:
            stops[-1].status = "suspended"
        elif event == "fill a part":
            exchange.trade("AAPL", "100", "1")
        elif event == "sell a part" and self.positions():
            exchange.trade("AAPL", "94.90" if self.sign > 0 else "105.10", "1")
            exchange.assets["AAPL"].price = Decimal(100)
        elif event == "refuse an exit" and self.positions():
            self.exits += 1
            (position,) = self.positions()
            leaving = exit_order(position, decision_session=self.venue.session, session=self.venue.session)
            self.venue.stand_in.fail("POST", "/v2/orders", REFUSED)
            assert send(self.venue, replace(leaving, client_order_id=f"exit-{self.exits}")) is OrderState.REJECTED


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    quantity=st.sampled_from([5.0, -5.0]),
    bought=st.integers(1, 5),
    events=st.lists(st.sampled_from(EVENTS), max_size=6),
    lists_held=st.booleans(),
)
def test_a_position_ends_covered_and_is_sold_once(quantity: float, bought: int, events: list[str], *, lists_held: bool) -> None:
    with AlpacaStandIn() as stand_in:
        stand_in.exchange.lists_held = lists_held
        world = World(stand_in, quantity, bought)
        world.look()
        assert world.gap() == 0
        for event in events:
            world.venue.settle()
            world.happen(event)
            world.look()
            assert world.gap() == 0, event

        world.venue.exchange.trade("AAPL", "80" if world.sign > 0 else "120")
        deadline = time.monotonic() + 2
        while world.positions() and time.monotonic() < deadline:
            world.venue.settle()

        assert world.positions() == []
        assert world.venue.exchange.held == {}, "closed once, and nothing opened on the other side"
        assert world.venue.broker.open_orders() == []
        assert world.alarms == []
