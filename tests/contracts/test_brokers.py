"""One contract for every broker: what `Broker` promises, whichever venue answers. Alpaca answers from a stand-in."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from core.errors import ExecutorBusy
from core.models import FINAL, Leg, OrderIntent, OrderState, OrderType, Refused, Side
from tests.standins.alpaca import AlpacaStandIn
from tests.standins.tws import TwsStandIn
from tests.standins.venues import (
    DECIDED,
    LONG_AGO,
    QUICK,
    SESSION,
    AlpacaVenue,
    IBVenue,
    PaperVenue,
    Venue,
    entry,
    held,
    send,
    state,
)
from trading.brokers.placing import cancel, place
from trading.brokers.reconcile import LedgerState, Mismatch, VenueState, compare
from trading.orders import exit_order

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["paper", "alpaca", "ib"])
def venue(request: pytest.FixtureRequest) -> Iterator[Venue]:
    if request.param == "paper":
        yield PaperVenue()
    elif request.param == "alpaca":
        with AlpacaStandIn() as stand_in:
            yield AlpacaVenue(stand_in)
    else:
        with TwsStandIn() as tws:
            found = IBVenue(tws)
            yield found
            found.wire.disconnect()


def test_an_order_that_was_sent_is_found_under_its_id(venue: Venue) -> None:
    order = entry(10)

    assert send(venue, order) is OrderState.ACCEPTED

    found = venue.broker.find(order.client_order_id)
    assert found is not None
    assert (found.symbol, found.side, found.quantity, found.state) == ("AAPL", Side.BUY, Decimal(10), OrderState.ACCEPTED)
    assert (found.filled_quantity, found.average_price) == (Decimal(0), None)


def test_an_order_that_was_never_sent_is_not_found(venue: Venue) -> None:
    assert venue.broker.find("20261123-entry-AAPL-0000000000000000") is None


def test_the_same_id_sent_twice_is_one_order(venue: Venue) -> None:
    order = entry(10)
    send(venue, order)

    again = venue.broker.submit(order)

    assert (again.state, again.refused) == (OrderState.ACCEPTED, None)
    assert [view.client_order_id for view in venue.broker.open_orders()] == [order.client_order_id]


def test_placing_again_sends_nothing(venue: Venue) -> None:
    order = entry(10)
    send(venue, order)

    assert send(venue, order) is OrderState.ACCEPTED
    assert len(venue.broker.open_orders()) == 1


def test_open_orders_are_sorted_by_id_and_lose_what_was_cancelled(venue: Venue) -> None:
    apple, microsoft = entry(10), entry(5, "MSFT")
    send(venue, microsoft)
    send(venue, apple)
    ids = [view.client_order_id for view in venue.broker.open_orders()]
    assert ids == sorted([apple.client_order_id, microsoft.client_order_id])

    cancel(venue.book, venue.broker, apple.client_order_id, "changed its mind", patience=QUICK)
    venue.settle()

    assert state(venue, apple) is OrderState.CANCELLED
    assert [view.client_order_id for view in venue.broker.open_orders()] == [microsoft.client_order_id]


def test_an_unknown_order_cannot_be_cancelled(venue: Venue) -> None:
    assert venue.broker.cancel("20261123-entry-AAPL-0000000000000000").refused is Refused.UNKNOWN_ORDER


def test_a_filled_order_cannot_be_cancelled(venue: Venue) -> None:
    order = entry(10)
    send(venue, order)
    venue.trade(100)

    answer = venue.broker.cancel(order.client_order_id)

    assert (answer.state, answer.refused) == (OrderState.FILLED, Refused.TOO_LATE)
    assert held(venue) == 10


def test_a_fill_has_quantity_price_and_side_and_moves_cash(venue: Venue) -> None:
    order = entry(10)
    send(venue, order)

    venue.trade(101.25)

    (fill,) = venue.broker.fills(LONG_AGO)
    assert (fill.client_order_id, fill.symbol, fill.side) == (order.client_order_id, "AAPL", Side.BUY)
    assert (fill.quantity, fill.price) == (Decimal(10), Decimal("101.25"))
    assert fill.fill_id.startswith(f"{venue.broker.name}-")
    assert venue.broker.cash_usd() == Decimal("98987.50")
    assert state(venue, order) is OrderState.FILLED
    found = venue.broker.find(order.client_order_id)
    assert found is not None
    assert (found.state, found.filled_quantity, found.average_price) == (OrderState.FILLED, Decimal(10), Decimal("101.25"))
    assert held(venue) == 10


def test_fills_told_twice_are_the_same_fills(venue: Venue) -> None:
    send(venue, entry(10))
    venue.trade(100)

    before = list(venue.broker.fills(LONG_AGO))
    venue.settle()

    assert venue.broker.fills(LONG_AGO) == before
    assert [fill for _, fill in venue.book.fills("main")] == before
    assert held(venue) == 10


def test_fills_start_at_the_instant_asked_for(venue: Venue) -> None:
    send(venue, entry(10))
    venue.trade(100)
    (fill,) = venue.broker.fills(LONG_AGO)

    assert venue.broker.fills(fill.filled_at) == [fill]
    assert list(venue.broker.fills(fill.filled_at + dt.timedelta(microseconds=1))) == []


def test_an_entry_filled_in_part_and_ended_leaves_the_part(venue: Venue) -> None:
    order = entry(10)
    send(venue, order)

    venue.trade(100, size=4)
    if state(venue, order) not in FINAL:
        cancel(venue.book, venue.broker, order.client_order_id, "the open is over", patience=QUICK)
        venue.settle()
    venue.trade(100)

    assert state(venue, order) in {OrderState.CANCELLED, OrderState.EXPIRED}
    assert venue.book.filled(order.client_order_id) == 4
    assert held(venue) == 4


def test_a_limit_order_waits_for_its_price(venue: Venue) -> None:
    order = replace(entry(10), order_type=OrderType.LIMIT, limit_price=Decimal("99.50"))
    send(venue, order)
    assert venue.broker.fills(LONG_AGO) == []

    venue.trade(99.25)

    (fill,) = venue.broker.fills(LONG_AGO)
    assert fill.price <= Decimal("99.50")
    assert held(venue) == 10


def test_a_limit_order_does_not_fill_above_its_price(venue: Venue) -> None:
    order = replace(entry(10), order_type=OrderType.LIMIT, limit_price=Decimal("99.50"))
    send(venue, order)

    venue.trade(99.75)

    assert venue.broker.fills(LONG_AGO) == []
    assert held(venue) == 0


@pytest.mark.parametrize(("price", "child"), [(94.0, "stop"), (111.0, "target")])
def test_a_bracket_closes_the_position_by_one_child_and_drops_the_other(venue: Venue, price: float, child: str) -> None:
    order = entry(10, stop_pct=5, target_pct=10)
    assert venue.broker.holds_brackets
    send(venue, order)
    venue.trade(100)
    assert held(venue) == 10

    venue.trade(price)

    assert held(venue) == 0
    assert venue.broker.open_orders() == []
    closing = venue.book.fills("main")[-1]
    assert closing[0].leg is Leg.EXIT
    assert closing[1].reason.startswith(child)


def test_an_exit_closes_the_position_and_takes_its_children_along(venue: Venue) -> None:
    send(venue, entry(10, stop_pct=5, target_pct=10))
    venue.trade(100)
    (position,) = venue.book.positions("main")

    leaving = exit_order(position, decision_session=SESSION, session=venue.session)
    send(venue, leaving)
    venue.trade(102)

    assert state(venue, leaving) is OrderState.FILLED
    assert held(venue) == 0
    assert venue.broker.open_orders() == []
    assert venue.broker.cash_usd() == 100_020


def test_a_short_sale_is_a_negative_position(venue: Venue) -> None:
    send(venue, entry(-10))

    venue.trade(100)

    assert held(venue) == -10
    assert venue.broker.cash_usd() == 101_000


@pytest.mark.parametrize(
    ("order", "refused"),
    [
        (entry(0), Refused.QUANTITY),
        (entry(1100), Refused.BUYING_POWER),
        (entry(10, "NOSUCH"), Refused.UNKNOWN_SYMBOL),
        (replace(entry(10), order_type=OrderType.LIMIT, limit_price=Decimal(-1)), Refused.PRICE),
    ],
)
def test_a_refusal_has_a_name_and_words_and_leaves_nothing_behind(venue: Venue, order: OrderIntent, refused: Refused) -> None:
    answer = venue.broker.submit(order)

    assert (answer.state, answer.refused) == (OrderState.REJECTED, refused)
    assert answer.reason
    assert venue.broker.open_orders() == []


def test_the_account_is_cash_and_what_is_held(venue: Venue) -> None:
    send(venue, entry(10))
    venue.trade(100)

    worth = venue.broker.account({"AAPL": 100.0})

    assert (worth.cash_usd, worth.equity_usd, worth.exposure_usd) == (99_000.0, 100_000.0, 1_000.0)


@pytest.mark.parametrize("written", ["NaN", "Infinity"])
def test_a_figure_that_is_no_number_is_nan_and_not_money(venue: Venue, written: str) -> None:
    if isinstance(venue, PaperVenue):
        pytest.skip("the paper broker's cash is the book's")
    venue.exchange.cash = Decimal(written)

    worth = venue.broker.account({})

    assert (math.isnan(worth.cash_usd), math.isnan(worth.equity_usd), venue.broker.cash_usd().is_nan()) == (True, True, True)


def test_an_instrument_has_a_grid_that_its_orders_must_be_on(venue: Venue) -> None:
    grid = venue.broker.instrument("AAPL")

    assert grid.symbol == "AAPL"
    assert grid.rounded(Decimal("10.00000000001")) == 10
    assert grid.objection(entry(10)) is None
    assert grid.objection(entry(0)) is not None


def differences(venue: Venue, closed: dt.date) -> list[tuple[Mismatch, str]]:
    """Names of the differences between book and venue after a session has closed."""
    orders, broker = venue.book.open_orders("main"), venue.broker
    ids = [order.client_order_id for order, _ in orders]
    filled = {order_id: venue.book.filled(order_id) for order_id in ids}
    ours = LedgerState(orders, venue.book.positions("main"), broker.cash_usd(), frozenset(ids), filled)
    theirs = VenueState({each: broker.find(each) for each in ids}, broker.open_orders(), broker.positions(), broker.cash_usd())
    return [(each.rule, each.subject) for each in compare(ours, theirs, closed, cash_tolerance_usd=Decimal(0))]


@pytest.mark.parametrize("believed", [OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED, OrderState.CANCEL_PENDING])
def test_an_order_that_the_venue_lost_is_named_whatever_the_book_believes(venue: Venue, believed: OrderState) -> None:
    order = entry(10)
    send(venue, order)
    if believed is OrderState.PARTIALLY_FILLED:
        venue.trade(100, size=4)
    if believed is OrderState.CANCEL_PENDING:
        venue.book.transition(order.client_order_id, OrderState.CANCEL_PENDING)
    if not venue.lose(order):
        assert differences(venue, DECIDED) == []
        return

    venue.settle()

    assert state(venue, order) is believed
    assert differences(venue, DECIDED) == [(Mismatch.NOT_LISTED, order.client_order_id)]
    assert differences(venue, SESSION) == [(Mismatch.VANISHED, order.client_order_id)]


def test_an_order_that_was_just_filled_is_not_lost(venue: Venue) -> None:
    order = entry(10)
    send(venue, order)

    venue.trade(100)

    assert differences(venue, SESSION) == []
    assert state(venue, order) is OrderState.FILLED


@pytest.mark.parametrize("leaving", [False, True])
def test_behind_a_fence_that_closed_nothing_reaches_the_venue(venue: Venue, leaving: bool) -> None:
    """Neither the order, nor the cancellation of the children in its way."""

    def closed() -> None:
        raise ExecutorBusy("another executor has taken over")

    order, working = entry(10, stop_pct=5, target_pct=10), []
    if leaving:
        send(venue, order)
        venue.trade(100)
        working = [view.client_order_id for view in venue.broker.open_orders()]
        (position,) = venue.book.positions("main")
        order = exit_order(position, decision_session=SESSION, session=venue.session)
    venue.book.record_intents([order])

    with pytest.raises(ExecutorBusy):
        place(venue.book, venue.broker, [order], fence=closed, patience=QUICK)

    if venue.name != "paper":
        assert venue.broker.find(order.client_order_id) is None
        assert [view.client_order_id for view in venue.broker.open_orders()] == working
    assert state(venue, order) is OrderState.SUBMITTED, "whoever works on it now looks it up"
    assert send(venue, order) is OrderState.ACCEPTED
