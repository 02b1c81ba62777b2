"""Orders on the venue's grid, before they are written down. Owns the rounding; the venue owns the grid.

What is decided is fractional. A venue that takes whole shares, or one with a smallest order, gets less and never more.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from core.errors import UnknownSymbol
from core.models import Leg, Refused
from pipeline.risk.pre_send import event
from trading.decide import Refusal

if TYPE_CHECKING:
    import datetime as dt

    from core.models import OrderIntent
    from pipeline.resources import Resources


def on_grid(
    found: Resources, day: dt.date, intents: tuple[OrderIntent, ...], known: set[str]
) -> tuple[tuple[OrderIntent, ...], list[Refusal]]:
    """Entries rounded down to what the venue takes; those that come to nothing are refused, with the numbers on record.

    Exits sell what is held, and what is on record stands as it was written.

    Raises
    ------
    core.errors.RetryLater
        When the venue does not say what it takes.
    """
    going, refused = [], []
    for order in intents:
        if order.leg is Leg.EXIT or order.client_order_id in known:
            going.append(order)
            continue
        sized, reason, words = _sized(found, day, order)
        if reason is None:
            going.append(sized)
        else:
            found.ledger.save_risk_events([event(order, reason, {"says": words, "decided": float(order.quantity)})])
            refused.append(Refusal(order.strategy, order.symbol, day, reason))
    return tuple(going), refused


def _sized(found: Resources, day: dt.date, order: OrderIntent) -> tuple[OrderIntent, str | None, str]:
    """The order in a quantity that the venue takes, or why there is none."""
    try:
        instrument = found.patience.retrying()(found.broker.instrument, order.symbol)
    except UnknownSymbol:
        return order, Refused.UNKNOWN_SYMBOL, f"{found.broker.name} does not trade it"
    rounded = instrument.rounded(order.quantity)
    sized = order if rounded == order.quantity else replace(order, quantity=rounded)
    close = found.close_at(order.symbol, day)
    objection = instrument.objection(sized, None if close is None else Decimal(str(close)))
    return (sized, None, "") if objection is None else (order, *objection)
