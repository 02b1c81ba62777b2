"""No entry without what it was decided on. Owns what becomes of an order whose evidence is not all on record; it finds none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from core.models import Leg, Origin
from storage.trading.evidence import REMEDIES
from trading.decide import Refusal

if TYPE_CHECKING:
    import datetime as dt

    from core.models import OrderIntent
    from pipeline.resources import Resources

EVIDENCE = "evidence"
Orders = tuple["OrderIntent", ...]


def proven(found: Resources, day: dt.date, intents: Orders, known: set[str]) -> tuple[Orders, list[Refusal]]:
    """Take entries out that could not be explained afterwards, and mail what is missing; an exit goes, as of no known origin.

    Parameters
    ----------
    known
        Ids of orders that are on record, and pass.
    """
    lacking = found.ledger.missing_evidence(intent for intent in intents if intent.client_order_id not in known)
    if not lacking:
        return intents, []
    found.alerts.send(
        f"{len(lacking)} orders decided on {day} lack evidence",
        "Entries are not sent, exits are.\n" + "\n".join(_told(order_id, names) for order_id, names in lacking.items()),
    )
    refused = [each for each in intents if each.client_order_id in lacking and each.leg is Leg.ENTRY]
    kept = (each for each in intents if each not in refused)
    passed = tuple(replace(each, origin=Origin.OTHER) if each.client_order_id in lacking else each for each in kept)
    return passed, [Refusal(each.strategy, each.symbol, day, EVIDENCE) for each in refused]


def _told(order_id: str, names: list[str]) -> str:
    return f"{order_id}: no {', no '.join(names)} on record; {REMEDIES[names[0]]}."
