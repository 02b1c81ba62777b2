"""Checks of decided orders: the venue's grid, one decision a session, the validation of the portfolio."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest

from core.errors import UnknownSymbol
from core.models import Instrument, OrderIntent, Position, Refused
from pipeline.execution.order_checks import check_venue_grid
from trading.brokers.placing import Patience
from trading.order_check import OrderContext
from trading.orders import entry_order, exit_order

if TYPE_CHECKING:
    from pipeline.accounts.trading_account import TradingAccount

DAY, NEXT = dt.date(2018, 12, 27), dt.date(2018, 12, 28)


@dataclass
class Venue:
    """A venue of whole shares, and the desk around it."""

    name: str = "whole"
    smallest_usd: Decimal = Decimal(1)
    patience: Patience = field(default_factory=Patience)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def broker(self) -> Venue:
        return self

    @property
    def ledger(self) -> Venue:
        return self

    def instrument(self, symbol: str) -> Instrument:
        if symbol == "GONE":
            raise UnknownSymbol(symbol)
        return Instrument(symbol, Decimal(1), Decimal(1), self.smallest_usd)

    def close_at(self, _symbol: str, _day: dt.date) -> float:
        return 100.0

    def save_risk_events(self, events: list[dict[str, Any]]) -> None:
        self.events += events


def entry(quantity: float, symbol: str = "AAA") -> OrderIntent:
    return entry_order(
        "main", "bollinger", symbol, decision_session=DAY, session=NEXT, signed_quantity=quantity, stop_pct=1.0,
        target_pct=2.0, max_sessions=2,
    )  # fmt: skip


def sized(venue: Venue, *orders: OrderIntent, known: set[str] | None = None) -> tuple[list[Decimal], list[str]]:
    context = OrderContext(DAY, frozenset(known or ()))
    kept, refused = check_venue_grid(context, orders, account=cast("TradingAccount", venue), close_at=venue.close_at)
    return [order.quantity for order in kept], [refusal.reason for refusal in refused]


@pytest.mark.parametrize(("decided", "sent"), [(12.999999, 12), (-3.5, 3), (7.0, 7)])
def test_an_entry_gets_the_whole_shares_in_it(decided: float, sent: int) -> None:
    assert sized(Venue(), entry(decided)) == ([sent], [])


def test_less_than_the_venues_smallest_order_is_refused_with_the_numbers() -> None:
    venue = Venue()

    assert sized(venue, entry(0.4)) == ([], [Refused.QUANTITY])
    assert venue.events[0]["reason"] == "quantity"
    assert venue.events[0]["details"] == {"says": "Quantity: expected at least 1, found 0 AAA.", "decided": 0.4}
    assert sized(Venue(smallest_usd=Decimal(500)), entry(4.5)) == ([], [Refused.NOTIONAL])


def test_a_symbol_that_the_venue_does_not_trade_stops_no_other() -> None:
    assert sized(Venue(), entry(5.5, "GONE"), entry(5.5)) == ([5], [Refused.UNKNOWN_SYMBOL])


def test_an_exit_sells_what_is_held_and_what_is_on_record_stands() -> None:
    held = Position("main", "bollinger", "AAA", Decimal("2.5"), DAY, Decimal(100), None, None, None, "entry")
    leaving, written = exit_order(held, decision_session=DAY, session=NEXT), entry(1.25)

    assert sized(Venue(), leaving, written, known={written.client_order_id}) == ([Decimal("2.5"), Decimal("1.25")], [])
