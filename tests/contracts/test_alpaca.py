"""What Alpaca may do to an order, and what only Alpaca has: faults, refusals, fractions, crypto, brackets, secrets."""

from __future__ import annotations

import datetime as dt
import json
import logging
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from alpaca.common.enums import BaseURL
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from core.errors import ConfigError, RetryLater, UnknownSymbol
from core.models import OrderIntent, OrderState, OrderType, Refused
from tests.properties import examples
from tests.standins.alpaca import ALWAYS, KEY, SECRET, AlpacaStandIn, Fault
from tests.standins.venues import LONG_AGO, SESSION, AlpacaVenue, entry, held, send, state
from trading.brokers.alpaca.broker import AlpacaBroker
from trading.brokers.alpaca.wire import AlpacaClient
from trading.brokers.placing import Patience, place

if TYPE_CHECKING:
    from collections.abc import Iterator

FAULTS = {
    "no answer, order taken": Fault.no_answer(performs=True),
    "no answer, order lost": Fault.no_answer(performs=False),
    "connection cut, order taken": Fault.dropped(performs=True),
    "connection cut, order lost": Fault.dropped(performs=False),
    "429 with Retry-After": Fault.too_many(0.02),
    **{f"{status}, order lost": Fault.broken(status, performs=False) for status in (500, 502, 503, 504)},
    **{f"{status}, order taken": Fault.broken(status, performs=True) for status in (500, 502, 503, 504)},
    "200 with a page, order taken": Fault.garbage(),
    "200 with nothing, order taken": Fault.garbage(""),
    "200 with null, order taken": Fault.garbage("null"),
    "200 with a list, order taken": Fault.garbage("[]"),
    "200 with fields missing, order taken": Fault.garbage('{"id": "904837e3-3b76-47ec-b432-046db621571b"}'),
    "400 from a proxy, order lost": Fault(status=400, body="<html>Bad Request</html>"),
}
PATIENT = Patience(deadline_seconds=20.0, first_wait_seconds=0.001, longest_wait_seconds=0.002)
HASTY = Patience(deadline_seconds=0.0, first_wait_seconds=0.001, longest_wait_seconds=0.002)


@pytest.fixture
def venue() -> Iterator[AlpacaVenue]:
    with AlpacaStandIn() as stand_in:
        yield AlpacaVenue(stand_in)


@pytest.fixture
def fractional() -> Iterator[AlpacaVenue]:
    with AlpacaStandIn() as stand_in:
        yield AlpacaVenue(stand_in, brackets=False)


def posts(venue: AlpacaVenue) -> int:
    return venue.stand_in.requests.count(("POST", "/v2/orders"))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_proves_nothing_and_the_order_is_placed_exactly_once(venue: AlpacaVenue, fault: Fault) -> None:
    order = entry(10)
    venue.stand_in.fail("POST", "/v2/orders", fault)

    placed = place(venue.book, venue.broker, [order], patience=PATIENT)

    assert placed == {order.client_order_id: OrderState.ACCEPTED}
    assert [known.client_order_id for known in venue.exchange.orders.values()] == [order.client_order_id]
    assert posts(venue) == (1 if fault.performs else 2)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_without_an_answer_the_order_is_unknown_never_rejected(venue: AlpacaVenue, fault: Fault) -> None:
    order = entry(10)
    venue.stand_in.fail("POST", "/v2/orders", fault, times=ALWAYS)

    with pytest.raises(RetryLater, match="Alpaca"):
        place(venue.book, venue.broker, [order], patience=HASTY)

    assert state(venue, order) is OrderState.UNKNOWN
    assert posts(venue) == 1  # neither alpaca-py nor the adapter asked again


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_lookup_without_an_answer_is_asked_again_before_anything_is_sent(venue: AlpacaVenue, fault: Fault) -> None:
    order = entry(10)
    venue.stand_in.fail("POST", "/v2/orders", Fault.dropped(performs=True))
    venue.stand_in.fail("GET", "/v2/orders", replace(fault, performs=False), times=2)

    assert place(venue.book, venue.broker, [order], patience=PATIENT)[order.client_order_id] is OrderState.ACCEPTED

    assert len(venue.exchange.orders) == 1
    assert posts(venue) == 1


