"""What only a TWS does to an order: silence, cut connections, orders of another connection, and accounts of the wrong kind."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from core.errors import ConfigError, RetryLater, UnknownSymbol
from core.models import Leg, OrderState, Refused
from tests.standins.tws import TwsStandIn
from tests.standins.venues import LONG_AGO, IBVenue, entry, held, send, state
from trading.brokers.ib import IBBroker
from trading.brokers.ib_wire import IBWire
from trading.brokers.placing import Patience, place

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENT = Patience(deadline_seconds=20.0, first_wait_seconds=0.001, longest_wait_seconds=0.002)
HASTY = Patience(deadline_seconds=0.0, first_wait_seconds=0.001, longest_wait_seconds=0.002)
FAULTS = [(True, "silent"), (False, "silent"), (True, "cut"), (False, "cut")]


@pytest.fixture
def venue() -> Iterator[IBVenue]:
    with TwsStandIn() as tws:
        found = IBVenue(tws)
        yield found
        found.wire.disconnect()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stop_pct", [float("nan"), 5.0])
def test_a_fault_proves_nothing_and_the_order_is_placed_exactly_once(
    venue: IBVenue, fault: tuple[bool, str], stop_pct: float
) -> None:
    order = entry(10, stop_pct=stop_pct)
    venue.stand_in.faults.append(fault)

    placed = place(venue.book, venue.broker, [order], patience=PATIENT)

    assert placed == {order.client_order_id: OrderState.ACCEPTED}
    entries = [each for each in venue.exchange.orders.values() if each.parent is None]
    assert len(entries) == 1
    assert venue.stand_in.placed == (1 if fault[0] else 2)


@pytest.mark.parametrize("fault", FAULTS)
def test_without_an_answer_the_order_is_unknown_never_rejected(venue: IBVenue, fault: tuple[bool, str]) -> None:
    order = entry(10)
    venue.stand_in.faults.append(fault)

    with pytest.raises(RetryLater, match="TWS"):
        place(venue.book, venue.broker, [order], patience=HASTY)

    assert state(venue, order) is OrderState.UNKNOWN


def test_a_tws_that_is_not_there_can_be_tried_again() -> None:
    with TwsStandIn() as tws:
        port = tws.port
    wire = IBWire("127.0.0.1", port, client_id=7, timeout_seconds=0.3)

    with pytest.raises(RetryLater, match=f"127.0.0.1:{port}"):
        IBBroker(wire).find("anything")


def test_orders_and_fills_are_known_again_after_a_new_start(venue: IBVenue) -> None:
    order = entry(10, stop_pct=5, target_pct=10)
    send(venue, order)
    venue.trade(100)

    again = IBBroker(IBWire("127.0.0.1", venue.stand_in.port, client_id=7, timeout_seconds=0.5))

    found = again.find(order.client_order_id)
    assert found is not None
    assert (found.state, found.filled_quantity, found.average_price) == (OrderState.FILLED, 10, 100)
    children = [(view.client_order_id, view.state) for view in again.open_orders()]
    assert children == [(f"{order.client_order_id}.{kind}", OrderState.ACCEPTED) for kind in ("stop", "target")]
    assert again.cancel(f"{order.client_order_id}.stop").state is OrderState.CANCELLED
    assert [fill.fill_id for fill in again.fills(LONG_AGO)] == [fill.fill_id for fill in venue.broker.fills(LONG_AGO)]
    again.wire.disconnect()


def test_a_stop_filled_in_parts_closes_the_position_part_by_part(venue: IBVenue) -> None:
    send(venue, entry(10, stop_pct=5, target_pct=10))
    venue.trade(100)

    venue.trade(94, size=4)
    assert held(venue) == 6
    venue.trade(93, size=6)

    assert held(venue) == 0
    fills = [(order.leg, fill.quantity, fill.price, fill.reason) for order, fill in venue.book.fills("main")]
    assert fills == [(Leg.ENTRY, 10, 100, "order"), (Leg.EXIT, 4, 94, "stop"), (Leg.EXIT, 6, 93, "stop")]


def test_commissions_are_read(venue: IBVenue) -> None:
    send(venue, entry(10))
    venue.trade(100)

    (fill,) = venue.broker.fills(LONG_AGO)
    assert fill.commission_usd == 1


@pytest.mark.parametrize(
    ("quantity", "symbol", "refused"),
    [
        (1100, "AAPL", Refused.BUYING_POWER),
        (10, "HALT", Refused.HALTED),
        (0.5, "AAPL", Refused.QUANTITY),
        (1, "BTC-USD", Refused.OTHER),
    ],
)
def test_a_refusal_is_named_and_keeps_the_words(venue: IBVenue, quantity: float, symbol: str, refused: Refused) -> None:
    venue.exchange.list_asset("HALT", "10", halted=True)

    answer = venue.broker.submit(entry(quantity, symbol))

    assert (answer.state, answer.refused) == (OrderState.REJECTED, refused)
    assert not answer.reason.startswith("Error")
    assert venue.broker.open_orders() == []


def test_an_order_turned_down_by_the_exchange_is_rejected(venue: IBVenue) -> None:
    order = entry(10)
    send(venue, order)
    (known,) = venue.exchange.orders.values()

    venue.exchange.refuse_later(known.client_order_id)
    venue.settle()

    assert state(venue, order) is OrderState.REJECTED


def test_a_symbol_that_tws_does_not_know_has_no_grid(venue: IBVenue) -> None:
    with pytest.raises(UnknownSymbol, match="NOSUCH"):
        venue.broker.instrument("NOSUCH")


def test_real_money_and_paper_accounts_are_told_apart(venue: IBVenue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "ib_async")
    live = IBBroker(IBWire("127.0.0.1", venue.stand_in.port, client_id=8, live=True, timeout_seconds=0.5))

    with pytest.raises(ConfigError, match="VENUE__LIVE"):
        live.submit(entry(10))

    assert venue.exchange.orders == {}
