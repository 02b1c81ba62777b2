"""Rows of an Alpaca account that the desk did not send and cannot read cost no row of its own."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from core.errors import RetryLater, UnreadableAnswer
from core.models import OrderState
from tests.standins.alpaca import AlpacaStandIn, Fault
from tests.standins.venues import LONG_AGO, AlpacaVenue, entry, held, send, state
from trading.orders import exit_order

if TYPE_CHECKING:
    from collections.abc import Iterator

DOLLARS = {"symbol": "MSFT", "notional": "500", "side": "buy", "type": "market", "time_in_force": "day"}
BY_HAND = {"symbol": "MSFT", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day", "client_order_id": "by-hand"}
LEGS = {"id": "9", "client_order_id": "spread", "symbol": "", "side": "", "order_class": "mleg", "qty": "1", "status": "new"}
ODD_ROWS: list[Any] = [None, 7, "order", [], {}, {"id": None}, {"symbol": "AAPL"}, LEGS]


@pytest.fixture
def venue() -> Iterator[AlpacaVenue]:
    with AlpacaStandIn() as stand_in:
        yield AlpacaVenue(stand_in)


def test_an_order_in_dollars_is_named_and_costs_no_other(venue: AlpacaVenue) -> None:
    order = entry(10)
    send(venue, order)
    venue.exchange.submit(DOLLARS | {"client_order_id": "by-hand"})

    listing = venue.broker.open_orders()

    assert [view.client_order_id for view in listing] == [order.client_order_id]
    (odd,) = listing.unreadable
    assert (odd.client_order_id, odd.symbol, odd.problem) == ("by-hand", "MSFT", "an order in dollars, without a quantity")
    assert "notional 500" in odd.found


@pytest.mark.parametrize(
    "shows",
    [
        {"status": "on_the_moon"},
        {"status": None},
        {"side": "sell_short_exempt"},
        {"qty": "many"},
        {"qty": None},
        {"filled_qty": None},
        {"symbol": None},
        {"symbol": ""},
        {"symbol": 7},
        {"id": None},
        {"filled_avg_price": "NaN"},
    ],
    ids=str,
)
def test_an_order_with_an_odd_field_is_left_out_alone(venue: AlpacaVenue, shows: dict[str, Any]) -> None:
    order = entry(10)
    send(venue, order)
    venue.exchange.submit(BY_HAND).shows = shows

    listing = venue.broker.open_orders()

    assert [view.client_order_id for view in listing] == [order.client_order_id]
    assert [each.client_order_id for each in listing.unreadable] == ["by-hand"]


def test_rows_that_are_no_orders_at_all_are_left_out(venue: AlpacaVenue) -> None:
    order = entry(10, stop_pct=5, target_pct=10)
    send(venue, order)
    venue.exchange.other_orders = ODD_ROWS

    listing = venue.broker.open_orders()

    family = [order.client_order_id, f"{order.client_order_id}.stop", f"{order.client_order_id}.target"]
    assert [view.client_order_id for view in listing] == family
    assert len(listing.unreadable) == len(ODD_ROWS)
    assert all(each.subject for each in listing.unreadable)


def test_a_foreign_bracket_with_a_leg_of_a_kind_we_do_not_send_is_read_under_its_own_name(venue: AlpacaVenue) -> None:
    body = BY_HAND | {"order_class": "bracket", "time_in_force": "gtc", "qty": "2"}
    body |= {"take_profit": {"limit_price": "220"}, "stop_loss": {"stop_price": "180"}}  # type: ignore[dict-item]
    foreign = venue.exchange.submit(body)
    foreign.legs[0].shows = {"type": "trailing_stop", "order_type": "trailing_stop"}

    listing = venue.broker.open_orders()

    assert {"by-hand", "by-hand.stop"} <= {view.client_order_id for view in listing}
    assert len(listing) == 3


@pytest.mark.parametrize(
    "odd", [None, {"symbol": "TSLA"}, {"symbol": "TSLA", "qty": None, "side": "long"}, {"qty": "1"}], ids=str
)
def test_a_position_that_cannot_be_read_costs_no_other(venue: AlpacaVenue, odd: Any) -> None:
    send(venue, entry(10))
    venue.trade(100)
    venue.exchange.other_positions = [odd]

    found = venue.broker.positions()

    assert [(position.symbol, position.quantity) for position in found] == [("AAPL", Decimal(10))]
    assert len(found.unreadable) == 1


@pytest.mark.parametrize("odd", [{"order_id": "gone"}, {"qty": None}, {"cum_qty": "x"}, {"transaction_time": 7}], ids=str)
def test_a_fill_that_cannot_be_read_costs_no_other(venue: AlpacaVenue, odd: dict[str, Any]) -> None:
    order = entry(10)
    send(venue, order)
    venue.trade(100)
    venue.exchange.submit(BY_HAND)
    venue.exchange.open_market()
    row = venue.exchange.activities[-1]
    venue.exchange.activities.append({**row, "id": "zz", **odd})

    found = venue.broker.fills(LONG_AGO)

    assert order.client_order_id in {fill.client_order_id for fill in found}
    assert len(found.unreadable) == 1
    venue.settle()
    assert state(venue, order) is OrderState.FILLED
    assert held(venue) == 10


def test_one_order_of_ours_that_cannot_be_read_keeps_no_other_from_its_news(venue: AlpacaVenue) -> None:
    odd, good = entry(10), entry(3, "MSFT")
    send(venue, odd)
    send(venue, good)
    venue.exchange.by_client_id(odd.client_order_id).shows = {"status": "on_the_moon"}
    venue.exchange.cancel(venue.exchange.by_client_id(good.client_order_id).id)

    with pytest.raises(UnreadableAnswer, match="on_the_moon"):
        venue.broker.find(odd.client_order_id)
    venue.settle()

    assert state(venue, odd) is OrderState.ACCEPTED
    assert state(venue, good) is OrderState.CANCELLED
    assert [each.client_order_id for each in venue.broker.open_orders().unreadable] == [odd.client_order_id]


def test_an_exit_takes_its_own_children_back_beside_orders_that_cannot_be_read(venue: AlpacaVenue) -> None:
    order = entry(10, stop_pct=5, target_pct=10)
    send(venue, order)
    venue.trade(100)
    venue.exchange.submit(DOLLARS | {"symbol": "AAPL", "client_order_id": "dollars"})
    venue.exchange.submit(BY_HAND | {"symbol": "AAPL"}).shows = {"status": "on_the_moon", "side": None}
    (position,) = venue.book.positions("main")

    send(venue, exit_order(position, decision_session=venue.session, session=venue.session))
    venue.trade(101)

    assert venue.book.positions("main") == []


def test_a_silent_venue_is_not_taken_for_rows_that_cannot_be_read(venue: AlpacaVenue) -> None:
    venue.stand_in.fail("GET", "/v2/orders", Fault.broken(503))
    with pytest.raises(RetryLater) as error:
        venue.broker.open_orders()
    assert not isinstance(error.value, UnreadableAnswer)