@given(data=st.data())
@settings(max_examples=examples(60), deadline=None)
def test_any_schedule_of_faults_ends_with_one_order_for_each_intent(data: st.DataObject) -> None:
    faults = {name: fault for name, fault in FAULTS.items() if not fault.hold}
    kinds = st.sampled_from(sorted(faults))
    orders = [entry(10), entry(5, "MSFT"), replace(entry(2), client_order_id="third", symbol="AAPL")]
    with AlpacaStandIn() as stand_in:
        venue = AlpacaVenue(stand_in)
        for method in ("POST", "GET"):
            for kind in data.draw(st.lists(kinds, max_size=6), label=method):
                stand_in.fail(method, "/v2/orders", faults[kind])

        placed = place(venue.book, venue.broker, orders, patience=PATIENT)

        assert set(placed.values()) == {OrderState.ACCEPTED}
        sent = sorted(known.client_order_id for known in stand_in.exchange.orders.values())
        assert sent == sorted(order.client_order_id for order in orders)


def test_a_venue_that_asks_for_a_pause_says_how_long(venue: AlpacaVenue) -> None:
    venue.stand_in.fail("POST", "/v2/orders", Fault.too_many(7))

    with pytest.raises(RetryLater) as caught:
        venue.broker.submit(entry(10))

    assert caught.value.retry_after_seconds == 7.0


@pytest.mark.parametrize("reading", ["positions", "cash_usd", "open_orders", "clock"])
@pytest.mark.parametrize(
    "fault", [Fault.broken(503), Fault.garbage(), Fault.garbage('{"cash": "much"}'), Fault.dropped(performs=False)]
)
def test_reading_without_an_answer_can_be_tried_again(venue: AlpacaVenue, reading: str, fault: Fault) -> None:
    venue.stand_in.fail("GET", "/v2/", fault)

    with pytest.raises(RetryLater):
        getattr(venue.broker, reading)()

    getattr(venue.broker, reading)()


def test_a_status_that_alpaca_invents_is_an_answer_that_cannot_be_read(venue: AlpacaVenue) -> None:
    order = entry(10)
    send(venue, order)
    venue.exchange.by_client_id(order.client_order_id).status = "quantum"

    with pytest.raises(RetryLater, match="quantum"):
        venue.broker.find(order.client_order_id)


def test_an_order_turned_down_after_it_was_accepted_is_rejected(venue: AlpacaVenue) -> None:
    order = entry(10)
    send(venue, order)
    venue.exchange.refuse_later(order.client_order_id)

    venue.settle()

    assert state(venue, order) is OrderState.REJECTED


# Refusals.


def refuse(venue: AlpacaVenue, status: int, code: int, message: str) -> Refused | None:
    body = json.dumps({"code": code, "message": message})
    venue.stand_in.fail("POST", "/v2/orders", Fault(status=status, body=body))
    answer = venue.broker.submit(entry(10))
    assert answer.state is OrderState.REJECTED
    assert answer.reason == message
    return answer.refused


@pytest.mark.parametrize(
    ("status", "code", "message", "refused"),
    [
        (403, 40310000, "insufficient buying power", Refused.BUYING_POWER),
        (403, 40310000, "insufficient day trading buying power", Refused.BUYING_POWER),
        (403, 40310000, "insufficient balance for USD (requested: 500, available: 10)", Refused.BUYING_POWER),
        (403, 40310100, "trade denied due to pattern day trading protection", Refused.DAY_TRADES),
        (403, 40310000, "trading in AAPL is halted", Refused.HALTED),
        (422, 42210000, 'asset "AAPL" not found', Refused.UNKNOWN_SYMBOL),
        (422, 42210000, 'asset "AAPL" is not tradable', Refused.UNKNOWN_SYMBOL),
        (422, 42210000, "asset AAPL is not active", Refused.UNKNOWN_SYMBOL),
        (422, 42210000, 'asset "AAPL" cannot be sold short', Refused.NOT_SHORTABLE),
        (403, 40310000, "account is not allowed to short", Refused.NOT_SHORTABLE),
        (403, 40310000, "insufficient qty available for order (requested: 10, available: 0)", Refused.QUANTITY),
        (422, 42210000, "fractional orders must be DAY orders", Refused.QUANTITY),
        (403, 40310000, "cost basis must be >= minimal amount of order 1", Refused.NOTIONAL),
        (422, 42210000, "take_profit.limit_price must be >= base_price + 0.01", Refused.PRICE),
        (403, 40310000, "new orders are rejected by user request", Refused.ACCOUNT),
        (422, 42210000, "market is closed", Refused.MARKET_CLOSED),
        (422, 42210000, "potential wash trade detected. use complex orders", Refused.OTHER),
    ],
)
def test_a_refusal_is_named_and_keeps_alpacas_words(
    venue: AlpacaVenue, status: int, code: int, message: str, refused: Refused
) -> None:
    assert refuse(venue, status, code, message) is refused


