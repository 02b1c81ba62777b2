"""Splits, spin-offs and renames change positions, orders, fills and trades by exact arithmetic."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.book_events import BookEvent, BookEventKind, exact_ratio, terms_since
from core.models import Fill, Leg, OrderIntent, Position
from trading.brokers.book_events import apply_event
from trading.brokers.intake import position_after
from trading.brokers.memory import MemoryBook
from trading.corporate_actions import scaled_position, split_of
from trading.orders import entry_order, exit_order
from trading.portfolio import trades_of

BOUGHT, SPLIT, SOLD = dt.date(2020, 8, 26), dt.date(2020, 8, 31), dt.date(2020, 9, 2)
RATIOS = st.sampled_from([2.0, 3.0, 4.0, 7.0, 20.0, 1.5, 1.25, 0.5, 0.1, 0.33333, 0.05, 1.046, 1.281])


def held(quantity: str = "400", price: str = "100") -> Position:
    return Position("main", "rsi", "AAPL", Decimal(quantity), BOUGHT, Decimal(price), Decimal(95), Decimal(110), 5, "entry")


def entry_of(symbol: str, quantity: float) -> OrderIntent:
    return entry_order(
        "main", "rsi", symbol, decision_session=BOUGHT, session=BOUGHT, signed_quantity=quantity, stop_pct=5.0, target_pct=10.0,
        max_sessions=5,
    )  # fmt: skip


def fill_of(order: OrderIntent, quantity: Decimal, price: Decimal, day: dt.date) -> Fill:
    at = dt.datetime.combine(day, dt.time(15), dt.UTC)
    return Fill(
        f"x-{order.client_order_id}-{day}", order.client_order_id, order.symbol, order.side, quantity, price, price, Decimal(1),
        day, at, "entry" if order.leg is Leg.ENTRY else "rule",
    )  # fmt: skip


@given(ratio=RATIOS, quantity=st.integers(-1000, 1000).filter(bool), price=st.decimals(1, 1000, places=2))
def test_a_split_keeps_the_value_of_a_position_whatever_the_ratio(ratio: float, quantity: int, price: Decimal) -> None:
    before = replace(held(str(quantity)), entry_price=price)
    last = price / Decimal(str(ratio))

    event = split_of(before, BookEventKind.SPLIT, ratio, effective=SPLIT, session=SPLIT, step=Decimal(1), last_price=last)
    after = scaled_position(before, event)

    value = (after.quantity * last if after else Decimal(0)) + event.cash_usd
    assert float(value) == pytest.approx(float(quantity * price), rel=1e-4)
    assert after is None or after.quantity % 1 == 0
    assert abs(event.fraction) < 1
    assert event.fraction * quantity >= 0


@given(ratio=RATIOS)
def test_stop_and_target_keep_their_distance(ratio: float) -> None:
    after = scaled_position(held(), split_of(held(), BookEventKind.SPLIT, ratio, effective=SPLIT, session=SPLIT))

    assert after is not None
    assert after.stop_price is not None
    assert after.target_price is not None
    assert float(after.stop_price / after.entry_price) == pytest.approx(0.95)
    assert float(after.target_price / after.entry_price) == pytest.approx(1.1)


def test_three_shares_one_for_ten_are_settled_in_cash_alone_and_end_the_trade() -> None:
    event = split_of(
        held("3"), BookEventKind.SPLIT, 0.1, effective=SPLIT, session=SPLIT, step=Decimal(1), last_price=Decimal(1000)
    )
    bought = entry_of("AAPL", 3.0)

    trades = trades_of([(bought, fill_of(bought, Decimal(3), Decimal(100), BOUGHT))], [event])

    assert scaled_position(held("3"), event) is None
    assert event.cash_usd == 300
    assert trades[["quantity", "entry_price", "exit_price", "reason"]].to_dict("records") == [
        {"quantity": 0.3, "entry_price": 1000.0, "exit_price": 1000.0, "reason": "split"}
    ]


def test_a_spin_off_divides_prices_and_leaves_the_shares() -> None:
    after = scaled_position(held(), split_of(held(), BookEventKind.SPIN_OFF, 1.25, effective=SPLIT, session=SPLIT))

    assert after is not None
    assert (after.quantity, after.entry_price, after.stop_price) == (400, 80, 76)


@pytest.mark.parametrize("value", [0.0, -2.0, float("nan")])
def test_a_ratio_that_is_no_positive_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="expected a ratio over 0"):
        split_of(held(), BookEventKind.SPLIT, value, effective=SPLIT, session=SPLIT)


def test_a_fill_that_is_told_late_is_in_the_terms_of_its_session() -> None:
    book = MemoryBook()
    entry = entry_of("AAPL", 400.0)
    first = fill_of(entry, Decimal(400), Decimal(100), BOUGHT)
    book.record_fill(first, entry, lambda before: position_after(before, entry, first))
    (position,) = book.positions("main")
    event = split_of(position, BookEventKind.SPLIT, 4.0, effective=SPLIT, session=SPLIT)

    assert apply_event(book, event, position)
    assert not apply_event(book, event, position)

    (position,) = book.positions("main")
    leaving = exit_order(position, decision_session=SPLIT, session=SOLD)
    last = fill_of(leaving, Decimal(1600), Decimal(30), SOLD)
    book.record_fill(last, leaving, lambda before: position_after(before, leaving, last))
    trades = trades_of(book.fills("main"), book.book_events("main"))
    assert book.positions("main") == []
    assert trades[["quantity", "entry_price", "exit_price"]].to_numpy().tolist() == [[1600.0, 25.0, 30.0]]
    assert trades["pnl_usd"].tolist() == [pytest.approx(1600 * 5 - 2)]


def test_a_rename_moves_the_position_and_its_trade_to_the_new_name() -> None:
    book = MemoryBook()
    entry = entry_of("FB", 10.0)
    first = fill_of(entry, Decimal(10), Decimal(100), BOUGHT)
    book.record_fill(first, entry, lambda before: position_after(before, entry, first))
    (position,) = book.positions("main")

    apply_event(book, BookEvent("r", "main", BookEventKind.RENAME, SPLIT, "rsi", "FB", new_symbol="META"), position)

    (position,) = book.positions("main")
    leaving = exit_order(position, decision_session=SPLIT, session=SOLD)
    last = fill_of(leaving, Decimal(10), Decimal(110), SOLD)
    book.record_fill(last, leaving, lambda before: position_after(before, leaving, last))
    assert position.symbol == "META"
    assert trades_of(book.fills("main"), book.book_events("main"))["symbol"].tolist() == ["META"]


def test_ratios_are_the_whole_numbers_they_stand_for() -> None:
    assert [exact_ratio(each) for each in (0.33333, 2.0, 0.1, 1.5)] == [Fraction(1, 3), 2, Fraction(1, 10), Fraction(3, 2)]
    later = BookEvent("1", "main", BookEventKind.SPLIT, SPLIT, "rsi", "AAPL", Decimal(4), Decimal(4))
    assert terms_since([later], "zscore", "AAPL", BOUGHT) == (1, 1)
