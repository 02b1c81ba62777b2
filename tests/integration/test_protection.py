"""The watch sells what no stop covers at Alpaca, reconciliation names it, and a refused sale leaves it covered."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from core.models import OrderState
from pipeline.execution import reconcile
from pipeline.execution.position_watch import check_positions
from pipeline.risk.flatten import flatten
from tests.integration.test_position_watch import FRIDAY, NOON, Desk, alpaca, make  # noqa: F401  # the fixtures
from tests.standins.alpaca import ALWAYS, Fault
from trading.brokers.intake import collect
from trading.brokers.placing import place
from trading.brokers.protection import uncovered
from trading.brokers.reconcile import Mismatch
from trading.orders import exit_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.models import OrderIntent, Position

pytestmark = pytest.mark.integration
REFUSED = Fault(status=403, body=json.dumps({"code": 40310000, "message": "trading in AAPL is halted"}))


def partly_filled(desk: Desk) -> OrderIntent:
    """An entry of 10 of which 4 are bought; the rest works, and the venue holds its children back."""
    desk.exchange.is_open = False
    order = desk.hold(10.0)
    desk.exchange.is_open = True
    desk.exchange.trade("AAPL", "100", "4")
    return order


def whole(desk: Desk) -> OrderIntent:
    order = desk.hold(10.0)
    desk.trade("100")
    collect(desk.resources.ledger, desk.resources.broker, "main", NOON - dt.timedelta(days=1))
    return order


def without_its_stop(desk: Desk) -> OrderIntent:
    order = whole(desk)
    desk.exchange.cancel_alone(next(leg for leg in legs(desk, order) if leg.type == "stop"))
    return order


def with_small_children(desk: Desk) -> OrderIntent:
    order = whole(desk)
    for leg in legs(desk, order):
        leg.qty = Decimal(4)
    return order


def after_a_part_of_its_stop(desk: Desk) -> OrderIntent:
    """10 bought, 3 sold by the stop, which the venue then makes smaller than the 7 that are left."""
    order = whole(desk)
    desk.exchange.trade("AAPL", "90", "3")
    for leg in legs(desk, order):
        leg.qty = Decimal(5)
    desk.trade("97")
    return order


def legs(desk: Desk, order: OrderIntent) -> list[Any]:
    return desk.exchange.by_client_id(order.client_order_id).legs


def positions(desk: Desk) -> list[Position]:
    return desk.resources.ledger.positions("main")


def gap(desk: Desk) -> Decimal:
    working = desk.resources.broker.open_orders()
    return sum((uncovered(position, working) for position in positions(desk)), Decimal(0))


def crash(desk: Desk, price: str = "94") -> None:
    """The last trade is under the stop, and fills nothing at the venue: a market order is filled there next."""
    desk.exchange.assets["AAPL"].price = Decimal(price)
    desk.exchange.tape["AAPL"] = (Decimal(price), desk.exchange.now())


@pytest.mark.parametrize("uncover", [partly_filled, without_its_stop, with_small_children, after_a_part_of_its_stop])
def test_what_is_not_covered_is_sold_at_its_stop_by_the_watch_and_nothing_is_bought_after_it(
    make: Any,  # noqa: F811
    uncover: Callable[[Desk], OrderIntent],
) -> None:
    desk = make(venue__alpaca__brackets=True)
    order = uncover(desk)
    assert check_positions(resources=desk.resources).within == ["AAPL"]
    crash(desk)

    done = check_positions(resources=desk.resources)

    assert list(done.exits.values()) == ["filled"]
    assert (desk.held(), desk.exchange.held) == ({}, {})
    assert desk.resources.broker.open_orders() == []
    desk.trade("94")
    stored = desk.resources.ledger.order(order.client_order_id)
    assert stored is not None
    assert stored[1] in {OrderState.CANCELLED, OrderState.FILLED}
    assert desk.exchange.held == {}


def test_a_rest_that_the_venue_has_not_cancelled_yet_is_waited_for_and_then_the_part_is_sold(make: Any) -> None:  # noqa: F811
    desk = make(venue__alpaca__brackets=True)
    order = partly_filled(desk)
    crash(desk)
    entry = desk.exchange.by_client_id(order.client_order_id)
    entry.shows = {"status": "pending_cancel"}

    first = check_positions(resources=desk.resources)
    entry.shows = {}
    second = check_positions(resources=desk.resources)

    assert (first.exits, list(first.refused)) == ({}, ["AAPL"])
    assert list(second.exits.values()) == ["filled"]
    assert desk.exchange.held == {}


@pytest.mark.parametrize("uncover", [without_its_stop, with_small_children])
def test_reconciliation_sends_what_is_missing_anew_and_names_it(make: Any, uncover: Callable[[Desk], OrderIntent]) -> None:  # noqa: F811
    desk = make(venue__alpaca__brackets=True)
    order = uncover(desk)
    left = gap(desk)

    outcome, again = (reconcile.reconcile(FRIDAY.isoformat(), resources=desk.resources) for _ in range(2))

    (difference,) = outcome.differences
    assert (difference.rule, difference.subject, outcome.open) == (Mismatch.PROTECTED_ANEW, order.client_order_id, 0)
    assert difference.found == f"{left} of 10 without one"
    assert (gap(desk), again.differences) == (0, ())


def test_reconciliation_mails_what_cannot_be_covered_and_does_not_halt(make: Any) -> None:  # noqa: F811
    desk = make(venue__alpaca__brackets=True)
    order = without_its_stop(desk)
    desk.alpaca.fail("POST", "/v2/orders", REFUSED, times=ALWAYS)

    outcome = reconcile.reconcile(FRIDAY.isoformat(), resources=desk.resources)

    (difference,) = outcome.differences
    assert (difference.rule, difference.subject, outcome.halted) == (Mismatch.UNPROTECTED, order.client_order_id, False)
    assert "unprotected" in desk.mailbox.mails[-1][1]


def test_what_the_desk_watches_by_choice_and_what_is_covered_is_no_difference(make: Any) -> None:  # noqa: F811
    desk = make(venue__alpaca__brackets=True)
    whole(desk)
    assert reconcile.reconcile(FRIDAY.isoformat(), resources=desk.resources).differences == ()
    (position,) = positions(desk)
    desk.exchange.is_open = False
    leaving = exit_order(position, decision_session=FRIDAY, session=NOON.date())
    place(desk.resources.ledger, desk.resources.broker, [leaving])

    assert gap(desk) == 10
    assert reconcile.reconcile(FRIDAY.isoformat(), resources=desk.resources).differences == (), "its exit is on its way"


def test_a_sale_of_everything_that_the_venue_refuses_leaves_each_stop_where_it_was(make: Any) -> None:  # noqa: F811
    desk = make(venue__alpaca__brackets=True)
    whole(desk)
    desk.alpaca.fail("POST", "/v2/orders", REFUSED)

    flatten("test", resources=desk.resources)

    assert (desk.held(), gap(desk)) == ({"AAPL": Decimal(10)}, 0)
    flatten("test", resources=desk.resources)
    assert (desk.held(), desk.exchange.held) == ({}, {})
    assert desk.resources.broker.open_orders() == []


def test_a_sale_of_everything_ends_an_entry_that_filled_in_part(make: Any) -> None:  # noqa: F811
    desk = make(venue__alpaca__brackets=True)
    partly_filled(desk)

    flatten("test", resources=desk.resources)

    assert (desk.held(), desk.exchange.held) == ({}, {})
    assert desk.resources.broker.open_orders() == []


def test_children_of_a_position_that_is_gone_are_cancelled_with_everything_else(make: Any) -> None:  # noqa: F811
    desk = make(venue__alpaca__brackets=True)
    whole(desk)
    del desk.exchange.held["AAPL"]

    flatten("test", resources=desk.resources)

    assert desk.resources.broker.open_orders() == []


def test_an_exit_of_the_watch_that_is_refused_is_tried_again_and_mailed_once(make: Any) -> None:  # noqa: F811
    desk = make(venue__alpaca__brackets=True)
    without_its_stop(desk)
    crash(desk)
    desk.alpaca.fail("POST", "/v2/orders", REFUSED, times=ALWAYS)

    for _ in range(2):
        done = check_positions(resources=desk.resources)
        assert list(done.refused) == ["AAPL"]
    desk.alpaca.recover()
    check_positions(resources=desk.resources)

    assert (desk.held(), desk.exchange.held) == ({}, {})
    assert desk.mailbox.subjects.count("AAPL is not protected: watch_exit_refused") == 1


def test_a_daily_exit_that_is_refused_leaves_the_stop_where_it_was(make: Any) -> None:  # noqa: F811
    desk = make(venue__alpaca__brackets=True)
    whole(desk)
    (position,) = positions(desk)
    first = exit_order(position, decision_session=FRIDAY, session=NOON.date())

    for number in range(2):
        desk.alpaca.fail("POST", "/v2/orders", REFUSED)
        leaving = replace(first, client_order_id=f"exit-{number}")
        states = place(desk.resources.ledger, desk.resources.broker, [leaving])
        assert (states[leaving.client_order_id], gap(desk)) == (OrderState.REJECTED, 0)

    desk.trade("90")  # no listener has moved the stop to where the fill puts it
    collect(desk.resources.ledger, desk.resources.broker, "main", NOON - dt.timedelta(days=1))
    assert (desk.held(), desk.exchange.held) == ({}, {})