def test_a_price_off_the_tick_is_refused_by_name(venue: AlpacaVenue) -> None:
    answer = venue.broker.submit(replace(entry(10), order_type=OrderType.LIMIT, limit_price=Decimal("99.505")))

    assert (answer.state, answer.refused) == (OrderState.REJECTED, Refused.PRICE)
    assert "sub-penny" in answer.reason
    assert venue.exchange.orders == {}


def test_without_the_second_switch_orders_go_to_the_paper_account() -> None:
    keys = SecretStr(KEY), SecretStr(SECRET)

    assert AlpacaClient(*keys)._base_url == BaseURL.TRADING_PAPER
    assert AlpacaClient(*keys, live=True)._base_url == BaseURL.TRADING_LIVE
    assert AlpacaClient(*keys, live=True, url="http://127.0.0.1:9")._base_url == BaseURL.TRADING_LIVE


def test_a_halted_symbol_and_a_day_trade_are_refused_by_the_venue_itself(venue: AlpacaVenue) -> None:
    venue.exchange.assets["AAPL"].halted = True
    assert venue.broker.submit(entry(10)).refused is Refused.HALTED

    venue.exchange.trading_blocked = True
    assert venue.broker.submit(entry(5, "MSFT")).refused is Refused.ACCOUNT


def test_keys_that_are_not_accepted_are_a_setting_to_change(venue: AlpacaVenue) -> None:
    client = AlpacaClient(SecretStr(KEY), SecretStr("wrong-secret-wrong-secret"), url=venue.stand_in.url)

    with pytest.raises(ConfigError, match="VENUE__ALPACA__API_KEY") as caught:
        AlpacaBroker(client).submit(entry(10))

    assert "wrong-secret" not in str(caught.value)
    assert venue.exchange.orders == {}


# Fractions and crypto.


def test_a_fraction_of_a_share_is_bought_to_the_last_decimal(fractional: AlpacaVenue) -> None:
    order = entry(0.123456789, stop_pct=5)
    assert not fractional.broker.holds_brackets

    send(fractional, order)
    fractional.trade(100)

    assert held(fractional) == Decimal("0.123456789")
    body = fractional.stand_in.bodies[0]
    assert (body["qty"], body["time_in_force"], body.get("order_class")) == ("0.123456789", "day", None)


def test_a_quantity_finer_than_alpaca_takes_is_refused_before_it_is_sent(fractional: AlpacaVenue) -> None:
    assert fractional.broker.submit(entry(0.1234567891)).refused is Refused.QUANTITY
    assert posts(fractional) == 0


def test_crypto_is_traded_around_the_clock_under_alpacas_spelling(fractional: AlpacaVenue) -> None:
    order = entry(0.01, "BTC-USD", stop_pct=5)
    fractional.exchange.is_open = False

    assert fractional.broker.submit(order).state is OrderState.FILLED

    assert [(body["symbol"], body["time_in_force"]) for body in fractional.stand_in.bodies] == [("BTC/USD", "gtc")]
    (position,) = fractional.broker.positions()
    assert (position.symbol, position.quantity) == ("BTC-USD", Decimal("0.01"))
    (fill,) = fractional.broker.fills(LONG_AGO)
    assert (fill.symbol, fill.session) == ("BTC-USD", fill.filled_at.date())


@pytest.mark.parametrize(
    ("order", "refused"),
    [
        (entry(0.5, stop_pct=5), Refused.QUANTITY),
        (entry(0.01, "BTC-USD", stop_pct=5), Refused.OTHER),
        (entry(10, "TSLA", stop_pct=5), Refused.PRICE),
    ],
)
def test_an_entry_whose_stop_alpaca_cannot_hold_is_not_sent(venue: AlpacaVenue, order: OrderIntent, refused: Refused) -> None:
    answer = venue.broker.submit(order)

    assert (answer.state, answer.refused) == (OrderState.REJECTED, refused)
    assert posts(venue) == 0


