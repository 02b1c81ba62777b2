"""Rows of the view of positions, from figures that a person can check."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from core.models import OrderIntent, Position
from pipeline.views.money.held import HeldNow, Quoted
from pipeline.views.money.positions import Leaving
from pipeline.views.money.positions import row_of as position_row
from storage.views.book_figures import Close

DAY, LATER = dt.date(2018, 12, 10), dt.date(2018, 12, 14)


def position(quantity: int = 10, stop: int | None = 95, target: int | None = 110, symbol: str = "AAA") -> Position:
    prices = [None if each is None else Decimal(each) for each in (stop, target)]
    return Position("main", "rsi_vix", symbol, Decimal(quantity), DAY, Decimal(100), *prices, 7, f"entry-{symbol}")


def held(*positions: Position, orders: tuple[OrderIntent, ...] = ()) -> HeldNow:
    prices = {"AAA": Quoted(LATER, 104.0), "BBB": Quoted(LATER, 50.0)}
    return HeldNow({"main": 10_000.0, "trio": 1_000.0}, positions, orders, prices, {"main": Close(LATER, 10_400.0)})


def test_a_position_has_its_profit_and_the_moves_to_its_stop_and_target() -> None:
    row = position_row(held(), position(), Leaving("strategy", "rsi_vix"))

    assert (row.value_usd, row.unrealised_usd, row.unrealised_pct) == (1_040.0, 40.0, 4.0)
    assert row.stop_distance_pct == pytest.approx(100 * 9 / 104)
    assert row.target_distance_pct == pytest.approx(100 * 6 / 104)
    assert (row.sessions_held, row.sessions_left) == (5, 2)  # from Monday to Friday


def test_a_short_earns_below_its_entry_and_its_stop_is_above() -> None:
    row = position_row(held(), position(-10, stop=103, target=90), Leaving("person", "Ann"))

    assert (row.side, row.value_usd, row.unrealised_usd, row.unrealised_pct) == ("short", -1_040.0, -40.0, -4.0)
    assert row.stop_distance_pct == pytest.approx(-100 * 1 / 104)  # it is past it
    assert row.target_distance_pct == pytest.approx(100 * 14 / 104)
    assert (row.left_by, row.left_by_name) == ("person", "Ann")


def test_a_position_without_a_bar_says_so() -> None:
    row = position_row(held(), position(symbol="ZZZ", stop=None), Leaving("strategy", "rsi_vix"))

    assert (row.last_price, row.value_usd, row.unrealised_usd, row.stop_distance_pct) == (None, None, None, None)
    assert (row.sessions_held, row.reason) == (1, "No bar of ZZZ is stored.")
