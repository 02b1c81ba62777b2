"""What only a TWS does to an order: silence, cut connections, orders of another connection, and accounts of the wrong kind."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from core.errors import ConfigError, RetryLater, UnknownSymbol, UnreadableAnswer
from core.models import Leg, OrderState, Refused
from core.sessions import next_session
from tests.standins.tws import TwsStandIn
from tests.standins.venues import LONG_AGO, SESSION, IBVenue, entry, held, send, state
from trading.brokers.ib.broker import IBBroker
from trading.brokers.ib.wire import IBWire
from trading.brokers.placing import Patience, cancel, place
from trading.orders import exit_order

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
    ids = [fill.fill_id for fill in venue.broker.fills(LONG_AGO)]
    venue.wire.disconnect()

    again = IBBroker(IBWire("127.0.0.1", venue.stand_in.port, client_id=7, timeout_seconds=0.5))

    found = again.find(order.client_order_id)
    assert found is not None
    assert (found.state, found.filled_quantity, found.average_price) == (OrderState.FILLED, 10, 100)
    children = [(view.client_order_id, view.state) for view in again.open_orders()]
    assert children == [(f"{order.client_order_id}.{kind}", OrderState.ACCEPTED) for kind in ("stop", "target")]
    assert again.cancel(f"{order.client_order_id}.stop").state is OrderState.CANCELLED
    assert [fill.fill_id for fill in again.fills(LONG_AGO)] == ids
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


@pytest.mark.parametrize("stop_pct", [float("nan"), 5.0])
def test_a_tws_in_read_only_mode_takes_no_order(venue: IBVenue, stop_pct: float) -> None:
    venue.stand_in.read_only = True
    order = entry(10, stop_pct=stop_pct)

    assert send(venue, order) is OrderState.REJECTED

    assert state(venue, order) is OrderState.REJECTED
    assert venue.broker.find(order.client_order_id) is None
    assert venue.exchange.orders == {}


def test_the_refusal_of_a_read_only_tws_is_named(venue: IBVenue) -> None:
    venue.stand_in.read_only = True

    answer = venue.broker.submit(entry(10))

    assert (answer.state, answer.refused) == (OrderState.REJECTED, Refused.ACCOUNT)
    assert answer.reason.endswith("The API interface is currently in Read-Only mode. (TWS 321)")


def test_a_read_only_tws_that_lists_no_orders_is_named_in_the_error(venue: IBVenue) -> None:
    venue.stand_in.read_only, venue.stand_in.lists_orders = True, False

    with pytest.raises(RetryLater, match="Read-Only mode"):
        venue.broker.submit(entry(10))


def test_a_read_only_tws_cancels_nothing_and_the_order_works_on(venue: IBVenue) -> None:
    order = entry(10)
    send(venue, order)
    venue.stand_in.read_only = True

    assert cancel(venue.book, venue.broker, order.client_order_id, "test", patience=PATIENT) is OrderState.ACCEPTED

    venue.stand_in.read_only = False
    assert cancel(venue.book, venue.broker, order.client_order_id, "test", patience=PATIENT) is OrderState.CANCELLED


def test_an_answer_that_cannot_be_read_proves_nothing_and_leaves_the_connection(venue: IBVenue) -> None:
    async def odd(_ib: object) -> None:
        raise ValueError("a quantity of nothing")

    with pytest.raises(UnreadableAnswer, match="a quantity of nothing"):
        venue.wire.call(odd)

    assert venue.broker.open_orders() == []


@pytest.mark.parametrize(
    ("bracket", "kind", "price"),
    [({"stop_pct": 5.0, "target_pct": 10.0}, "stop", 94.0), ({"target_pct": 10.0}, "target", 111.0)],
)
def test_an_exit_that_tws_refuses_puts_the_stop_back_each_time(
    venue: IBVenue, bracket: dict[str, float], kind: str, price: float
) -> None:
    order = entry(10, **bracket)
    send(venue, order)
    venue.trade(100)
    (position,) = venue.book.positions("main")
    first = exit_order(position, decision_session=SESSION, session=venue.session)

    for attempt in (2, 3):
        venue.stand_in.refusals.append((201, "Order rejected - reason:trading is halted"))
        assert send(venue, replace(first, client_order_id=f"exit-{attempt}")) is OrderState.REJECTED
        names = [view.client_order_id for view in venue.broker.open_orders()]
        assert names == [f"{order.client_order_id}.{kind}-{attempt}"]

    venue.trade(price)
    assert venue.book.positions("main") == []
    assert venue.book.fills("main")[-1][1].reason == kind


def test_an_exit_takes_back_the_children_of_its_own_entry_alone(venue: IBVenue) -> None:
    first = entry(10, stop_pct=5)
    second = replace(first, client_order_id="20261123-entry-AAPL-2", strategy="rsi")
    send(venue, first)
    send(venue, second)
    venue.trade(100)
    position = next(each for each in venue.book.positions("main") if each.strategy == "rsi")

    send(venue, exit_order(position, decision_session=SESSION, session=venue.session))

    names = [view.client_order_id for view in venue.broker.open_orders()]
    assert f"{first.client_order_id}.stop" in names
    assert f"{second.client_order_id}.stop" not in names


def test_an_exit_is_refused_where_tws_does_not_take_the_children_back(venue: IBVenue) -> None:
    order = entry(10, stop_pct=5, target_pct=10)
    send(venue, order)
    venue.trade(100)
    (position,) = venue.book.positions("main")
    venue.stand_in.read_only = True

    leaving = exit_order(position, decision_session=SESSION, session=next_session(SESSION))
    answer = venue.broker.submit(leaving)

    assert (answer.state, answer.refused) == (OrderState.REJECTED, Refused.ACCOUNT)
    assert [view.client_order_id.rpartition(".")[2] for view in venue.broker.open_orders()] == ["stop", "target"]
    assert held(venue) == 10


@pytest.mark.parametrize(
    ("code", "words"), [(10148, "cannot be cancelled"), (161, "Cancel attempted when order is not"), (10147, "not found")]
)
def test_a_cancellation_that_tws_refuses_leaves_the_order_working(venue: IBVenue, code: int, words: str) -> None:
    order = entry(10)
    send(venue, order)
    venue.stand_in.cancel_refusal = (code, words)

    answer = venue.broker.cancel(order.client_order_id)

    assert (answer.state, answer.refused) == (OrderState.ACCEPTED, Refused.TOO_LATE)
    assert [view.state for view in venue.broker.open_orders()] == [OrderState.ACCEPTED]


NOTICES = [
    (10349, "Order TIF was set to DAY based on order preset."),
    (10311, "This order will be directly routed to NYSE. Direct routed orders may result in higher trade fees."),
    (399, "Order Message: BUY 10 AAPL Warning: your order will not be placed at the exchange until 2026-11-23 09:30:00."),
    (404, "Order held while securities are located."),
    (2109, "Order Event Warning: Attribute 'Outside Regular Trading Hours' is ignored."),
    (2104, "Market data farm connection is OK:usfarm"),
    (10999, "A notice that nobody documents."),
]


@pytest.mark.parametrize(("code", "words"), NOTICES)
@pytest.mark.parametrize("stop_pct", [float("nan"), 5.0])
def test_a_notice_is_no_refusal_whether_the_client_library_knows_it_or_not(
    venue: IBVenue, code: int, words: str, stop_pct: float
) -> None:
    venue.stand_in.notices = [(code, words)]
    order = entry(10, stop_pct=stop_pct)

    answer = venue.broker.submit(order)

    assert (answer.state, answer.refused) == (OrderState.ACCEPTED, None)
    found = venue.broker.find(order.client_order_id)
    assert found is not None
    assert found.state is OrderState.ACCEPTED
    assert order.client_order_id in [view.client_order_id for view in venue.broker.open_orders()]
    venue.exchange.is_open = True
    venue.exchange.trade("AAPL", "100", "10")
    found = venue.broker.find(order.client_order_id)
    assert found is not None
    assert found.state is OrderState.FILLED


def test_a_code_that_nobody_documents_is_waited_out_for_the_state_behind_it(venue: IBVenue) -> None:
    venue.stand_in.notices, venue.stand_in.pause_seconds = [(10999, "A notice that nobody documents.")], 0.4
    order = entry(10)

    assert send(venue, order) is OrderState.ACCEPTED
    assert venue.stand_in.placed == 1


def test_a_notice_about_an_order_that_tws_never_took_proves_nothing(venue: IBVenue) -> None:
    venue.stand_in.refusals.append((10349, "Order TIF was set to DAY based on order preset."))
    order = entry(10)

    with pytest.raises(RetryLater):
        place(venue.book, venue.broker, [order], patience=HASTY)

    assert state(venue, order) is OrderState.UNKNOWN


REFUSED = [
    (321, "Error validating request.-'bO' : cause - Invalid", Refused.OTHER),
    (110, "The price does not conform to the minimum price variation for this contract.", Refused.PRICE),
    (434, "The order size cannot be zero", Refused.QUANTITY),
    (202, "Order Canceled - reason:The account is closed", Refused.ACCOUNT),
    (10243, "Fractional-sized order cannot be placed via API.", Refused.QUANTITY),
    (10998, "A refusal that nobody documents.", Refused.OTHER),
]


@pytest.mark.parametrize(("code", "words", "name"), REFUSED)
def test_an_order_that_tws_only_complains_of_is_refused_by_name(venue: IBVenue, code: int, words: str, name: Refused) -> None:
    venue.stand_in.refusals.append((code, words))

    answer = venue.broker.submit(entry(10))

    assert (answer.state, answer.refused) == (OrderState.REJECTED, name)
    assert answer.reason.endswith(f"(TWS {code})")
    assert venue.exchange.orders == {}


def test_an_order_that_tws_has_and_no_exchange_has_confirmed_is_not_sent_again(venue: IBVenue) -> None:
    venue.stand_in.word = "PendingSubmit"
    order = entry(10)

    placed = place(venue.book, venue.broker, [order], patience=PATIENT)

    assert placed == {order.client_order_id: OrderState.ACCEPTED}
    assert venue.stand_in.placed == 1


def test_an_order_that_tws_has_no_more_is_not_found_though_the_connection_remembers_it(venue: IBVenue) -> None:
    order = entry(10, stop_pct=5)
    send(venue, order)

    venue.stand_in.forget(order.client_order_id)

    assert venue.broker.find(order.client_order_id) is None
    assert venue.broker.open_orders() == []
    answer = venue.broker.cancel(order.client_order_id)
    assert (answer.state, answer.refused) == (OrderState.UNKNOWN, Refused.UNKNOWN_ORDER)


def test_a_second_connection_under_the_same_number_is_turned_away_at_once(venue: IBVenue) -> None:
    venue.broker.open_orders()
    second = IBBroker(IBWire("127.0.0.1", venue.stand_in.port, client_id=7, timeout_seconds=30))

    with pytest.raises(RetryLater, match="client id is already in use"):
        second.open_orders()

    assert venue.stand_in.collisions == 1


def test_a_connection_that_nobody_uses_is_given_back(venue: IBVenue) -> None:
    venue.broker.open_orders()
    second = IBBroker(IBWire("127.0.0.1", venue.stand_in.port, client_id=7, timeout_seconds=0.5))

    assert PATIENT.retrying()(second.open_orders) == []
    second.wire.disconnect()


def test_an_order_turned_down_while_its_cancellation_is_pending_is_rejected(venue: IBVenue) -> None:
    order = entry(10)
    send(venue, order)
    venue.book.transition(order.client_order_id, OrderState.CANCEL_PENDING)
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