def test_the_grid_is_that_of_the_asset(venue: AlpacaVenue, fractional: AlpacaVenue) -> None:
    fractional.exchange.list_asset("BRK.A", "600000", fractionable=False)

    assert venue.broker.instrument("AAPL").quantity_step == 1
    assert fractional.broker.instrument("AAPL").quantity_step == Decimal("0.000000001")
    assert fractional.broker.instrument("BRK-A").quantity_step == 1
    crypto = fractional.broker.instrument("BTC-USD")
    assert (crypto.min_quantity, crypto.price_tick) == (Decimal("0.0001"), Decimal("0.01"))


def test_an_unknown_or_delisted_symbol_has_no_grid(venue: AlpacaVenue) -> None:
    venue.exchange.list_asset("GONE", "1", tradable=False)

    for symbol in ("NOSUCH", "GONE"):
        with pytest.raises(UnknownSymbol, match=symbol):
            venue.broker.instrument(symbol)


# Brackets.


def test_a_bracket_is_reckoned_from_the_last_price_and_then_from_the_fill(venue: AlpacaVenue) -> None:
    order = entry(10, stop_pct=5, target_pct=10)
    send(venue, order)
    body = venue.stand_in.bodies[0]
    assert (body["order_class"], body["time_in_force"]) == ("bracket", "gtc")
    assert (body["stop_loss"], body["take_profit"]) == ({"stop_price": 95.0}, {"limit_price": 110.0})
    venue.trade(101.01)

    (position,) = venue.book.positions("main")
    assert isinstance(venue.broker, AlpacaBroker)
    moved = venue.broker.move_children(order.client_order_id, position.stop_price, position.target_price)

    assert moved == 2  # 5 % below and 10 % above 101.01: 95.9595 and 111.111
    prices = {leg.type: leg.stop_price or leg.limit_price for leg in venue.exchange.by_client_id(order.client_order_id).legs}
    assert prices == {"stop": Decimal("95.96"), "limit": Decimal("111.11")}
    assert venue.broker.move_children(order.client_order_id, position.stop_price, position.target_price) == 0


def test_no_open_within_the_gap_allowed_for_wakes_a_child(venue: AlpacaVenue) -> None:
    """5 % under an open at 96 is 91.20, 10 % over one at 104 is 114.40; a short's are on the other sides."""
    client = AlpacaClient(SecretStr(KEY), SecretStr(SECRET), url=venue.stand_in.url)
    venue.broker = AlpacaBroker(client, {"AAPL": 100.0}.get, gap_pct=4)

    send(venue, entry(10, stop_pct=5, target_pct=10))
    venue.broker.submit(replace(entry(-10, stop_pct=5, target_pct=10), client_order_id="short"))

    children = [(body["stop_loss"]["stop_price"], body["take_profit"]["limit_price"]) for body in venue.stand_in.bodies]
    assert children == [(91.2, 114.4), (109.2, 86.4)]


@pytest.mark.parametrize(
    ("stop_pct", "target_pct", "child"), [(5.0, float("nan"), "stop_loss"), (float("nan"), 10.0, "take_profit")]
)
def test_a_stop_or_a_target_alone_is_a_child_alone(venue: AlpacaVenue, stop_pct: float, target_pct: float, child: str) -> None:
    send(venue, entry(10, stop_pct=stop_pct, target_pct=target_pct))

    body = venue.stand_in.bodies[0]
    assert body["order_class"] == "oto"
    assert {"stop_loss", "take_profit"} & set(body) == {child}


def test_children_are_named_after_their_entry_by_a_process_that_did_not_send_it(venue: AlpacaVenue) -> None:
    order = entry(10, stop_pct=5, target_pct=10)
    send(venue, order)
    venue.trade(101)
    assert isinstance(venue.broker, AlpacaBroker)
    venue.broker.move_children(order.client_order_id, Decimal("95.95"), Decimal("111.10"))

    other = AlpacaBroker(AlpacaClient(SecretStr(KEY), SecretStr(SECRET), url=venue.stand_in.url))

    names = [f"{order.client_order_id}.stop", f"{order.client_order_id}.target"]
    assert [view.client_order_id for view in other.open_orders()] == names
    venue.trade(94)
    another = AlpacaBroker(AlpacaClient(SecretStr(KEY), SecretStr(SECRET), url=venue.stand_in.url))
    assert [fill.client_order_id for fill in another.fills(LONG_AGO)] == [order.client_order_id, names[0]]
    assert held(venue) == 0


