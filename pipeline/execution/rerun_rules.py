"""What of a session's evening may still change: what has opened, what is on record, what was decided already.

A step that runs again, that evening or much later, asks here what it must leave alone. It writes nothing, and mails what came
too late.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from core.models import Leg, OrderIntent, OrderState
from core.sessions import next_session, open_of, sessions_between
from pipeline.accounts.valuation import last_recorded_session

if TYPE_CHECKING:
    from pipeline.resources import Resources
    from trading.decide import Decisions

Orders = Mapping[str, tuple[OrderIntent, OrderState]]  # by their id

log = structlog.get_logger()
PAST = "a later session is on record"
OPENED = "the next session has opened"
DECIDED = "orders were decided on what is stored"


def next_open(session: str) -> dt.date:
    """The session at whose open today's decisions are filled."""
    return next_session(dt.date.fromisoformat(session))


def has_opened(resources: Resources, day: dt.date) -> bool:
    """Whether the session after `day` has opened; in a finished history none ever does."""
    return not resources.historical and resources.clock() >= open_of(next_session(day))


def is_past(resources: Resources, day: dt.date) -> bool:
    """Whether a later session is on record."""
    newest = last_recorded_session(resources.ledger, resources.settings.portfolio)
    return newest is not None and day < newest


def stands(resources: Resources, day: dt.date) -> str | None:
    """Why the session's signals and predictions stand, or None: nothing has been decided on them yet."""
    if is_past(resources, day):
        return PAST
    return DECIDED if standing(resources, day, decided_at(resources, day)) else None


def value_stands(resources: Resources, day: dt.date) -> str | None:
    """Why the session's value on record stands, or None: it may be written, for the first time or again."""
    if is_past(resources, day):
        return PAST
    return (
        OPENED
        if last_recorded_session(resources.ledger, resources.settings.portfolio) == day and has_opened(resources, day)
        else None
    )


def unsettled(resources: Resources, day: dt.date) -> list[dt.date]:
    """Sessions the paper broker has yet to live through, oldest first; the newest on record once more, none before it."""
    newest = last_recorded_session(resources.ledger, resources.settings.portfolio)
    if newest is None or newest == day:
        return [day]
    return [stamp.date() for stamp in sessions_between(newest + dt.timedelta(days=1), day)]


def decided_at(resources: Resources, day: dt.date) -> Orders:
    """The orders on record that were decided at the session, with their states."""
    return {
        order.client_order_id: (order, state)
        for order, state in resources.ledger.orders_decided(resources.settings.portfolio, day)
    }


def standing(resources: Resources, day: dt.date, known: Orders) -> tuple[OrderIntent, ...]:
    """The orders for later sessions that the strategies that trade decided at this one before."""
    names = {strategy.name for strategy in resources.strategies}
    mine = (order for order, _ in known.values() if order.strategy in names and order.by_strategy)
    return tuple(order for order in mine if order.session > day)


def settled_on(resources: Resources, day: dt.date, decisions: Decisions, known: Orders) -> tuple[OrderIntent, ...]:
    """The orders of the day's decision, which is made once: what a run before this one wrote down for later sessions stands.

    Deciding again on predictions or prices that changed since would add orders to those sent already.
    """
    before = standing(resources, day, known)
    if not before:
        return decisions.intents
    fresh = [intent for intent in decisions.intents if intent.session > day and intent.client_order_id not in known]
    if fresh:
        log.warning("decision_stands", session=day.isoformat(), orders=len(before), not_added=len(fresh))
    return (*before, *(intent for intent in decisions.intents if intent.session <= day))


def in_time(resources: Resources, day: dt.date, intents: tuple[OrderIntent, ...]) -> tuple[OrderIntent, ...]:
    """All of them before the next open; after it only what is on record, of which the pre-send check lets no entry out."""
    if not has_opened(resources, day):
        return intents
    return tuple(intent for intent in intents if resources.ledger.order(intent.client_order_id) is not None)


def tell_late(
    resources: Resources, day: dt.date, decided: tuple[OrderIntent, ...], known: Orders, states: Mapping[str, OrderState]
) -> None:
    """Mail what the open came before: orders never written down, and entries that the pre-send check held back."""
    if not has_opened(resources, day):
        return
    before = {order_id: known[order_id][1] if order_id in known else None for order_id in states}
    unsent = [order_id for order_id, state in states.items() if state is OrderState.CANCELLED is not before[order_id]]
    refused = _refused_on(resources, day)
    never = [
        intent.client_order_id
        for intent in decided
        if resources.ledger.order(intent.client_order_id) is None and (intent.leg is Leg.EXIT or intent.symbol not in refused)
    ]
    if late := [*unsent, *never]:
        resources.alerts.send(
            f"{len(late)} orders for {next_session(day)} came too late",
            f"The session has opened, and none was sent: {', '.join(late)}.",
        )


def _refused_on(resources: Resources, day: dt.date) -> set[str]:
    """Symbols of which an entry was refused by an earlier run for the session."""
    events = resources.ledger.risk_events(resources.settings.portfolio)
    return set(events.loc[events["session"] == day, "symbol"])
