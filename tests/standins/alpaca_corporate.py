"""Corporate actions and cash movements at the Alpaca stand-in, as its pages describe them."""

from __future__ import annotations

import uuid
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from tests.standins.alpaca_orders import CENT, OPEN, text

if TYPE_CHECKING:
    import datetime as dt

    from tests.standins.alpaca_exchange import Exchange


def split(exchange: Exchange, symbol: str, ratio: str, day: dt.date, *, children: str = "scaled") -> None:
    """Re-scale a symbol before the open: position, price, and the orders that rest, or cancel those.

    Whole shares stay whole, the fraction being paid in cash as an activity of the day; fractional shares stay fractional.
    """
    by = Decimal(ratio)
    with exchange.lock:
        asset = exchange.assets[symbol]
        asset.price = (asset.price / by).quantize(CENT)
        exchange.tape.pop(symbol, None)
        if symbol in exchange.held:
            quantity, average = exchange.held[symbol]
            after = _split(quantity, by)
            exchange.held[symbol] = (after, average / by)
            fraction = quantity * by - after
            if fraction:
                move_cash(exchange, "PTC", fraction * asset.price, day, symbol)
        for order in exchange.orders.values():
            if order.symbol != symbol or order.status not in OPEN:
                continue
            if children == "cancelled":
                exchange._end(order, "canceled")  # the stand-in's own
                continue
            order.qty = _split(order.qty, by)
            for name in ("limit_price", "stop_price"):
                price = getattr(order, name)
                setattr(order, name, None if price is None else (price / by).quantize(CENT))


def move_cash(exchange: Exchange, kind: str, usd: Decimal, day: dt.date, symbol: str = "") -> None:
    """Move cash without an order: CSD pays in, CSW takes out, DIV is a dividend."""
    exchange.cash += usd
    row = {
        "id": f"{day:%Y%m%d}000000000::{uuid.uuid4()}",
        "activity_type": kind,
        "date": day.isoformat(),
        "net_amount": text(usd),
        "description": "",
        **({"symbol": symbol} if symbol else {}),
    }
    exchange.movements.append(row)


def _split(quantity: Decimal, by: Decimal) -> Decimal:
    return quantity * by if quantity % 1 else (quantity * by).to_integral_value(ROUND_DOWN)