def test_a_stop_filled_in_parts_closes_the_position_part_by_part(venue: AlpacaVenue) -> None:
    send(venue, entry(10, stop_pct=5, target_pct=10))
    venue.trade(100)

    venue.trade(94, size=4)
    assert held(venue) == 6
    venue.trade(93, size=6)

    assert held(venue) == 0
    closing = [fill for _, fill in venue.book.fills("main")][1:]
    assert [(fill.quantity, fill.price, fill.reason) for fill in closing] == [(4, 94, "stop"), (6, 93, "stop")]


def test_an_exit_that_finds_its_stop_filled_is_refused_and_sells_nothing(venue: AlpacaVenue) -> None:
    from trading.orders import exit_order

    send(venue, entry(10, stop_pct=5, target_pct=10))
    venue.trade(100)
    (position,) = venue.book.positions("main")
    venue.exchange.is_open = True
    venue.exchange.trade("AAPL", "94")
    venue.exchange.assets["AAPL"].shortable = False
    leaving = exit_order(position, decision_session=SESSION, session=venue.session)

    answer = venue.broker.submit(leaving)

    assert answer.state is OrderState.REJECTED
    venue.settle()
    assert held(venue) == 0


def test_a_stop_order_of_its_own_waits_for_its_price(venue: AlpacaVenue) -> None:
    order = replace(entry(10), order_type=OrderType.STOP, stop_price=Decimal("105.00"))
    send(venue, order)

    venue.trade(104)
    assert held(venue) == 0
    venue.trade(106)

    assert held(venue) == 10


def test_a_limit_order_without_a_price_is_not_sent(venue: AlpacaVenue) -> None:
    answer = venue.broker.submit(replace(entry(10), order_type=OrderType.LIMIT))

    assert answer.state is OrderState.REJECTED
    assert posts(venue) == 0


# Long lists, the clock, the calendar.


def test_fills_and_open_orders_are_read_page_by_page(venue: AlpacaVenue) -> None:
    venue.exchange.cash = Decimal(10**9)
    body = {"symbol": "AAPL", "qty": "1", "side": "buy", "time_in_force": "day"}
    for index in range(250):
        venue.exchange.submit(body | {"type": "market", "client_order_id": f"market-{index:03d}"})
    venue.trade(100)
    for index in range(620):
        venue.exchange.submit(body | {"type": "limit", "limit_price": "1", "client_order_id": f"limit-{index:03d}"})

    assert len(venue.broker.fills(LONG_AGO)) == 250
    assert [view.client_order_id for view in venue.broker.open_orders()] == [f"limit-{index:03d}" for index in range(620)]


def test_the_venues_clock_and_calendar_know_half_days(venue: AlpacaVenue) -> None:
    assert isinstance(venue.broker, AlpacaBroker)
    venue.exchange.clock_ahead = dt.timedelta(minutes=5)

    clock = venue.broker.clock()
    days = venue.broker.calendar(dt.date(2026, 11, 25), dt.date(2026, 11, 30))

    assert dt.timedelta(minutes=4) < clock.now - dt.datetime.now(dt.UTC) < dt.timedelta(minutes=6)
    assert not clock.is_open
    assert clock.now < clock.next_open
    assert [day.session.day for day in days] == [25, 27, 30]  # Thanksgiving is none
    assert days[1].close == dt.datetime(2026, 11, 27, 18, tzinfo=dt.UTC)
    assert days[2].open == dt.datetime(2026, 11, 30, 14, 30, tzinfo=dt.UTC)


# Secrets.


def test_no_log_line_and_no_error_has_the_keys(
    venue: AlpacaVenue, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    for fault in (*FAULTS.values(), None):
        if fault is not None:
            venue.stand_in.fail("POST", "/v2/orders", fault)
        try:
            venue.broker.submit(entry(10))
        except RetryLater as error:
            said.append(f"{error!r} {error.__cause__!r} {error.__context__!r}")
    assert isinstance(venue.broker, AlpacaBroker)
    said += [repr(venue.broker.client), repr(vars(venue.broker)), caplog.text, *capsys.readouterr()]

    assert "POST" in caplog.text  # the wire was logged
    assert not any(secret in text for secret in (KEY, SECRET) for text in said)
