"""Nothing held at Alpaca stays without a stop, even where the venue ends orders for reasons of its own. Real sockets."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from core.models import OrderState, Refused
from tests.contracts.test_order_listener import Running, running  # noqa: F401, TC001  # the fixture
from tests.standins.alpaca import ALWAYS, Fault
from tests.standins.venues import entry, held, send, state
from trading.brokers.children import child_name
from trading.brokers.protection import uncovered
from trading.orders import exit_order

if TYPE_CHECKING:
    from core.models import OrderIntent, OrderView
    from tests.standins.alpaca_orders import VenueOrder

REFUSED = Fault(status=403, body=json.dumps({"code": 40310000, "message": "trading in AAPL is halted"}))


def holding(running: Running, quantity: float = 10) -> OrderIntent:  # noqa: F811
    order = entry(quantity, stop_pct=5, target_pct=10)
    send(running.venue, order)
    running.until(running.filled(order))
    settled(running)
    return order


def legs(running: Running, order: OrderIntent) -> list[VenueOrder]:  # noqa: F811
    return running.venue.exchange.by_client_id(order.client_order_id).legs


def leg(running: Running, order: OrderIntent, kind: str) -> VenueOrder:  # noqa: F811
    return next(each for each in legs(running, order) if each.type == kind)


def children(running: Running) -> list[OrderView]:  # noqa: F811
    return [view for view in running.venue.broker.open_orders() if child_name(view.client_order_id)]


def gap(running: Running) -> Decimal:  # noqa: F811
    working = running.venue.broker.open_orders()
    return sum((uncovered(position, working) for position in running.venue.book.positions("main")), Decimal(0))


def covered(running: Running, quantity: int) -> bool:  # noqa: F811
    positions = running.venue.book.positions("main")
    return sum(abs(position.quantity) for position in positions) == quantity and gap(running) == 0


def settled(running: Running) -> None:  # noqa: F811
    """Wait until the polls that the last events asked for are over."""
    running.until(lambda: running.listener._poll_at > time.monotonic())


def check(running: Running) -> None:  # noqa: F811
    """Have the listener poll now, for changes of which no event tells."""
    settled(running)
    running.listener._poll_at = 0.0


@pytest.mark.parametrize("quantity", [10.0, -10.0], ids=["long", "short"])
def test_an_entry_that_fills_in_part_gives_up_the_rest_and_gets_a_stop_for_the_part(
    running: Running,  # noqa: F811
    quantity: float,
) -> None:
    running.listener.protector.partial_seconds = 0.5
    running.venue.exchange.is_open = False
    order = entry(quantity, stop_pct=5, target_pct=10)
    send(running.venue, order)
    running.venue.exchange.is_open = True
    running.venue.exchange.trade("AAPL", "100", "4")
    running.until(lambda: state(running.venue, order) is OrderState.PARTIALLY_FILLED)
    assert gap(running) == 4, "the venue holds the children back while the rest works"

    running.until(lambda: state(running.venue, order) is OrderState.CANCELLED)
    running.until(lambda: covered(running, 4))

    running.venue.exchange.trade("AAPL", "94.90" if quantity > 0 else "105.10")
    running.until(lambda: not running.venue.book.positions("main"))
    assert held(running.venue) == 0
    assert running.venue.book.fills("main")[-1][1].reason == "stop"


def test_an_entry_that_fills_in_parts_within_the_time_keeps_its_own_children(running: Running) -> None:  # noqa: F811
    running.venue.exchange.is_open = False
    order = entry(10, stop_pct=5, target_pct=10)
    send(running.venue, order)
    running.venue.exchange.is_open = True
    for size in ("4", "6"):
        running.venue.exchange.trade("AAPL", "100", size)

    running.until(running.filled(order))
    running.until(lambda: covered(running, 10))
    assert len(running.venue.exchange.orders) == 3


def test_what_an_entry_buys_after_its_end_was_told_is_covered_too(running: Running) -> None:  # noqa: F811
    running.venue.exchange.is_open = False
    order = entry(10, stop_pct=5, target_pct=10)
    send(running.venue, order)
    running.venue.exchange.is_open = True
    running.venue.exchange.trade("AAPL", "100", "4")
    at_venue = running.venue.exchange.by_client_id(order.client_order_id)
    running.venue.exchange.cancel(at_venue.id)
    running.until(lambda: covered(running, 4))

    with running.venue.exchange.lock:
        running.venue.exchange._fill(at_venue, Decimal(2), Decimal(100))
        at_venue.status = "canceled"

    running.until(lambda: covered(running, 6))
    assert running.alarms == []


def test_a_stop_and_a_target_sent_anew_are_moved_and_still_cancel_each_other(running: Running) -> None:  # noqa: F811
    order = holding(running)
    running.venue.exchange.cancel(leg(running, order, "stop").id)
    running.until(lambda: covered(running, 10))
    running.end()  # a listener at work moves them back to the prices of the book

    moved = running.venue.broker.move_children(order.client_order_id, Decimal(96), Decimal(111))  # type: ignore[attr-defined]

    assert moved == 2
    assert covered(running, 10)
    running.venue.exchange.trade("AAPL", "95.90")
    running.venue.settle()
    assert (held(running.venue), children(running)) == (0, [])


def test_children_that_the_venue_does_not_cancel_cost_no_other_position_its_stop(
    running: Running,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trading.brokers.alpaca.children.RELEASE_SECONDS", 0.2)
    stuck = holding(running)
    other = replace(stuck, client_order_id="20261123-entry-MSFT-2", symbol="MSFT", quantity=Decimal(5))
    send(running.venue, other)
    running.until(running.filled(other))
    settled(running)
    target = leg(running, stuck, "limit")
    target.shows = {"status": "pending_cancel"}
    running.venue.exchange.cancel_alone(leg(running, stuck, "stop"))
    running.venue.exchange.cancel(leg(running, other, "stop").id)

    running.until(lambda: bool(running.alarms))
    running.until(lambda: {view.symbol for view in children(running)} == {"AAPL", "MSFT"})
    running.until(lambda: gap(running) == 0)
    assert running.error is None


def test_children_that_the_venue_has_split_are_not_put_back_on_the_old_scale(running: Running) -> None:  # noqa: F811
    order = holding(running)
    check(running)
    settled(running)
    exchange = running.venue.exchange
    exchange.held["AAPL"], exchange.assets["AAPL"].price = (Decimal(20), Decimal(50)), Decimal(50)
    for child in legs(running, order):
        child.qty *= 2
        child.stop_price, child.limit_price = (price and price / 2 for price in (child.stop_price, child.limit_price))

    assert running.listener.protector.check() == 0

    assert {child.stop_price or child.limit_price for child in legs(running, order)} == {Decimal("47.5"), Decimal(55)}
    assert len(exchange.orders) == 3


def test_a_stop_that_filled_in_part_and_was_cancelled_is_followed_by_one_of_another_name(running: Running) -> None:  # noqa: F811
    order = holding(running)
    running.venue.exchange.trade("AAPL", "94.90", "4")
    running.until(lambda: [each.quantity for each in running.venue.book.positions("main")] == [6])

    running.venue.exchange.cancel(leg(running, order, "stop").id)

    running.until(lambda: covered(running, 6))
    assert {view.client_order_id for view in children(running)} == {
        f"{order.client_order_id}.{kind}-2" for kind in ("stop", "target")
    }
    running.venue.exchange.trade("AAPL", "94.80")
    running.until(lambda: not running.venue.book.positions("main"))
    assert held(running.venue) == 0
    assert running.error is None


@pytest.mark.parametrize("quantity", [10.0, -10.0], ids=["long", "short"])
@pytest.mark.parametrize("lists_held", [True, False])
def test_a_stop_that_is_gone_beside_a_living_target_is_sent_anew(running: Running, quantity: float, lists_held: bool) -> None:  # noqa: F811
    running.venue.exchange.lists_held = lists_held
    order = holding(running, quantity)

    running.venue.exchange.cancel_alone(leg(running, order, "stop"))

    running.until(lambda: covered(running, 10))
    assert sorted(view.quantity for view in children(running)) == [10, 10]
    running.venue.exchange.trade("AAPL", "94.90" if quantity > 0 else "105.10")
    running.until(lambda: not running.venue.book.positions("main"))
    assert (held(running.venue), children(running)) == (0, [])
    assert running.alarms == []


def test_a_stop_that_is_held_beside_its_target_and_not_listed_is_known_to_live(running: Running) -> None:  # noqa: F811
    running.venue.exchange.lists_held = False
    holding(running)
    check(running)
    settled(running)

    assert covered(running, 10)
    assert len(running.venue.exchange.orders) == 3, "nothing was sent anew"


def test_children_smaller_than_the_position_are_added_to(running: Running) -> None:  # noqa: F811
    order = holding(running)
    for kind in ("stop", "limit"):
        leg(running, order, kind).qty = Decimal(4)
    check(running)

    running.until(lambda: covered(running, 10))

    assert sorted(view.quantity for view in children(running)) == [4, 4, 6, 6]
    running.venue.exchange.trade("AAPL", "94.90")
    running.until(lambda: not running.venue.book.positions("main"))
    assert held(running.venue) == 0


def test_a_small_stop_beside_a_target_for_everything_is_replaced_by_a_whole_one(running: Running) -> None:  # noqa: F811
    order = holding(running)
    leg(running, order, "stop").qty = Decimal(4)
    check(running)

    running.until(lambda: covered(running, 10))

    assert sorted(view.quantity for view in children(running)) == [10, 10]


def test_an_exit_that_alpaca_refuses_puts_the_children_back_each_time(running: Running) -> None:  # noqa: F811
    order = holding(running)
    (position,) = running.venue.book.positions("main")
    first = exit_order(position, decision_session=running.venue.session, session=running.venue.session)

    for number in range(3):
        running.stand_in.fail("POST", "/v2/orders", REFUSED)
        assert send(running.venue, replace(first, client_order_id=f"exit-{number}")) is OrderState.REJECTED
        assert covered(running, 10)

    assert {child_name(view.client_order_id).entry for view in children(running)} == {order.client_order_id}  # type: ignore[union-attr]
    assert send(running.venue, first) in {OrderState.FILLED, OrderState.ACCEPTED}
    running.until(lambda: not running.venue.book.positions("main"))
    assert (held(running.venue), children(running)) == (0, [])
    assert running.error is None


def test_an_exit_refused_whose_children_are_refused_too_is_covered_at_the_next_check(running: Running) -> None:  # noqa: F811
    holding(running)
    (position,) = running.venue.book.positions("main")
    leaving = exit_order(position, decision_session=running.venue.session, session=running.venue.session)
    running.stand_in.fail("POST", "/v2/orders", REFUSED, times=2)

    send(running.venue, leaving)

    assert state(running.venue, leaving) is OrderState.REJECTED
    running.until(lambda: covered(running, 10))


def test_an_exit_while_the_account_takes_no_orders_leaves_the_stop_alone(running: Running) -> None:  # noqa: F811
    holding(running)
    (position,) = running.venue.book.positions("main")
    leaving = exit_order(position, decision_session=running.venue.session, session=running.venue.session)
    running.venue.exchange.trading_blocked = True

    answer = running.venue.broker.submit(leaving)

    assert (answer.state, answer.refused, answer.reason) == (
        OrderState.REJECTED,
        Refused.ACCOUNT,
        "the account is blocked at Alpaca: trading_blocked",
    )
    assert covered(running, 10)
    assert len(running.venue.exchange.orders) == 3


def test_an_exit_that_the_venue_rejects_after_it_was_accepted_leaves_nothing_naked(running: Running) -> None:  # noqa: F811
    holding(running)
    running.venue.exchange.is_open = False
    (position,) = running.venue.book.positions("main")
    leaving = exit_order(position, decision_session=running.venue.session, session=running.venue.session)
    send(running.venue, leaving)
    assert children(running) == []

    running.venue.exchange.refuse_later(leaving.client_order_id)

    running.until(lambda: covered(running, 10))


def test_a_position_that_cannot_be_covered_alarms_once_and_is_covered_when_alpaca_takes_it(running: Running) -> None:  # noqa: F811
    order = holding(running)
    running.stand_in.fail("POST", "/v2/orders", REFUSED, times=ALWAYS)
    running.venue.exchange.cancel(leg(running, order, "stop").id)
    running.until(lambda: bool(running.alarms))
    check(running)
    settled(running)
    assert gap(running) == 10

    running.stand_in.recover()
    check(running)
    running.until(lambda: covered(running, 10))

    (alarm,) = running.alarms
    assert "10 of 10 AAPL" in alarm


def test_a_position_of_another_strategy_in_the_same_symbol_is_covered_by_its_own_stop(running: Running) -> None:  # noqa: F811
    first = holding(running)
    second = replace(first, client_order_id="20261123-entry-AAPL-2", strategy="rsi", quantity=Decimal(5))
    send(running.venue, second)
    running.until(running.filled(second))
    running.venue.exchange.cancel(leg(running, second, "stop").id)

    running.until(lambda: covered(running, 15))

    assert sorted(view.quantity for view in children(running)) == [5, 5, 10, 10]


def test_an_exit_takes_back_children_of_its_own_entry_alone(running: Running) -> None:  # noqa: F811
    first = holding(running)
    second = replace(first, client_order_id="20261123-entry-AAPL-2", strategy="rsi")
    send(running.venue, second)
    running.until(running.filled(second))
    position = next(each for each in running.venue.book.positions("main") if each.strategy == "rsi")

    send(running.venue, exit_order(position, decision_session=running.venue.session, session=running.venue.session))

    running.until(lambda: covered(running, 10))
    assert {child_name(view.client_order_id).entry for view in children(running)} == {first.client_order_id}  # type: ignore[union-attr]


def test_an_exit_does_not_sell_what_its_stop_has_sold_in_that_moment(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    order = holding(running)
    (position,) = running.venue.book.positions("main")
    leaving = exit_order(position, decision_session=running.venue.session, session=running.venue.session)
    children_of = running.venue.broker.children  # type: ignore[attr-defined]
    asked = children_of.cancel

    def too_late(venue_order_id: str) -> object:
        running.venue.exchange.trade("AAPL", "94.90")
        return asked(venue_order_id)

    monkeypatch.setattr(children_of, "cancel", too_late)

    answer = running.venue.broker.submit(leaving)

    assert (answer.state, answer.refused) == (OrderState.REJECTED, Refused.QUANTITY)
    running.until(lambda: not running.venue.book.positions("main"))
    assert held(running.venue) == 0, "nothing is sold short"
    assert leg(running, order, "stop").status == "filled"
