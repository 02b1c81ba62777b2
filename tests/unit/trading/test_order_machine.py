"""Orders under whatever a venue may tell, in any order and twice: money is conserved and no order is filled beyond its size."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from core.errors import RetryLater
from core.models import FINAL, TRANSITIONS, Answer, Fill, OrderIntent, OrderState, OrderView, Refused, Side
from tests.properties import examples
from tests.standins.memory_book import MemoryBook
from trading.brokers.base import unfenced
from trading.brokers.intake import take_fill, take_state
from trading.brokers.placing import Patience, cancel, place
from trading.orders import entry_order, exit_order

if TYPE_CHECKING:
    from trading.brokers.base import Fence

MONDAY, TUESDAY, WEDNESDAY = dt.date(2018, 12, 17), dt.date(2018, 12, 18), dt.date(2018, 12, 19)
NOON = dt.datetime(2018, 12, 18, 17, tzinfo=dt.UTC)
AT_ONCE = Patience(0.0, 0.0, 0.0)
SYMBOLS = ("AAA", "BBB", "CCC")


class FickleVenue:
    """Takes, refuses or swallows what it is sent; every event it ever made can be told again."""

    name = "fickle"

    def __init__(self) -> None:
        self.orders: dict[str, OrderView] = {}
        self.sent: list[str] = []
        self.next = "accept"
        self.states: list[tuple[str, OrderState]] = []
        self.fills: list[Fill] = []

    def submit(self, order: OrderIntent, fence: Fence = unfenced) -> Answer:
        fence()
        self.sent.append(order.client_order_id)
        if self.next == "lose the request":
            raise RetryLater("no answer")
        state = OrderState.REJECTED if self.next == "refuse" else OrderState.ACCEPTED
        self._show(OrderView(order.client_order_id, order.symbol, order.side, order.quantity, state))
        if self.next == "lose the answer":
            raise RetryLater("no answer")
        return Answer(state, Refused.HALTED if state is OrderState.REJECTED else None)

    def find(self, client_order_id: str) -> OrderView | None:
        return self.orders.get(client_order_id)

    def cancel(self, client_order_id: str) -> Answer:
        view = self.orders[client_order_id]
        if view.state in FINAL:
            return Answer(view.state, Refused.TOO_LATE)
        self._show(_changed(view, OrderState.CANCELLED))
        return Answer(OrderState.CANCELLED)

    def execute(self, client_order_id: str, quantity: Decimal, price: Decimal) -> None:
        view = self.orders[client_order_id]
        filled = view.filled_quantity + quantity
        state = OrderState.FILLED if filled == view.quantity else OrderState.PARTIALLY_FILLED
        self._show(_changed(view, state, filled))
        name = f"fickle-{len(self.fills)}"
        at = NOON + dt.timedelta(seconds=len(self.fills))
        self.fills.append(
            Fill(name, client_order_id, view.symbol, view.side, quantity, price, price, Decimal("0.1"), TUESDAY, at, "venue")
        )

    def expire(self, client_order_id: str) -> None:
        self._show(_changed(self.orders[client_order_id], OrderState.EXPIRED))

    def _show(self, view: OrderView) -> None:
        self.orders[view.client_order_id] = view
        self.states.append((view.client_order_id, view.state))


def _changed(view: OrderView, state: OrderState, filled: Decimal | None = None) -> OrderView:
    quantity = view.filled_quantity if filled is None else filled
    return OrderView(view.client_order_id, view.symbol, view.side, view.quantity, state, quantity, Decimal(100))


class Orders(RuleBasedStateMachine):
    """The desk on one side, the venue on the other, events between them as they please."""

    meant = Bundle("meant")

    def __init__(self) -> None:
        super().__init__()
        self.book, self.venue = MemoryBook(), FickleVenue()
        self.told: dict[str, Fill] = {}

    @rule(target=meant, symbol=st.sampled_from(SYMBOLS), long=st.booleans(), stop=st.sampled_from([5.0, float("nan")]))
    def intend_an_entry(self, symbol: str, long: bool, stop: float) -> OrderIntent:
        order = entry_order(
            "main",
            "s",
            symbol,
            decision_session=MONDAY,
            session=TUESDAY,
            signed_quantity=10.0 if long else -10.0,
            stop_pct=stop,
            target_pct=float("nan"),
            max_sessions=None,
        )
        self.book.record_intents([order])
        return self.book.orders[order.client_order_id][0]

    @rule(order=meant, answer=st.sampled_from(["accept", "refuse", "lose the request", "lose the answer"]))
    def send(self, order: OrderIntent, answer: str) -> None:
        self.venue.next = answer
        try:
            place(self.book, self.venue, [order], patience=AT_ONCE)  # type: ignore[arg-type]
        except RetryLater:
            assert self.state(order) is OrderState.UNKNOWN

    @rule(order=meant)
    def call_off(self, order: OrderIntent) -> None:
        assert cancel(self.book, self.venue, order.client_order_id, "called off", patience=AT_ONCE) is self.state(order)  # type: ignore[arg-type]

    @precondition(lambda self: self.book.held)
    @rule(number=st.integers(0, 2))
    def leave(self, number: int) -> None:
        held = self.book.positions("main")
        position = held[number % len(held)]
        order = exit_order(position, decision_session=TUESDAY, session=WEDNESDAY)
        self.venue.next = "accept"
        if order.client_order_id not in self.book.orders:
            place(self.book, self.venue, [order], patience=AT_ONCE)  # type: ignore[arg-type]

    @rule(number=st.integers(0, 20), parts=st.integers(1, 4), price=st.integers(50, 150))
    def the_venue_fills_a_part(self, number: int, parts: int, price: int) -> None:
        working = [view for view in self.venue.orders.values() if view.state not in FINAL]
        if working:
            view = working[number % len(working)]
            rest = view.quantity - view.filled_quantity
            self.venue.execute(view.client_order_id, min(rest, max(Decimal(1), rest / parts)), Decimal(price))

    @rule(number=st.integers(0, 20))
    def the_venue_ends_an_order(self, number: int) -> None:
        working = [view for view in self.venue.orders.values() if view.state not in FINAL]
        if working:
            self.venue.expire(working[number % len(working)].client_order_id)

    @precondition(lambda self: self.venue.states)
    @rule(number=st.integers(0, 200))
    def a_state_is_told(self, number: int) -> None:
        """Any that there ever was: new, old, or told already."""
        take_state(self.book, *self.venue.states[number % len(self.venue.states)])

    @precondition(lambda self: self.venue.fills)
    @rule(number=st.integers(0, 200))
    def a_fill_is_told(self, number: int) -> None:
        fill = self.venue.fills[number % len(self.venue.fills)]
        assert take_fill(self.book, fill) is (fill.fill_id not in self.told)
        self.told[fill.fill_id] = fill

    def state(self, order: OrderIntent) -> OrderState:
        return self.book.orders[order.client_order_id][1]

    @invariant()
    def no_order_is_filled_beyond_its_size(self) -> None:
        for name, (order, state) in self.book.orders.items():
            filled = self.book.filled(name)
            assert filled <= order.quantity
            assert (state is OrderState.FILLED) == (filled == order.quantity)

    @invariant()
    def money_is_conserved(self) -> None:
        flows = [(fill.quantity if fill.side is Side.SELL else -fill.quantity) * fill.price for fill in self.told.values()]
        assert self.book.cash_flow_usd("main") == sum(flows, Decimal(0)) - Decimal("0.1") * len(self.told)

    @invariant()
    def what_is_held_is_what_was_filled(self) -> None:
        for symbol in SYMBOLS:
            mine = [fill for fill in self.told.values() if fill.symbol == symbol]
            bought = sum((fill.quantity if fill.side is Side.BUY else -fill.quantity for fill in mine), Decimal(0))
            assert sum((held.quantity for held in self.book.positions("main") if held.symbol == symbol), Decimal(0)) == bought

    @invariant()
    def every_event_is_a_move_that_the_table_allows(self) -> None:
        for name in self.book.orders:
            states = [state for other, state in self.book.events if other == name]
            assert states[0] is OrderState.INTENT
            assert all(new is old or new in TRANSITIONS[old] for old, new in pairwise(states))

    @invariant()
    def nothing_is_sent_again_that_arrived(self) -> None:
        for name in self.venue.orders:
            assert len([state for other, state in self.venue.states if other == name and state is OrderState.ACCEPTED]) <= 1

    def teardown(self) -> None:
        """Once everything has been told, the book says what the venue says."""
        for fill in self.venue.fills:
            take_fill(self.book, fill)
        for name, view in self.venue.orders.items():
            take_state(self.book, name, view.state)
            assert self.book.filled(name) == view.filled_quantity
            assert self.book.orders[name][1] is view.state or view.state is OrderState.PARTIALLY_FILLED


TestOrders = Orders.TestCase
TestOrders.settings = settings(max_examples=examples(100), stateful_step_count=40, deadline=None)
