"""Checks of decided orders: the venue's grid, one decision a session, the validation of the portfolio."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest

from core.errors import UnknownSymbol
from core.models import Instrument, OrderIntent, Position, Refused
from pipeline.execution.order_checks import check_decided_once, check_deployment, check_in_time, check_venue_grid
from trading.brokers.placing import Patience
from trading.order_check import OrderContext
from trading.orders import entry_order, exit_order

if TYPE_CHECKING:
    from monitoring.alerts import Alerts
    from pipeline.accounts.trading_account import TradingAccount
    from pipeline.execution.rerun_rules import RerunRules

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


class Mailbox:
    """Keeps what is mailed."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, str]] = []

    def send(self, subject: str, body: str) -> None:
        self.mails.append((subject, body))


def leaving() -> OrderIntent:
    held = Position("main", "bollinger", "AAA", Decimal(2), DAY, Decimal(100), None, None, None, "entry")
    return exit_order(held, decision_session=DAY, session=DAY)


def test_a_session_is_decided_once_and_a_second_run_adds_no_entry() -> None:
    written, fresh, sale = entry(3.0), entry(4.0, "BBB"), leaving()
    context = OrderContext(DAY, frozenset({written.client_order_id}))

    assert check_decided_once(context, (fresh, sale), standing=(written,)) == ((written, sale), [])
    assert check_decided_once(OrderContext(DAY), (fresh, sale), standing=()) == ((fresh, sale), [])


def test_the_exit_of_a_position_that_its_own_rule_leaves_is_sent_beside_what_stands() -> None:
    """It was decided by a strategy that is listed no more, and perhaps written down before a crash."""
    written, sale = entry(3.0), replace(leaving(), session=NEXT)
    own = {(sale.strategy, sale.symbol)}
    context = OrderContext(DAY, frozenset({written.client_order_id, sale.client_order_id}))

    assert check_decided_once(context, (sale,), standing=(written,), positions=own) == ((written, sale), [])
    assert check_decided_once(context, (sale,), standing=(written,)) == ((written,), [])
    assert check_decided_once(context, (sale,), standing=(written, sale), positions=own) == ((written, sale), [])


@dataclass
class Record:
    """Orders on record, and the market's state."""

    opened: bool
    ids: set[str]

    @property
    def ledger(self) -> Record:
        return self

    def order(self, client_order_id: str) -> str | None:
        return client_order_id if client_order_id in self.ids else None

    def has_opened(self, _day: dt.date) -> bool:
        return self.opened


@pytest.mark.parametrize(("opened", "kept"), [(False, ["AAA", "BBB"]), (True, ["AAA"])])
def test_after_the_open_only_orders_on_record_go_on(opened: bool, kept: list[str]) -> None:
    written, fresh = entry(3.0), entry(4.0, "BBB")
    rules = cast("RerunRules", Record(opened, {written.client_order_id}))

    intents, refused = check_in_time(OrderContext(DAY), (written, fresh), rules=rules)

    assert ([order.symbol for order in intents], refused) == (kept, [])


def test_new_entries_of_a_blocked_deployment_are_refused_and_mailed_with_the_reasons() -> None:
    written, fresh, sale, mailbox = entry(3.0), entry(4.0, "BBB"), leaving(), Mailbox()
    context = OrderContext(DAY, frozenset({written.client_order_id}))

    kept, refused = check_deployment(
        context, (written, fresh, sale), objections=lambda _: ["paused", "never validated"], alerts=cast("Alerts", mailbox)
    )

    assert kept == (written, sale)
    assert [(each.symbol, each.reason) for each in refused] == [("BBB", "deployment")]
    assert mailbox.mails == [("1 entries decided on 2018-12-27 were not ordered", "paused\nnever validated")]


def test_without_a_new_entry_the_deployment_is_not_read() -> None:
    def unread(_day: dt.date) -> list[str]:
        raise AssertionError

    assert check_deployment(OrderContext(DAY), (leaving(),), objections=unread, alerts=cast("Alerts", Mailbox()))[1] == []
