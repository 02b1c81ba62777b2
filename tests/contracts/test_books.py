"""One contract for every book: what `Book` promises, whether it lives in memory or in PostgreSQL."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from core.errors import IllegalTransition
from core.models import Fill, Leg, OrderIntent, OrderState, Position, Side, client_order_id
from storage.trading.ledger import Ledger
from trading.brokers.delisting import book_delistings
from trading.brokers.intake import position_after
from trading.brokers.memory import MemoryBook
from trading.delistings import Delisting
from trading.portfolio import trades_of

if TYPE_CHECKING:
    from trading.brokers.book import Book

MONDAY, TUESDAY, WEDNESDAY = dt.date(2018, 12, 17), dt.date(2018, 12, 18), dt.date(2018, 12, 19)
ODD = Decimal("101.30000000000001")  # a float, to its last digit
OPEN = dt.datetime(2018, 12, 18, 14, 30, tzinfo=dt.UTC)


@pytest.fixture(params=["memory", pytest.param("postgresql", marks=pytest.mark.integration)])
def book(request: pytest.FixtureRequest) -> Book:
    return MemoryBook() if request.param == "memory" else Ledger(request.getfixturevalue("database"))


def order(symbol: str = "AAPL", leg: Leg = Leg.ENTRY, portfolio: str = "main") -> OrderIntent:
    return OrderIntent(
        client_order_id=client_order_id(portfolio, "s", symbol, TUESDAY, leg),
        portfolio=portfolio,
        strategy="s",
        symbol=symbol,
        session=TUESDAY,
        decision_session=MONDAY,
        leg=leg,
        side=Side.BUY if leg is Leg.ENTRY else Side.SELL,
        quantity=Decimal(7),
        stop_pct=0.8,
        target_pct=1.5,
        max_sessions=2,
        entry_order_id=client_order_id(portfolio, "s", symbol, TUESDAY, Leg.ENTRY) if leg is Leg.EXIT else None,
    )


def fill(of: OrderIntent, quantity: int = 7, *, part: str = "", at: dt.datetime = OPEN, price: Decimal = ODD) -> Fill:
    return Fill(
        fill_id=f"paper-{of.client_order_id}{part}",
        client_order_id=of.client_order_id,
        symbol=of.symbol,
        side=of.side,
        quantity=Decimal(quantity),
        price=price,
        raw_price=Decimal(101),
        commission_usd=Decimal("0.07"),
        session=TUESDAY,
        filled_at=at,
        reason="entry" if of.leg is Leg.ENTRY else "rule",
    )


def sent(book: Book, of: OrderIntent) -> OrderIntent:
    book.record_intents([of])
    for state in (OrderState.SUBMITTED, OrderState.ACCEPTED):
        book.transition(of.client_order_id, state)
    return of


def take(book: Book, each: Fill, of: OrderIntent) -> bool:
    return book.record_fill(each, of, lambda before: position_after(before, of, each))


def test_an_intent_is_written_once_and_comes_back_whole(book: Book) -> None:
    assert book.record_intents([order("MSFT"), order()]) == 2
    assert book.record_intents([order(), order("SPY")]) == 1

    assert book.order(order().client_order_id) == (order(), OrderState.INTENT)
    assert book.order("unknown") is None


def test_open_orders_are_those_of_the_portfolio_sorted_and_without_the_ended(book: Book) -> None:
    book.record_intents([order("MSFT"), order(), order(portfolio="other"), replace(order("SPY"), session=MONDAY)])
    book.transition(order("MSFT").client_order_id, OrderState.CANCELLED)

    assert [(each.symbol, each.session) for each, _ in book.open_orders("main")] == [("SPY", MONDAY), ("AAPL", TUESDAY)]
    assert [each.portfolio for each, _ in book.open_orders("other")] == ["other"]
    assert book.open_orders("third") == []


def test_a_move_is_made_once_and_only_where_the_table_allows_it(book: Book) -> None:
    book.record_intents([order()])

    assert book.transition(order().client_order_id, OrderState.SUBMITTED, "to paper")
    assert not book.transition(order().client_order_id, OrderState.SUBMITTED)
    with pytest.raises(IllegalTransition):
        book.transition(order().client_order_id, OrderState.INTENT)
    with pytest.raises(IllegalTransition, match="not in the book"):
        book.transition("unknown", OrderState.SUBMITTED)

    assert book.order(order().client_order_id) == (order(), OrderState.SUBMITTED)


def test_a_fill_moves_order_position_and_cash_together_and_counts_once(book: Book) -> None:
    entry = sent(book, order())

    assert take(book, fill(entry), entry)
    assert not take(book, fill(entry), entry)

    assert book.order(entry.client_order_id) == (entry, OrderState.FILLED)
    (held,) = book.positions("main")
    assert (held.symbol, held.quantity, held.entry_price, held.entry_order_id) == ("AAPL", 7, ODD, entry.client_order_id)
    assert book.fills("main") == [(entry, fill(entry))]
    assert book.filled(entry.client_order_id) == 7
    assert book.cash_flow_usd("main") == -7 * ODD - Decimal("0.07")
    assert book.open_orders("main") == []


def test_parts_add_up_to_the_order_and_more_than_it_changes_nothing(book: Book) -> None:
    entry = sent(book, order())

    assert take(book, fill(entry, 3, part="-1"), entry)
    assert book.order(entry.client_order_id) == (entry, OrderState.PARTIALLY_FILLED)
    with pytest.raises(IllegalTransition, match="at most 7"):
        take(book, fill(entry, 5, part="-2"), entry)
    assert take(book, fill(entry, 4, part="-3"), entry)

    assert book.order(entry.client_order_id) == (entry, OrderState.FILLED)
    assert book.filled(entry.client_order_id) == 7
    assert len(book.fills("main")) == 2
    assert [held.quantity for held in book.positions("main")] == [7]


def test_a_child_that_the_venue_executed_is_recorded_with_its_order(book: Book) -> None:
    entry, stop = sent(book, order()), order(leg=Leg.EXIT)
    take(book, fill(entry), entry)

    assert take(book, fill(stop, price=Decimal(100)), stop)

    assert book.order(stop.client_order_id) == (stop, OrderState.FILLED)
    assert book.positions("main") == []
    assert book.cash_flow_usd("main") == Decimal(700) - 7 * ODD - Decimal("0.14")


def test_a_fill_of_an_order_never_sent_or_of_nothing_held_changes_nothing(book: Book) -> None:
    entry, leaving = order(), order(leg=Leg.EXIT)
    book.record_intents([entry])

    with pytest.raises(IllegalTransition, match="which is intent"):
        take(book, fill(entry), entry)
    with pytest.raises(Exception, match="no AAPL is held"):
        take(book, fill(leaving), leaving)

    assert book.order(entry.client_order_id) == (entry, OrderState.INTENT)
    assert book.order(leaving.client_order_id) is None
    assert book.fills("main") == book.positions("main") == []
    assert book.cash_flow_usd("main") == 0


def test_fills_come_in_the_order_of_their_time_and_each_portfolio_has_its_own(book: Book) -> None:
    later, first, other = sent(book, order("AAA")), sent(book, order("ZZZ")), sent(book, order(portfolio="other"))
    take(book, fill(later, at=OPEN + dt.timedelta(hours=1)), later)
    take(book, fill(first), first)
    take(book, fill(other), other)

    assert [each.symbol for each, _ in book.fills("main")] == ["ZZZ", "AAA"]
    assert [held.symbol for held in book.positions("main")] == ["AAA", "ZZZ"]
    assert len(book.fills("other")) == 1
    assert isinstance(book.positions("other")[0], Position)


@pytest.mark.parametrize("cash", ["14.25", "0.0"])
def test_a_delisting_pays_the_position_out_and_ends_the_symbols_orders_once(book: Book, cash: str) -> None:
    entry = sent(book, order())
    take(book, fill(entry), entry)
    rule_exit = sent(book, replace(order(leg=Leg.EXIT), session=WEDNESDAY, client_order_id="its-exit"))
    another = sent(book, replace(order(), strategy="t", client_order_id="another-entry", session=WEDNESDAY))
    intent = replace(order(), strategy="u", client_order_id="not-sent", session=WEDNESDAY)
    book.record_intents([intent])
    other = sent(book, order("SPY"))
    before = book.cash_flow_usd("main")
    gone = Delisting("AAPL", WEDNESDAY, Decimal(cash))

    booked = book_delistings(book, "main", [gone])

    assert [(each.reason, each.quantity, each.price) for each in booked] == [("delisted", 7, Decimal(cash))]
    assert book.positions("main") == []
    assert book.cash_flow_usd("main") - before == 7 * Decimal(cash)
    assert [each.client_order_id for each, _ in book.open_orders("main")] == [other.client_order_id]
    ends = {
        each.client_order_id: (book.order(each.client_order_id) or (each, None))[1] for each in (rule_exit, another, intent)
    }
    assert ends == {"its-exit": OrderState.CANCELLED, "another-entry": OrderState.EXPIRED, "not-sent": OrderState.EXPIRED}
    (trade,) = trades_of(book.fills("main")).to_dict("records")
    assert (trade["reason"], trade["exit_price"], trade["holding_sessions"]) == ("delisted", float(cash), 1)
    assert book_delistings(book, "main", [gone]) == []
