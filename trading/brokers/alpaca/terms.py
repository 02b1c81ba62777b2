"""The desk's orders in Alpaca's terms: price grid, time in force, children of a bracket. Pure; it asks and sends nothing."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from alpaca.trading.enums import OrderClass, TimeInForce

from core.models import Leg, Side
from trading.brokers.alpaca.read import is_crypto
from trading.fills import brackets

if TYPE_CHECKING:
    from core.models import OrderIntent

CENT, TEN_THOUSANDTH = Decimal("0.01"), Decimal("0.0001")


def to_tick(price: Decimal) -> Decimal:
    """The price on Alpaca's grid: cents, and hundredths of a cent below a dollar.

    >>> to_tick(Decimal("149.996")), to_tick(Decimal("0.12345"))
    (Decimal('150.00'), Decimal('0.1234'))
    """
    return price.quantize(CENT if price >= 1 else TEN_THOUSANDTH)


def children_of(order: OrderIntent, last: float, gap_pct: float) -> dict[str, Any]:
    """Stop and target as fields of the entry's request, behind every open that is allowed for.

    Parameters
    ----------
    last
        Last price, or the order's limit.
    gap_pct
        The stop is reckoned from an open so much worse than `last`, percent, the target from one so much better.
    """
    side, gap = (1, gap_pct / 100) if order.side is Side.BUY else (-1, -gap_pct / 100)
    stop_pct, target_pct = (math.nan if pct is None else pct for pct in (order.stop_pct, order.target_pct))
    stop, _ = brackets(side, last * (1 - gap), stop_pct, math.nan)
    _, target = brackets(side, last * (1 + gap), math.nan, target_pct)
    children = {
        "stop_loss": None if math.isnan(stop) else {"stop_price": float(to_tick(Decimal(repr(stop))))},
        "take_profit": None if math.isnan(target) else {"limit_price": float(to_tick(Decimal(repr(target))))},
    }
    present = {name: child for name, child in children.items() if child is not None}
    return {"order_class": OrderClass.BRACKET if len(present) == len(children) else OrderClass.OTO, **present}


def time_in_force(order: OrderIntent, *, in_bracket: bool) -> TimeInForce:
    """An entry is good for its day, an exit until filled, as far as Alpaca lets it.

    Children live as long as their entry's time in force says, and they must outlive the day; a fraction of a share is good for
    a day alone, a crypto order until cancelled alone.
    """
    if is_crypto(order.symbol):
        return TimeInForce.GTC
    if order.quantity % 1:
        return TimeInForce.DAY
    return TimeInForce.GTC if in_bracket or order.leg is Leg.EXIT else TimeInForce.DAY
