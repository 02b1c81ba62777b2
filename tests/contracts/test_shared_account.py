"""Two books in one venue account: whatever happens in whatever order, the sum of the books is the account."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.models import Leg, OrderState, Refused
from tests.standins.alpaca import AlpacaStandIn
from tests.standins.venues import DECIDED, LONG_AGO, QUICK, AlpacaVenue
from trading.brokers.alpaca.broker import AlpacaBroker
from trading.brokers.alpaca.protector import Protector
from trading.brokers.intake import collect
from trading.brokers.placing import place
from trading.brokers.protection import uncovered
from trading.brokers.shared_account import FirstBook, SharedAccount
from trading.orders import entry_order, exit_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from core.models import OrderIntent

BOOKS = ("main", "trio")
CAPITAL = {"main": Decimal(0), "trio": Decimal(1000)}
CASH = Decimal(100_000)


class World:
    """One account at Alpaca's stand-in, and two books with sleeves of their own in it."""

    def __init__(self, stand_in: AlpacaStandIn, *, brackets: bool = True) -> None:
        self.venue = AlpacaVenue(stand_in, brackets=brackets)
        self.book, self.exchange = self.venue.book, self.venue.exchange
        self.exchange.is_open = self.exchange.refuses_wash_trades = True
        assert isinstance(self.venue.broker, AlpacaBroker)
        self.parts = {name: self.part(name) for name in BOOKS}
        self.protectors = [
            Protector(self.venue.broker, self.book, name, alarm=lambda _words: None, others=lambda name=name: self.others(name))
            for name in BOOKS
        ]
        self.sent = 0

    @staticmethod
    def others(name: str) -> Mapping[str, Decimal]:
        return {other: usd for other, usd in CAPITAL.items() if other != name}

    def part(self, name: str) -> SharedAccount:
        kind, initial = (FirstBook, None) if name == "main" else (SharedAccount, CAPITAL[name])
        return kind(
            self.venue.broker,
            self.book,
            name,
            lambda: self.others(name),
            initial,
            {"AAPL": 100.0, "MSFT": 200.0}.get,
            patience=QUICK,
        )

    def enter(self, name: str, quantity: float, stop_pct: float = float("nan")) -> OrderIntent:
        self.sent += 1
        order = entry_order(
            name,
            f"{name}/rsi",
            "AAPL",
            decision_session=DECIDED,
            session=self.venue.session,
            signed_quantity=quantity,
            stop_pct=stop_pct,
            target_pct=2 * stop_pct,
            max_sessions=5,
        )
        order = replace(order, client_order_id=f"{order.client_order_id[:30]}-{self.sent}")
        self.place(name, order)
        return order

    def leave(self, name: str) -> OrderIntent | None:
        held = self.book.positions(name)
        if not held or any(order.leg is Leg.EXIT for order, _ in self.book.open_orders(name)):
            return None
        self.sent += 1
        order = exit_order(held[0], decision_session=DECIDED, session=self.venue.session)
        order = replace(order, client_order_id=f"leave-{name}-{self.sent}")
        self.place(name, order)
        return order

    def place(self, name: str, order: OrderIntent) -> OrderState:
        return place(self.book, self.parts[name], [order], patience=QUICK)[order.client_order_id]

    def state(self, order: OrderIntent) -> OrderState:
        found = self.book.order(order.client_order_id)
        assert found is not None
        return found[1]

    def learn(self) -> None:
        """The listener's part: fills and states of every book, then the cover of every position."""
        for _ in range(3):
            for name in BOOKS:
                collect(self.book, self.venue.broker, name, LONG_AGO)
            if not sum(protector.check() for protector in self.protectors):
                return

    def sums(self) -> tuple[Decimal, Decimal]:
        """Return the sum of the books: their shares, and their cash flow."""
        shares = sum((held.quantity for name in BOOKS for held in self.book.positions(name)), Decimal(0))
        return shares, sum((self.book.cash_flow_usd(name) for name in BOOKS), Decimal(0))

    def assert_the_sum_is_the_account(self) -> None:
        shares, flow = self.sums()
        assert shares == self.exchange.held.get("AAPL", (Decimal(0), Decimal(0)))[0]
        assert flow == self.exchange.cash - CASH
        for name, part in self.parts.items():
            mine = {held.symbol: held.quantity for held in self.book.positions(name)}
            assert {held.symbol: held.quantity for held in part.positions()} == mine
        assert sum((part.cash_usd() for part in self.parts.values()), Decimal(0)) == self.exchange.cash


@pytest.fixture
def world() -> Iterator[World]:
    with AlpacaStandIn() as stand_in:
        yield World(stand_in)


