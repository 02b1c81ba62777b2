"""Entries go with all they were decided on, or not at all; exits go in any case."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from core.models import Leg, Origin, Position
from pipeline.execution import daily_trade
from pipeline.execution.order_checks import check_evidence
from storage.features.tables import market_features
from storage.market.tables import validation_runs
from storage.trading.evidence import NoEvidence
from tests.standins.alpaca import AlpacaStandIn
from tests.standins.alpaca_desk import DAY, decided, desk_at, mailbox, risk_events
from trading.order_check import OrderContext
from trading.orders import entry_order, exit_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings
    from pipeline.resources import Resources

pytestmark = pytest.mark.integration
LOST = {"validation": validation_runs, "features": market_features}


@pytest.fixture
def alpaca() -> Iterator[AlpacaStandIn]:
    with AlpacaStandIn() as stand_in:
        yield stand_in


def lose(desk: Resources, table: sa.Table) -> None:
    with desk.engine.begin() as connection:
        connection.execute(sa.delete(table))


@pytest.mark.parametrize("name", ["validation", "features"])
def test_an_entry_that_could_not_be_explained_afterwards_is_refused_by_name_and_mailed(
    name: str, database_settings: Settings, alpaca: AlpacaStandIn
) -> None:
    desk = desk_at(database_settings, alpaca)
    lose(desk, LOST[name])

    outcome = daily_trade.place(DAY.isoformat(), resources=desk)

    assert (outcome.orders, set(outcome.refusals)) == (0, {"evidence"})
    assert {reason for _, reason in risk_events(desk)} == {"evidence"}
    assert decided(desk) == []
    assert not [request for request in alpaca.requests if request[0] == "POST"], "nothing went out"
    assert mailbox(desk).about("lack evidence")
    assert daily_trade.place(DAY.isoformat(), resources=desk).orders == 0, "nor when it is run again"


def test_an_entry_that_is_on_record_goes_on_without_a_second_look(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca)
    daily_trade.place(DAY.isoformat(), resources=desk)
    orders = decided(desk)
    assert orders

    intents = tuple(order for order, _ in orders)
    context = OrderContext(DAY, frozenset(order.client_order_id for order in intents))
    assert check_evidence(context, intents, ledger=desk.ledger, alerts=desk.alerts) == (intents, [])


def test_an_exit_without_evidence_goes_as_of_no_known_origin(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca)
    lose(desk, LOST["validation"])
    bought = entry_order(
        "main", desk.strategies[0].name, "AAA", decision_session=DAY, session=DAY, signed_quantity=3.0, stop_pct=2.0,
        target_pct=3.0, max_sessions=2,
    )  # fmt: skip
    desk.ledger.record_intents([bought])
    held = Position(
        portfolio="main", strategy=bought.strategy, symbol="AAA", quantity=Decimal(3), entry_session=DAY,
        entry_price=Decimal(100), stop_price=None, target_price=None, max_sessions=2, entry_order_id=bought.client_order_id,
    )  # fmt: skip
    leaving = exit_order(held, decision_session=DAY, session=DAY, origin=Origin.SIGNAL)

    passed, refused = check_evidence(OrderContext(DAY), (leaving,), ledger=desk.ledger, alerts=desk.alerts)

    assert refused == []
    assert [(order.leg, order.origin) for order in passed] == [(Leg.EXIT, Origin.OTHER)]
    assert desk.ledger.record_intents(passed) == 1


def test_the_ledger_itself_takes_no_entry_without_evidence(database_settings: Settings, alpaca: AlpacaStandIn) -> None:
    desk = desk_at(database_settings, alpaca)
    lose(desk, LOST["features"])
    wanted = entry_order(
        "main", desk.strategies[0].name, "AAA", decision_session=DAY, session=DAY, signed_quantity=3.0, stop_pct=2.0,
        target_pct=3.0, max_sessions=2, origin=Origin.SIGNAL,
    )  # fmt: skip

    with pytest.raises(NoEvidence, match="expected its features on record, found none; build the session's features"):
        desk.ledger.record_intents([replace(wanted, client_order_id="one", origin=Origin.OTHER), wanted])

    assert desk.ledger.order("one") is None, "all of them or none"
