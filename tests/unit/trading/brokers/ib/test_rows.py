"""TWS lists options, futures and orders in dollars beside shares: none is taken for a share, and none costs another its row."""

from __future__ import annotations

from decimal import Decimal

import pytest
from ib_async import Contract, Forex, Future, LimitOrder, Option, OrderStatus, Position, Stock, Trade

from trading.brokers.ib.rows import order_of_share, position_of, unreadable
from trading.brokers.listing import read_each

SHARE = Stock("AAPL", "SMART", "USD")
CALL = Option("AAPL", "20270115", 190, "C", "SMART", currency="USD", localSymbol="AAPL  270115C00190000")
STRANGE = [CALL, Future("AAPL", "202703", "ONE", currency="USD"), Forex("EURUSD"), Stock("AAPL", "IBIS", "EUR"), Contract()]


@pytest.mark.parametrize("contract", STRANGE, ids=lambda contract: contract.secType + contract.currency)
def test_a_position_in_anything_else_is_not_read_as_one_in_the_share(contract: Contract) -> None:
    rows = [Position("DU1", contract, 2, 190.0), Position("DU1", SHARE, 10, 100.0)]

    found = read_each(rows, position_of, unreadable)

    assert [(each.symbol, each.quantity) for each in found] == [("AAPL", Decimal(10))]
    (odd,) = found.unreadable
    assert odd.symbol != "AAPL", "no flatten may take it for ours"


@pytest.mark.parametrize("quantity", [0.0, float("nan"), float("inf"), 1.7976931348623157e308])
def test_an_order_without_a_quantity_is_named_and_costs_no_other(quantity: float) -> None:
    odd, good = (
        Trade(SHARE, LimitOrder("BUY", size, 100.0, orderRef=ref), OrderStatus(status="Submitted"))
        for size, ref in ((quantity, "by-hand"), (10, "ours"))
    )

    found = read_each([odd, good], order_of_share, unreadable)

    assert [trade.order.orderRef for trade in found] == ["ours"]
    assert [(each.client_order_id, each.symbol) for each in found.unreadable] == [("by-hand", "AAPL")]
