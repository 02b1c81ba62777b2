"""One account, two hands: what somebody else does at Alpaca, readable or not, disables no protective path of the desk."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from core.errors import RetryLater
from core.models import OrderState
from pipeline.execution import reconcile
from pipeline.execution.position_watch import check_positions
from pipeline.risk import kill_switch
from pipeline.risk.flatten import flatten
from tests.integration.test_position_watch import FRIDAY, NOON, Desk, alpaca, make  # noqa: F401  # the fixtures
from tests.standins.alpaca import Fault
from trading.brokers.intake import collect
from trading.brokers.reconcile import Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.integration
BY_HAND = {"side": "buy", "type": "market", "time_in_force": "day", "client_order_id": "by-hand"}


def in_dollars(desk: Desk) -> None:
    desk.exchange.submit(BY_HAND | {"symbol": "MSFT", "notional": "500"})


def in_dollars_of_what_is_held(desk: Desk) -> None:
    desk.exchange.submit(BY_HAND | {"symbol": "AAPL", "notional": "500"})


def of_an_unknown_status(desk: Desk) -> None:
    desk.exchange.submit(BY_HAND | {"symbol": "AAPL", "qty": "1"}).shows = {"status": "on_the_moon"}


def of_several_legs(desk: Desk) -> None:
    desk.exchange.other_orders = [
        {"id": "9", "client_order_id": "by-hand", "symbol": "", "order_class": "mleg", "status": "new"}
    ]


FOREIGN = [in_dollars, in_dollars_of_what_is_held, of_an_unknown_status, of_several_legs]


def held_with(make: Any, foreign: Callable[[Desk], None], **changes: Any) -> Desk:  # noqa: F811
    """A desk that holds 3 AAPL and 2 MSFT, beside what somebody did by hand after the open."""
    desk = make(**changes)
    desk.hold(3.0)
    desk.hold(2.0, "MSFT")
    collect(desk.resources.ledger, desk.resources.broker, "main", NOON - dt.timedelta(days=1))
    desk.exchange.is_open = False
    foreign(desk)
    desk.exchange.is_open = True
    return desk


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("brackets", [False, True])
def test_the_watch_sells_what_has_reached_its_stop(make: Any, foreign: Callable[[Desk], None], brackets: bool) -> None:  # noqa: F811
    desk = held_with(make, foreign, venue__alpaca__brackets=brackets)
    if brackets:
        for child in list(desk.exchange.orders.values()):
            if child.parent is not None and child.status == "new":
                desk.exchange.cancel(child.id)
    desk.trade("94")

    done = check_positions(resources=desk.resources)

    assert list(done.exits.values()) == ["filled"]
    assert desk.held() == {"MSFT": Decimal(2)}


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("brackets", [False, True])
def test_flatten_sells_everything(make: Any, foreign: Callable[[Desk], None], brackets: bool) -> None:  # noqa: F811
    desk = held_with(make, foreign, venue__alpaca__brackets=brackets)

    flatten("test", resources=desk.resources)

    assert desk.held() == {}


@pytest.mark.parametrize("foreign", FOREIGN)
def test_reconciliation_names_it_and_the_desk_opens_nothing_until_a_person_has_looked(
    make: Any,  # noqa: F811
    foreign: Callable[[Desk], None],
) -> None:
    desk = held_with(make, foreign)

    outcome = reconcile.reconcile(FRIDAY.isoformat(), resources=desk.resources)

    (difference,) = outcome.differences
    assert (difference.rule, difference.subject, outcome.halted) == (Mismatch.EXTERNAL_ORDER, "by-hand", True)
    assert "by-hand" in (kill_switch.halt_reason(resources=desk.resources) or "")


def test_an_order_of_ours_that_cannot_be_read_is_a_difference_and_never_expires_as_lost(make: Any) -> None:  # noqa: F811
    desk = make()
    desk.exchange.is_open = False
    order = desk.hold(3.0)
    desk.exchange.by_client_id(order.client_order_id).shows = {"status": "on_the_moon"}

    outcome = reconcile.reconcile("2026-11-24", resources=desk.resources)

    (difference,) = outcome.differences
    assert (difference.rule, difference.subject, outcome.halted) == (Mismatch.UNREADABLE, order.client_order_id, True)
    assert "on_the_moon" in difference.found
    stored = desk.resources.ledger.order(order.client_order_id)
    assert stored is not None
    assert stored[1] is OrderState.ACCEPTED


def test_an_order_of_ours_that_cannot_be_read_keeps_nothing_else_from_being_sold(make: Any) -> None:  # noqa: F811
    desk = make()
    desk.hold(3.0)
    collect(desk.resources.ledger, desk.resources.broker, "main", NOON - dt.timedelta(days=1))
    desk.exchange.is_open = False
    odd = desk.hold(2.0, "MSFT")
    desk.exchange.by_client_id(odd.client_order_id).shows = {"status": "on_the_moon"}
    desk.exchange.is_open = True
    desk.exchange.assets["AAPL"].price = Decimal(94)
    desk.exchange.tape["AAPL"] = (Decimal(94), desk.exchange.now())

    done = check_positions(resources=desk.resources)

    assert list(done.exits.values()) == ["filled"]
    assert "AAPL" not in desk.held()


def test_a_position_of_ours_that_cannot_be_read_is_named_and_sold_by_the_ledger(make: Any) -> None:  # noqa: F811
    desk = make()
    desk.hold(3.0)
    collect(desk.resources.ledger, desk.resources.broker, "main", NOON - dt.timedelta(days=1))
    held = desk.exchange.held["AAPL"]
    desk.exchange.other_positions = [{"symbol": "AAPL", "qty": None, "side": "long", "avg_entry_price": "100"}]
    del desk.exchange.held["AAPL"]

    outcome = reconcile.reconcile(FRIDAY.isoformat(), resources=desk.resources)
    desk.exchange.held["AAPL"] = held
    desk.trade("94")
    done = check_positions(resources=desk.resources)

    assert [(each.rule, each.subject) for each in outcome.differences] == [(Mismatch.UNREADABLE, "AAPL")]
    assert list(done.exits.values()) == ["filled"]
    assert desk.exchange.held == {}


@pytest.mark.parametrize(
    "odd", [{"symbol": "TSLA", "qty": None, "side": "long"}, {"symbol": "TSLA240119C00190000", "qty": "1"}]
)
def test_a_position_of_somebody_else_that_cannot_be_read_is_named(make: Any, odd: dict[str, Any]) -> None:  # noqa: F811
    desk = held_with(make, lambda desk: desk.exchange.other_positions.append(odd))

    outcome = reconcile.reconcile(FRIDAY.isoformat(), resources=desk.resources)
    flatten("test", resources=desk.resources)

    assert [(each.rule, each.subject) for each in outcome.differences] == [(Mismatch.EXTERNAL_POSITION, odd["symbol"])]
    assert desk.held() == {}


def test_an_exit_without_an_answer_keeps_no_other_from_being_sold(make: Any) -> None:  # noqa: F811
    desk = held_with(make, lambda _: None)
    desk.alpaca.fail("POST", "/v2/orders", Fault.broken(500), times=1)
    desk.alpaca.fail("GET", "/v2/orders:by_client_order_id", Fault.broken(500), times=3)

    with pytest.raises(RetryLater):
        flatten("test", resources=desk.resources)

    assert list(desk.exchange.held) == ["AAPL"]
    desk.alpaca.recover()
    flatten("test", resources=desk.resources)
    assert (desk.held(), desk.exchange.held) == ({}, {})
