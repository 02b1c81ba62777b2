"""Rows of the view of exposure, from figures that a person can check."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from core.models import Leg, OrderIntent, Position, Side
from pipeline.views.money.exposure import rows_of as exposure_rows
from pipeline.views.money.held import HeldNow, Quoted
from storage.views.book_figures import Close

DAY, LATER = dt.date(2018, 12, 10), dt.date(2018, 12, 14)


def position(quantity: int = 10, stop: int | None = 95, target: int | None = 110, symbol: str = "AAA") -> Position:
    prices = [None if each is None else Decimal(each) for each in (stop, target)]
    return Position("main", "rsi_vix", symbol, Decimal(quantity), DAY, Decimal(100), *prices, 7, f"entry-{symbol}")


def held(*positions: Position, orders: tuple[OrderIntent, ...] = ()) -> HeldNow:
    prices = {"AAA": Quoted(LATER, 104.0), "BBB": Quoted(LATER, 50.0)}
    return HeldNow({"main": 10_000.0, "trio": 1_000.0}, positions, orders, prices, {"main": Close(LATER, 10_400.0)})


def test_exposure_adds_longs_and_subtracts_shorts_and_counts_what_waits_apart() -> None:
    order = OrderIntent("o", "main", "rsi_vix", "BBB", LATER, LATER, Leg.ENTRY, Side.SELL, Decimal(20))
    now = held(position(), position(-4, symbol="BBB"), orders=(order,))

    by_position, by_book = exposure_rows(now, "position"), exposure_rows(now, "book")

    assert [(row.symbol, row.held, row.quantity, row.value_usd) for row in by_position] == [
        ("AAA", "long", 10.0, 1_040.0),
        ("BBB", "short", -4.0, -200.0),
    ]
    assert [(row.book, row.held, row.value_usd, row.gross_usd) for row in by_book] == [
        ("main", "mixed", 840.0, 1_240.0),
        ("trio", "none", 0.0, 0.0),
    ]
    assert (by_book[0].waiting_orders, by_book[0].waiting_usd) == (1, 1_000.0)
    assert by_book[0].share_pct == pytest.approx(100 * 840 / 10_400)
    assert (by_book[1].equity_usd, by_book[1].equity_session) == (1_000.0, None)  # what it started with


def test_what_has_no_price_is_named_and_not_counted() -> None:
    (row,) = exposure_rows(held(position(symbol="ZZZ")), "symbol")

    assert (row.value_usd, row.last_price, row.reason) == (0.0, None, "Without a price, and not counted: ZZZ.")
