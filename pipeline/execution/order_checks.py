"""Check decided orders before they are written down: quantities that the venue takes, and decision inputs that are stored.

What is decided is fractional. A venue that takes whole shares, or one with a smallest order, gets less and never more.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from core.errors import UnknownSymbol
from core.models import Leg, Origin, Refused
from pipeline.risk.objection import risk_event
from storage.trading.evidence import REMEDIES
from trading.decide import Refusal

if TYPE_CHECKING:
    import datetime as dt

    from core.models import OrderIntent
    from pipeline.resources import Resources

EVIDENCE = "evidence"
Orders = tuple["OrderIntent", ...]


def on_grid(
    resources: Resources, day: dt.date, intents: tuple[OrderIntent, ...], known: set[str]
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
        sized, reason, words = _sized(resources, day, order)
        if reason is None:
            going.append(sized)
        else:
            resources.ledger.save_risk_events([risk_event(order, reason, {"says": words, "decided": float(order.quantity)})])
            refused.append(Refusal(order.strategy, order.symbol, day, reason))
    return tuple(going), refused


def _sized(resources: Resources, day: dt.date, order: OrderIntent) -> tuple[OrderIntent, str | None, str]:
    """The order in a quantity that the venue takes, or why there is none."""
    try:
        instrument = resources.patience.retrying()(resources.broker.instrument, order.symbol)
    except UnknownSymbol:
        return order, Refused.UNKNOWN_SYMBOL, f"{resources.broker.name} does not trade it"
    rounded = instrument.rounded(order.quantity)
    sized = order if rounded == order.quantity else replace(order, quantity=rounded)
    close = resources.close_at(order.symbol, day)
    objection = instrument.objection(sized, None if close is None else Decimal(str(close)))
    return (sized, None, "") if objection is None else (order, *objection)


def proven(resources: Resources, day: dt.date, intents: Orders, known: set[str]) -> tuple[Orders, list[Refusal]]:
    """Take entries out that could not be explained afterwards, and mail what is missing; an exit goes, as of no known origin.

    Parameters
    ----------
    known
        Ids of orders that are on record, and pass.
    """
    lacking = resources.ledger.missing_evidence(intent for intent in intents if intent.client_order_id not in known)
    if not lacking:
        return intents, []
    resources.alerts.send(
        f"{len(lacking)} orders decided on {day} lack evidence",
        "Entries are not sent, exits are.\n" + "\n".join(_told(order_id, names) for order_id, names in lacking.items()),
    )
    refused = [each for each in intents if each.client_order_id in lacking and each.leg is Leg.ENTRY]
    kept = (each for each in intents if each not in refused)
    passed = tuple(replace(each, origin=Origin.OTHER) if each.client_order_id in lacking else each for each in kept)
    return passed, [Refusal(each.strategy, each.symbol, day, EVIDENCE) for each in refused]


def _told(order_id: str, names: list[str]) -> str:
    return f"{order_id}: no {', no '.join(names)} on record; {REMEDIES[names[0]]}."
