"""What the paper broker does beyond the backtest's rules: limits, stops, fills in parts, buying power, grids."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from core.models import Instrument, OrderIntent, OrderState, OrderType, Refused, VenuePosition
from tests.standins.memory_book import MemoryBook
from tests.unit.trading.brokers.test_orders_and_paper import FREE, MONDAY, TUESDAY, WEDNESDAY, bars, buy
from trading.brokers.paper import PaperBroker, PaperRules
from trading.brokers.placing import cancel, place
from trading.costs import Costs
from trading.orders import exit_order
from trading.portfolio import trades_of

if TYPE_CHECKING:
    from collections.abc import Callable

THURSDAY = dt.date(2018, 12, 20)


@pytest.fixture
def book() -> MemoryBook:
    return MemoryBook()


def at(**prices: float) -> Callable[[str, dt.date], float | None]:
    return lambda symbol, session: prices.get(symbol) if session == MONDAY else None


def of_type(kind: OrderType, price: str, order: OrderIntent | None = None) -> OrderIntent:
    field = "limit_price" if kind is OrderType.LIMIT else "stop_price"
    return replace(order or buy(stop=float("nan")), order_type=kind, **{field: Decimal(price)})


@pytest.mark.parametrize(
    ("kind", "price", "paid"),
    [
        (OrderType.LIMIT, "101", "100.0"),  # the open is better than the limit
        (OrderType.LIMIT, "98", "98.0"),  # reached within the bar, without slippage
        (OrderType.LIMIT, "96", None),
        (OrderType.STOP, "99", "101.0"),  # the open is beyond the stop; 1 % slippage
        (OrderType.STOP, "102", "103.02"),
        (OrderType.STOP, "104", None),
    ],
)
def test_limits_and_stops_fill_where_the_bar_reaches_them_or_expire(
    book: MemoryBook, kind: OrderType, price: str, paid: str | None
) -> None:
    broker = PaperBroker(book, Costs(0.0, 100.0))
    order = of_type(kind, price)
    place(book, broker, [order])

    fills = broker.advance(TUESDAY, bars(TUESDAY, 100, 103, 97, 100))

    assert [fill.price for fill in fills] == ([] if paid is None else [Decimal(paid)])
    assert book.orders[order.client_order_id][1] is (OrderState.EXPIRED if paid is None else OrderState.FILLED)


def test_a_limit_exit_waits_until_it_is_reached(book: MemoryBook) -> None:
    broker = PaperBroker(book, FREE)
    place(book, broker, [buy(stop=float("nan"))])
    broker.advance(TUESDAY, bars(TUESDAY, 100, 101, 99, 100))
    leave = exit_order(book.positions("main")[0], decision_session=TUESDAY, session=WEDNESDAY)
    place(book, broker, [of_type(OrderType.LIMIT, "105", leave)])

    assert broker.advance(WEDNESDAY, bars(WEDNESDAY, 100, 104, 99, 100)) == []
    (fill,) = broker.advance(THURSDAY, bars(THURSDAY, 100, 106, 99, 100))

    assert fill.price == Decimal("105.0")


def thin(day: dt.date, open_: float, low: float, volume: float) -> Any:
    return bars(day, open_, 101, low, 100).assign(volume=volume)


def test_an_order_takes_its_share_of_the_volume_and_the_rest_of_an_entry_expires(book: MemoryBook) -> None:
    broker = PaperBroker(book, FREE, rules=PaperRules(volume_share=0.1))
    place(book, broker, [buy(stop=5.0)])

    for _ in range(2):
        fills = broker.advance(TUESDAY, thin(TUESDAY, 100, 99, 60))

    assert fills == []
    assert book.filled(buy().client_order_id) == 6
    assert book.orders[buy().client_order_id][1] is OrderState.EXPIRED
    assert broker.positions() == [VenuePosition("AAA", Decimal(6), Decimal("100.0"))]
    view = broker.find(buy().client_order_id)
    assert view is not None
    assert (view.state, view.filled_quantity, view.average_price) == (OrderState.EXPIRED, Decimal(6), Decimal(100))


def test_a_stop_in_a_thin_market_leaves_in_parts_and_makes_one_trade(book: MemoryBook) -> None:
    broker = PaperBroker(book, FREE, rules=PaperRules(volume_share=0.1))
    place(book, broker, [buy(stop=5.0)])
    broker.advance(TUESDAY, thin(TUESDAY, 100, 99, 1000))

    for day, open_, volume in ((WEDNESDAY, 96, 40), (THURSDAY, 90, 20), (dt.date(2018, 12, 21), 80, 400)):
        broker.advance(day, thin(day, open_, 94, volume))
        broker.advance(day, thin(day, open_, 94, volume))

    fills = [(fill.quantity, fill.price, fill.reason) for _, fill in book.fills("main")[1:]]
    assert fills == [
        (Decimal(4), Decimal("95.0"), "stop"),
        (Decimal(2), Decimal("90.0"), "stop"),
        (Decimal(4), Decimal("80.0"), "stop"),
    ]
    (trade,) = trades_of(book.fills("main")).to_dict("records")
    assert trade["exit_price"] == pytest.approx((4 * 95 + 2 * 90 + 4 * 80) / 10)
    assert trade["pnl_usd"] == pytest.approx(880 - 1000)
    assert (trade["quantity"], trade["reason"]) == (10.0, "stop")
    assert broker.cash_usd() == 100_000 - 120
    assert broker.positions() == []
    assert broker.open_orders() == []


@pytest.mark.parametrize(
    ("cash", "state"), [(1_000.0, OrderState.ACCEPTED), (999.0, OrderState.REJECTED), (-5.0, OrderState.REJECTED)]
)
def test_an_entry_must_be_covered_by_buying_power(book: MemoryBook, cash: float, state: OrderState) -> None:
    broker = PaperBroker(book, FREE, initial_cash_usd=cash, rules=PaperRules(price_of=at(AAA=100.0)))

    assert place(book, broker, [buy()])[buy().client_order_id] is state
    if state is OrderState.REJECTED:
        assert broker.submit(buy()).refused is Refused.BUYING_POWER


def test_buying_power_counts_what_is_ordered_already_and_never_holds_an_exit_back(book: MemoryBook) -> None:
    broker = PaperBroker(book, FREE, initial_cash_usd=1_500.0, rules=PaperRules(price_of=at(AAA=100.0, BBB=100.0)))

    states = place(book, broker, [buy(), buy("BBB")])
    broker.advance(TUESDAY, bars(TUESDAY, 100, 101, 99, 100))
    leave = exit_order(book.positions("main")[0], decision_session=TUESDAY, session=WEDNESDAY)

    assert list(states.values()) == [OrderState.ACCEPTED, OrderState.REJECTED]
    assert place(book, broker, [leave]) == {leave.client_order_id: OrderState.ACCEPTED}


def test_without_a_price_there_is_no_buying_power_to_measure(book: MemoryBook) -> None:
    broker = PaperBroker(book, FREE, rules=PaperRules(price_of=at()))

    assert broker.submit(buy()).refused is Refused.UNKNOWN_SYMBOL


@pytest.mark.parametrize(
    ("instrument", "order", "refused"),
    [
        (Instrument("AAA", Decimal(1)), replace(buy(), quantity=Decimal("1.5")), Refused.QUANTITY),
        (Instrument("AAA", min_quantity=Decimal(20)), buy(), Refused.QUANTITY),
        (Instrument("AAA"), replace(buy(), quantity=Decimal(0)), Refused.QUANTITY),
        (Instrument("AAA"), replace(buy(), quantity=Decimal(-1)), Refused.QUANTITY),
        (Instrument("AAA", price_tick=Decimal("0.01")), of_type(OrderType.LIMIT, "10.005"), Refused.PRICE),
        (Instrument("AAA"), of_type(OrderType.STOP, "-3"), Refused.PRICE),
        (Instrument("AAA", min_notional_usd=Decimal(100)), of_type(OrderType.LIMIT, "9.99"), Refused.NOTIONAL),
        (Instrument("AAA", min_notional_usd=Decimal(100)), of_type(OrderType.LIMIT, "10"), None),
        (Instrument("AAA", min_notional_usd=Decimal(100)), buy(), None),
    ],
)
def test_an_order_off_the_grid_is_refused_by_name(
    book: MemoryBook, instrument: Instrument, order: OrderIntent, refused: Refused | None
) -> None:
    broker = PaperBroker(book, FREE, rules=PaperRules(instruments={"AAA": instrument}))

    assert broker.submit(order).refused is refused


def test_a_quantity_is_rounded_down_to_the_step() -> None:
    assert Instrument("AAA", Decimal("0.5")).rounded(Decimal("1.99")) == Decimal("1.5")


def test_a_cancelled_order_is_not_filled(book: MemoryBook) -> None:
    broker = PaperBroker(book, FREE)
    place(book, broker, [buy()])

    assert cancel(book, broker, buy().client_order_id, "called off") is OrderState.CANCELLED
    assert broker.advance(TUESDAY, bars(TUESDAY, 100, 101, 99, 100)) == []
    assert broker.cancel(buy().client_order_id).refused is Refused.TOO_LATE
    assert broker.cancel("unknown").refused is Refused.UNKNOWN_ORDER


def test_a_cancellation_interrupted_by_a_crash_is_done_in_its_session(book: MemoryBook) -> None:
    broker = PaperBroker(book, FREE)
    place(book, broker, [buy()])
    book.transition(buy().client_order_id, OrderState.CANCEL_PENDING)

    assert broker.advance(TUESDAY, bars(TUESDAY, 100, 101, 99, 100)) == []
    assert book.orders[buy().client_order_id][1] is OrderState.CANCELLED


def test_two_strategies_in_one_symbol_are_one_position_at_the_venue(book: MemoryBook) -> None:
    broker = PaperBroker(book, FREE)
    other = replace(buy(), strategy="rsi", client_order_id="other", quantity=Decimal(30))
    place(book, broker, [buy(), other])

    broker.advance(TUESDAY, bars(TUESDAY, 100, 101, 99, 100))

    assert broker.positions() == [VenuePosition("AAA", Decimal(40), Decimal(100))]
    assert len(broker.fills(dt.datetime(2018, 12, 18, tzinfo=dt.UTC))) == 2
    assert broker.fills(dt.datetime(2018, 12, 19, tzinfo=dt.UTC)) == []
