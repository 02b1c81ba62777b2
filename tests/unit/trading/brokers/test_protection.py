"""A position is protected when living stops cover all that is held: by hand, case by case, and for any set of orders."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.models import OrderState, OrderView, Position, Side
from trading.brokers.protection import uncovered

ENTRY = "20261123-entry-AAPL-1f"
HELD = Position(
    "main", "bollinger", "AAPL", Decimal(10), dt.date(2026, 11, 23), Decimal(100), Decimal(95), Decimal(110), 5, ENTRY
)
STOP = OrderView(f"{ENTRY}.stop", "AAPL", Side.SELL, Decimal(10), OrderState.ACCEPTED)
TARGET = replace(STOP, client_order_id=f"{ENTRY}.target")


@pytest.mark.parametrize(
    ("working", "left"),
    [
        ([STOP, TARGET], 0),
        ([], 10),
        ([TARGET], 10),
        ([replace(STOP, quantity=Decimal(4)), TARGET], 6),
        ([replace(STOP, quantity=Decimal(4)), replace(STOP, client_order_id=f"{ENTRY}.stop-2", quantity=Decimal(6))], 0),
        ([replace(STOP, quantity=Decimal(14), filled_quantity=Decimal(4), state=OrderState.PARTIALLY_FILLED)], 0),
        ([replace(STOP, filled_quantity=Decimal(4), state=OrderState.PARTIALLY_FILLED)], 4),
        ([replace(STOP, dormant=True), replace(TARGET, dormant=True)], 10),
        ([replace(STOP, state=OrderState.CANCEL_PENDING)], 10),
        ([replace(STOP, state=OrderState.CANCELLED)], 10),
        ([replace(STOP, side=Side.BUY)], 10),
        ([replace(STOP, symbol="MSFT")], 10),
        ([replace(STOP, client_order_id="another-entry.stop")], 10),
        ([replace(STOP, client_order_id="by-hand")], 10),
        ([replace(STOP, quantity=Decimal(25))], 0),
    ],
)
def test_what_is_not_covered_of_ten_shares(working: list[OrderView], left: int) -> None:
    assert uncovered(HELD, working) == left


def test_a_short_is_covered_by_purchases() -> None:
    short = replace(HELD, quantity=Decimal(-10))

    assert uncovered(short, [STOP]) == 10
    assert uncovered(short, [replace(STOP, side=Side.BUY)]) == 0


def test_an_exit_on_its_way_covers_what_it_sells() -> None:
    leaving = replace(STOP, client_order_id="exit", quantity=Decimal(7))

    assert uncovered(HELD, [leaving]) == 10
    assert uncovered(HELD, [leaving], ["exit"]) == 3


def test_a_position_without_a_stop_is_covered_by_its_target_and_one_with_neither_needs_none() -> None:
    assert uncovered(replace(HELD, stop_price=None), [TARGET]) == 0
    assert uncovered(replace(HELD, stop_price=None), [STOP]) == 10
    assert uncovered(replace(HELD, stop_price=None, target_price=None), []) == 0


@given(st.lists(st.tuples(st.integers(1, 20), st.booleans(), st.sampled_from(OrderState)), max_size=6))
def test_it_is_never_below_zero_and_the_living_stops_make_up_the_rest(orders: list[tuple[int, bool, OrderState]]) -> None:
    working = [
        replace(STOP, client_order_id=f"{ENTRY}.stop-{number}", quantity=Decimal(size), dormant=dormant, state=state)
        for number, (size, dormant, state) in enumerate(orders, 2)
    ]
    living = sum(
        size for size, dormant, state in orders if not dormant and state in {OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED}
    )

    assert uncovered(HELD, working) == max(10 - living, 0)
