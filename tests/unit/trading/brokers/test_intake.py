"""Fills taken by two processes at once: each counts once, and neither takes the other's for a stranger's."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from core.errors import StopTrading
from core.models import Fill, OrderState, Position, Side
from core.sessions import open_of
from tests.standins.memory_book import MemoryBook
from trading.brokers.intake import take_fill
from trading.orders import entry_order

DAY = dt.date(2018, 12, 27)
ENTRY = entry_order(
    "main", "bollinger", "AAA", decision_session=dt.date(2018, 12, 26), session=DAY, signed_quantity=10.0, stop_pct=1.0,
    target_pct=2.0, max_sessions=2,
)  # fmt: skip


def fill(number: int, side: Side, client_order_id: str) -> Fill:
    at = open_of(DAY) + dt.timedelta(minutes=number)
    price = Decimal(100 - number)
    return Fill(f"f{number}", client_order_id, "AAA", side, Decimal(10), price, price, Decimal(0), DAY, at, "order")


BOUGHT = fill(0, Side.BUY, ENTRY.client_order_id)
STOPPED = fill(1, Side.SELL, f"{ENTRY.client_order_id}.stop")


class Overtaken(MemoryBook):
    """A book in which the listener takes a fill right before the positions are read."""

    overtaking: Fill | None = None

    def positions(self, portfolio: str) -> list[Position]:
        fill, self.overtaking = self.overtaking, None
        if fill is not None:
            take_fill(self, fill)
        return super().positions(portfolio)


@pytest.fixture
def book() -> Overtaken:
    made = Overtaken()
    made.record_intents([ENTRY])
    made.transition(ENTRY.client_order_id, OrderState.SUBMITTED)
    take_fill(made, BOUGHT)
    return made


def test_a_stop_that_the_listener_has_just_taken_is_known_and_no_contradiction(book: Overtaken) -> None:
    book.overtaking = STOPPED

    assert take_fill(book, STOPPED) is False
    assert book.positions("main") == []
    assert [each.fill_id for _, each in book.fills("main")] == ["f0", "f1"]


def test_a_stop_of_a_position_that_is_gone_still_stops_trading(book: Overtaken) -> None:
    take_fill(book, STOPPED)

    with pytest.raises(StopTrading, match="unknown order"):
        take_fill(book, fill(2, Side.SELL, f"{ENTRY.client_order_id}.target"))
