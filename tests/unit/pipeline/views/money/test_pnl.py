"""Rows of the view of profit, from figures that a person can check."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import reduce
from operator import add

import pytest

from pipeline.accounts.book_profits import BookProfit, Span
from pipeline.accounts.profit import NOBODY, Key, Profit
from pipeline.views.money.pnl import rows_of as pnl_rows

DAY, LATER = dt.date(2018, 12, 10), dt.date(2018, 12, 14)


SPAN = Span("month", "main", dt.date(2018, 11, 30), LATER, 10_000.0, 10_400.0)
BY_KEY = {
    Key("rsi", "AAA"): Profit(realised_usd=300.0, unrealised_usd=50.0, costs_usd=4.0, trades=3, winners=2),
    Key("rsi", "BBB"): Profit(realised_usd=-20.0, costs_usd=1.0, trades=1),
    Key("zscore", "AAA"): Profit(unrealised_usd=60.0, costs_usd=1.0),
    Key("", "AAA"): Profit(other_usd=12.0),
    NOBODY: Profit(other_usd=-2.0, unattributed_usd=6.0),
}
PROFIT = BookProfit("main", "month", SPAN, 0.0, BY_KEY)


def test_a_row_by_book_is_the_sum_of_its_parts() -> None:
    (row,) = pnl_rows(PROFIT, "book")

    assert (row.pnl_usd, row.realised_usd, row.unrealised_usd, row.costs_usd) == (400.0, 280.0, 110.0, 6.0)
    assert (row.other_usd, row.unattributed_usd, row.transfers_usd, row.return_pct) == (10.0, 6.0, 0.0, 4.0)
    assert (row.trades, row.win_rate_pct, row.after, row.session) == (4, 50.0, dt.date(2018, 11, 30), LATER)
    assert (row.sleeve, row.symbol, row.reason) == (None, None, None)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("sleeve", {"rsi": 325.0, "zscore": 59.0, None: 16.0}),
        ("symbol", {"AAA": 417.0, "BBB": -21.0, None: 4.0}),
    ],
)
def test_rows_by_sleeve_and_by_symbol_end_with_what_belongs_to_none(by: str, expected: dict[str | None, float]) -> None:
    rows = list(pnl_rows(PROFIT, by))  # type: ignore[arg-type]

    assert {getattr(row, by): row.pnl_usd for row in rows} == expected
    assert getattr(rows[-1], by) is None
    assert all(row.transfers_usd is None for row in rows)
    assert sum(row.pnl_usd or 0.0 for row in rows) == reduce(add, BY_KEY.values()).total_usd


def test_a_remainder_under_half_a_cent_has_no_row() -> None:
    rows = pnl_rows(replace(PROFIT, by_key={Key("rsi", "AAA"): Profit(1.0), NOBODY: Profit(unattributed_usd=0.004)}), "symbol")

    assert [row.symbol for row in rows] == ["AAA"]


def test_a_symbol_without_a_price_at_a_close_is_named() -> None:
    (row,) = pnl_rows(replace(PROFIT, unpriced=("OLD",)), "book")

    assert row.reason == "Without a price at a close, and not counted: OLD."