ACTIONS = (
    "enter main",
    "enter trio",
    "short main",
    "short trio",
    "leave main",
    "leave trio",
    "fill",
    "fill a part",
    "fall",
    "learn",
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(actions=st.lists(st.sampled_from(ACTIONS), min_size=3, max_size=14), brackets=st.booleans())
def test_no_interleaving_of_two_books_parts_them_from_the_account(actions: list[str], *, brackets: bool) -> None:
    with AlpacaStandIn() as stand_in:
        world = World(stand_in, brackets=brackets)
        for action in actions:
            verb, _, name = action.partition(" ")
            busy = any(order.leg is Leg.ENTRY for order, _ in world.book.open_orders(name)) or world.book.positions(name)
            if verb in {"enter", "short"} and not busy:
                world.enter(name, 5.0 if verb == "enter" else -5.0, stop_pct=5.0)
            elif verb == "leave":
                world.leave(name)
            elif verb == "fill":
                world.exchange.trade("AAPL", "100", "2" if name else None)
            elif verb == "fall":
                world.exchange.trade("AAPL", "94")
                world.exchange.assets["AAPL"].price = Decimal(100)
            else:
                world.learn()

        world.learn()
        world.assert_the_sum_is_the_account()
        longs = [held.quantity > 0 for name in BOOKS for held in world.book.positions(name)]
        assert len(set(longs)) <= 1, "two books on two sides of a symbol would trade with each other"


def test_an_entry_against_another_books_position_is_refused_by_name(world: World) -> None:
    world.enter("main", 5.0)
    world.exchange.trade("AAPL", "100")
    world.learn()

    order = world.enter("trio", -5.0)

    assert world.state(order) is OrderState.REJECTED
    answer = world.parts["trio"].submit(replace(order, client_order_id="again"))
    assert (answer.refused, answer.reason) == (Refused.OTHER_BOOK, "main holds 5 AAPL, the other way")


def test_an_exit_takes_another_books_open_entry_back_and_goes_first(world: World) -> None:
    world.enter("main", 5.0)
    world.exchange.trade("AAPL", "100")
    world.learn()
    world.exchange.is_open = False
    waiting = world.enter("trio", 3.0)

    leaving = world.leave("main")

    assert leaving is not None
    assert world.state(leaving) is OrderState.ACCEPTED
    world.learn()
    assert world.state(waiting) is OrderState.CANCELLED
    world.exchange.is_open = True
    world.exchange.trade("AAPL", "100")
    world.learn()
    assert world.sums()[0] == 0
    world.assert_the_sum_is_the_account()


def test_both_books_are_protected_in_one_symbol_and_a_fall_closes_each_of_them_once(world: World) -> None:
    for name, quantity in (("main", 5.0), ("trio", 3.0)):
        world.enter(name, quantity, stop_pct=5.0)
        world.exchange.trade("AAPL", "100")
        world.learn()
    working = world.venue.broker.open_orders()
    assert [uncovered(held, working) for name in BOOKS for held in world.book.positions(name)] == [0, 0]

    world.exchange.trade("AAPL", "90")
    world.learn()

    assert [world.book.positions(name) for name in BOOKS] == [[], []]
    assert world.exchange.held == {}
    world.assert_the_sum_is_the_account()


def test_what_no_ledger_explains_is_shown_by_a_book_that_it_concerns(world: World) -> None:
    world.enter("trio", 5.0)
    world.exchange.trade("AAPL", "100")
    world.learn()

    world.exchange.held["AAPL"] = (Decimal(7), Decimal(100))
    world.exchange.held["MSFT"] = (Decimal(2), Decimal(200))

    assert {held.symbol: held.quantity for held in world.parts["trio"].positions()} == {"AAPL": Decimal(7)}
    assert {held.symbol: held.quantity for held in world.parts["main"].positions()} == {"MSFT": Decimal(2)}


def test_one_book_does_not_see_the_orders_and_fills_of_the_other(world: World) -> None:
    world.enter("main", 5.0, stop_pct=5.0)
    world.exchange.trade("AAPL", "100")
    world.learn()
    world.exchange.is_open = False
    other = world.enter("trio", 3.0, stop_pct=5.0)

    seen = {view.client_order_id for view in world.parts["trio"].open_orders()}
    assert seen == {other.client_order_id, f"{other.client_order_id}.stop", f"{other.client_order_id}.target"}
    assert other.client_order_id not in {view.client_order_id for view in world.parts["main"].open_orders()}
    assert world.parts["trio"].fills(LONG_AGO) == []
    assert len(world.parts["main"].fills(LONG_AGO)) == 1
