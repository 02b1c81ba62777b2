"""The order listener on the stand-in's real websocket: events in any order come into the book, and none is lost for long."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from core.errors import ConfigError, StopTrading
from core.models import OrderState
from tests.standins.alpaca import ALWAYS, KEY, SECRET, AlpacaStandIn, Fault
from tests.standins.venues import AlpacaVenue, entry, held, send, state
from trading.brokers.alpaca.broker import AlpacaBroker
from trading.brokers.alpaca.stream import OrderListener, TradeStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.models import OrderIntent


class Running:
    """A listener in a thread, on a stand-in, with the error it ended with."""

    def __init__(self, stand_in: AlpacaStandIn, *, secret: str = SECRET, poll_seconds: float = 3600.0) -> None:
        self.venue = AlpacaVenue(stand_in)
        self.stand_in = stand_in
        self.error: Exception | None = None
        self.alarms: list[str] = []
        self.stop = threading.Event()
        assert isinstance(self.venue.broker, AlpacaBroker)
        stream = TradeStream(
            SecretStr(KEY), SecretStr(secret), url=stand_in.stream_url, shortest_wait_seconds=0.05, longest_wait_seconds=0.2
        )
        self.listener = OrderListener(
            self.venue.broker,
            self.venue.book,
            "main",
            stream,
            clock=lambda: dt.datetime.now(dt.UTC),
            alarm=self.alarms.append,
            poll_seconds=poll_seconds,
            patience_seconds=1.0,
        )
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Running:
        self.thread.start()
        return self

    def _run(self) -> None:
        try:
            self.listener.run(self.stop)
        except (StopTrading, ConfigError) as error:
            self.error = error

    def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait for something to become true."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)

    def end(self) -> None:
        """Stop the listener and wait for its thread."""
        self.stop.set()
        self.thread.join(timeout=10)
        assert not self.thread.is_alive()

    def filled(self, order: OrderIntent) -> Callable[[], bool]:
        return lambda: state(self.venue, order) is OrderState.FILLED


@pytest.fixture
def running() -> Iterator[Running]:
    with AlpacaStandIn() as stand_in:
        found = Running(stand_in)
        found.start()
        stand_in.wait_for_listener()
        found.until(
            lambda: found.listener.since > dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        )  # the first look back is over
        stand_in.exchange.is_open = True
        yield found
        found.end()


def polls(stand_in: AlpacaStandIn) -> int:
    return stand_in.requests.count(("GET", "/v2/account/activities/FILL"))


def test_a_fill_comes_into_the_book_by_the_stream_alone(running: Running) -> None:
    order = entry(10)
    before = polls(running.stand_in)

    send(running.venue, order)

    running.until(running.filled(order))
    assert polls(running.stand_in) == before
    assert held(running.venue) == 10


def test_events_told_three_times_count_once(running: Running) -> None:
    running.stand_in.repeat = 3
    order = entry(10, stop_pct=5, target_pct=10)

    send(running.venue, order)
    running.until(running.filled(order))
    running.venue.exchange.trade("AAPL", "94")

    running.until(lambda: not running.venue.book.positions("main"))
    assert len(running.venue.book.fills("main")) == 2
    assert running.error is None


def test_events_in_reverse_end_in_the_same_book(running: Running) -> None:
    running.venue.exchange.is_open = False
    order = entry(10, stop_pct=5, target_pct=10)
    send(running.venue, order)
    running.stand_in.hold_events = True
    running.venue.exchange.is_open = True
    for price, size in (("100", "4"), ("100.50", "6"), ("94", "3"), ("93", "7")):
        running.venue.exchange.trade("AAPL", price, size)

    running.stand_in.release_events(list(range(len(running.stand_in.held_events)))[::-1])

    running.until(lambda: len(running.venue.book.fills("main")) == 4)
    running.until(running.filled(order))
    assert held(running.venue) == 0
    assert running.venue.broker.cash_usd() == 100_000 + running.venue.book.cash_flow_usd("main")
    assert running.error is None


def test_a_partial_fill_and_then_a_cancellation_leave_the_part(running: Running) -> None:
    running.venue.exchange.is_open = False
    order = entry(10)
    send(running.venue, order)
    running.venue.exchange.is_open = True
    running.venue.exchange.trade("AAPL", "100", "4")
    running.until(lambda: state(running.venue, order) is OrderState.PARTIALLY_FILLED)

    running.venue.exchange.cancel(running.venue.exchange.by_client_id(order.client_order_id).id)

    running.until(lambda: state(running.venue, order) is OrderState.CANCELLED)
    assert held(running.venue) == 4


def test_what_happened_while_it_was_cut_off_is_asked_for_after_it_reconnects(running: Running) -> None:
    running.venue.exchange.is_open = False
    order = entry(10)
    send(running.venue, order)
    running.stand_in.refuse_streams = True
    running.stand_in.drop_streams()
    running.venue.exchange.open_market()
    assert not running.filled(order)()
    time.sleep(0.3)  # it is turned away a few times

    running.stand_in.refuse_streams = False

    running.until(running.filled(order))
    assert running.listener.connections == 2
    assert held(running.venue) == 10


def test_an_event_that_cannot_be_read_is_made_good_by_asking(running: Running) -> None:
    running.stand_in.hold_events = True
    order = entry(10)
    send(running.venue, order)

    running.stand_in.send_raw(b'{"stream": "trade_updates", "data": {"event": "fill", "order": {"id": 7}}}')

    running.until(running.filled(order))
    assert held(running.venue) == 10


def test_bytes_that_are_no_json_do_not_end_the_stream(running: Running) -> None:
    running.stand_in.send_raw(b"\xff\xfe not json")
    order = entry(10)

    send(running.venue, order)

    running.until(running.filled(order))


def test_an_event_that_never_came_is_found_by_the_next_poll() -> None:
    with AlpacaStandIn() as stand_in:
        found = Running(stand_in, poll_seconds=0.2).start()
        stand_in.wait_for_listener()
        stand_in.hold_events = True
        stand_in.exchange.is_open = True
        order = entry(10)
        send(found.venue, order)

        found.until(found.filled(order))
        found.stop.set()
        found.thread.join(timeout=10)


def test_a_venue_that_is_silent_when_asked_is_asked_again(running: Running) -> None:
    running.venue.exchange.is_open = False
    order = entry(10)
    send(running.venue, order)
    running.stand_in.hold_events = True
    running.stand_in.fail("GET", "/v2/account/activities", Fault.broken(503), times=2)
    running.venue.exchange.open_market()

    running.stand_in.drop_streams()

    running.until(running.filled(order))
    assert running.error is None


def test_stop_and_target_are_put_where_the_fill_makes_them(running: Running) -> None:
    running.venue.exchange.is_open = False
    order = entry(10, stop_pct=5, target_pct=10)
    send(running.venue, order)
    running.venue.exchange.assets["AAPL"].price = Decimal(102)
    running.venue.exchange.open_market()

    def prices() -> list[Decimal | None]:
        legs = running.venue.exchange.by_client_id(order.client_order_id).legs
        return sorted(leg.stop_price or leg.limit_price or Decimal(0) for leg in legs)

    running.until(running.filled(order))
    running.until(lambda: prices() == [Decimal("96.90"), Decimal("112.20")])


def test_an_order_that_somebody_placed_by_hand_changes_nothing_here(running: Running) -> None:
    body = {"symbol": "MSFT", "qty": "3", "side": "buy", "type": "market", "time_in_force": "day"}
    running.venue.exchange.submit(body)
    order = entry(10)
    send(running.venue, order)

    running.until(running.filled(order))
    assert [position.symbol for position in running.venue.book.positions("main")] == ["AAPL"]
    assert running.error is None


def test_a_trade_taken_back_stops_trading(running: Running) -> None:
    order = entry(10)
    send(running.venue, order)
    running.until(running.filled(order))

    running.venue.exchange.emit("trade_bust", running.venue.exchange.by_client_id(order.client_order_id))

    running.until(lambda: running.error is not None)
    assert isinstance(running.error, StopTrading)


def test_a_fill_that_still_contradicts_the_book_after_a_while_stops_trading(running: Running) -> None:
    order = entry(10)
    send(running.venue, order)
    running.until(running.filled(order))
    venue_order = running.venue.exchange.by_client_id(order.client_order_id)
    venue_order.filled_qty = Decimal(25)

    running.venue.exchange.emit("fill", venue_order, price="100", qty="15", execution_id="x")

    running.until(lambda: running.error is not None)
    assert isinstance(running.error, StopTrading)


def test_keys_that_are_refused_end_it_with_the_setting_to_change(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with AlpacaStandIn() as stand_in:
        found = Running(stand_in, secret="another-secret-of-nobody").start()
        found.until(lambda: found.error is not None)

    assert isinstance(found.error, ConfigError)
    assert "VENUE__ALPACA__SECRET_KEY" in str(found.error)
    assert "another-secret" not in caplog.text + str(found.error)


def test_no_frame_with_the_keys_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with AlpacaStandIn() as stand_in:
        found = Running(stand_in).start()
        stand_in.wait_for_listener()
        found.stop.set()
        found.thread.join(timeout=10)

    sent = "\n".join(
        record.getMessage() for record in caplog.records if record.name != "websockets.server"
    )  # the stand-in's own
    assert "websocket" in sent
    assert not any(part in sent for secret in (KEY, SECRET) for part in (secret[:10], secret[-10:]))  # logged frames are cut


def test_a_stream_that_keeps_breaking_is_connected_again_with_pauses(running: Running) -> None:
    for _ in range(3):
        connected = running.listener.connections
        running.stand_in.drop_streams()
        running.until(lambda seen=connected: running.listener.connections > seen)
    order = entry(10)

    with contextlib.suppress(AssertionError):
        running.stand_in.wait_for_listener()
    send(running.venue, order)

    running.until(running.filled(order))
    assert running.stand_in.streams_opened >= 4
    assert running.stand_in.streams_opened < ALWAYS


def ended_in_part(running: Running, **bracket: float) -> OrderIntent:
    """An entry of which 4 of 10 shares were bought before it was cancelled, and its children with it."""
    running.venue.exchange.is_open = False
    order = entry(10, **bracket)
    send(running.venue, order)
    running.venue.exchange.is_open = True
    running.venue.exchange.trade("AAPL", "100", "4")
    running.venue.exchange.cancel(running.venue.exchange.by_client_id(order.client_order_id).id)
    running.until(lambda: state(running.venue, order) is OrderState.CANCELLED)
    running.listener._poll_at = 0.0
    return order


@pytest.mark.parametrize(("price", "kind"), [("94.90", "stop"), ("110.10", "target")])
def test_what_an_entry_that_ended_in_part_bought_gets_a_stop_and_a_target_of_its_own(
    running: Running, price: str, kind: str
) -> None:
    order = ended_in_part(running, stop_pct=5, target_pct=10)
    names = [f"{order.client_order_id}.{child}" for child in ("stop", "target")]
    running.until(lambda: [view.client_order_id for view in running.venue.broker.open_orders()] == names)
    assert [view.quantity for view in running.venue.broker.open_orders()] == [4, 4]

    running.venue.exchange.trade("AAPL", price)

    running.until(lambda: not running.venue.book.positions("main"))
    assert running.venue.book.fills("main")[-1][1].reason == kind
    assert running.venue.broker.open_orders() == []
    assert held(running.venue) == 0


@pytest.mark.parametrize("bracket", [{"stop_pct": 5.0}, {"target_pct": 10.0}])
def test_a_stop_or_a_target_alone_is_sent_anew_alone(running: Running, bracket: dict[str, float]) -> None:
    order = ended_in_part(running, **bracket)
    name = f"{order.client_order_id}.{'stop' if 'stop_pct' in bracket else 'target'}"

    running.until(lambda: [view.client_order_id for view in running.venue.broker.open_orders()] == [name])


def test_children_cancelled_by_hand_are_sent_anew_once_and_then_left_to_a_person(running: Running) -> None:
    order = entry(10, stop_pct=5, target_pct=10)
    send(running.venue, order)
    running.until(running.filled(order))

    for _ in range(2):
        open_ones = [each for each in running.venue.exchange.orders.values() if each.status == "new"]
        running.venue.exchange.cancel(open_ones[0].id)
        assert running.venue.broker.open_orders() == []
        before = len(running.venue.exchange.orders)
        running.listener._poll_at = 0.0
        running.until(lambda: bool(running.venue.broker.open_orders()) or bool(running.alarms))

    (alarm,) = running.alarms
    assert order.client_order_id in alarm
    assert len(running.venue.exchange.orders) == before  # nothing sold twice
    assert running.error is None


def test_no_stop_is_sent_for_shares_that_the_venue_does_not_hold_any_more(running: Running) -> None:
    running.stand_in.hold_events = True  # the book learns late
    order = entry(10, stop_pct=5, target_pct=10)
    send(running.venue, order)
    running.listener.catch_up()
    running.venue.exchange.trade("AAPL", "94.90")
    (position,) = running.venue.book.positions("main")
    count = len(running.venue.exchange.orders)

    assert running.listener.protector.check() == 0

    assert position.quantity == 10
    assert len(running.venue.exchange.orders) == count
