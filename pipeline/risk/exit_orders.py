"""Exits that no strategy decided: sales for risk, and at stops that the desk watches. Owns their ids and sizes; sends none.

An arm in the id tells them from the strategy's own exit, which may have been cancelled for the same session, and numbers the
attempts of a session: one that is on its way is never doubled, one that failed is followed by another.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from core.models import FINAL, SENT, Leg, OrderState, Origin, client_order_id
from core.sessions import calendar_name, last_closed_session, next_session, open_of
from trading.orders import exit_order

if TYPE_CHECKING:
    import datetime as dt
    from decimal import Decimal

    from core.models import OrderIntent, Position
    from pipeline.resources import Resources

log = structlog.get_logger()
FLATTEN, WATCH = "flatten", "watch"  # the arms
ORIGINS = {FLATTEN: Origin.RISK, WATCH: Origin.WATCH}
ATTEMPTS = 99


def working(resources: Resources) -> dict[tuple[str, str], tuple[OrderIntent, OrderState]]:
    """The exit of each strategy and symbol whose life is not over; of several the one that is farthest on its way."""
    orders = [pair for pair in resources.ledger.open_orders(resources.settings.portfolio) if pair[0].leg is Leg.EXIT]
    way = {OrderState.INTENT: 0} | dict.fromkeys(SENT, 1)
    return {
        (order.strategy, order.symbol): (order, state) for order, state in sorted(orders, key=lambda pair: way.get(pair[1], 2))
    }


def exit_of(resources: Resources, position: Position, arm: str, day: dt.date | None = None) -> OrderIntent | None:
    """The exit of a position under an arm: the one on its way, else a new one; None when the venue has nothing to sell."""
    decided, session = sessions_of(resources, position.symbol, day)
    quantity = _at_venue(resources, position)
    if quantity <= 0:
        log.error("position_not_at_venue", symbol=position.symbol, quantity=str(position.quantity), remedy="desk reconcile")
        return None
    order = exit_order(position, decision_session=decided, session=session, origin=ORIGINS[arm])
    order = replace(order, quantity=quantity)
    for attempt in range(1, ATTEMPTS + 1):
        name = f"{arm}-{attempt}"
        number = client_order_id(order.portfolio, order.strategy, order.symbol, order.session, order.leg, arm=name)
        known = resources.ledger.order(number)
        if known is None:
            return replace(order, client_order_id=number, arm=name)
        if known[1] not in FINAL:
            return known[0]
    log.error("exit_never_filled", symbol=position.symbol, attempts=ATTEMPTS)
    return None


def sessions_of(resources: Resources, symbol: str, day: dt.date | None = None) -> tuple[dt.date, dt.date]:
    """The session an order is decided at and the one it is for: one during a session, else the newest close and the next.

    Parameters
    ----------
    day
        The session at whose close it is decided; None: the present moment.
    """
    calendar = calendar_name(symbol)
    if day is None and resources.historical:
        day = max(resources.bars.last_sessions().values())
    if day is not None:
        return day, next_session(day, calendar)
    now = resources.clock()
    closed = last_closed_session(now, calendar)
    coming = next_session(closed, calendar)
    return (coming, coming) if now >= open_of(coming, calendar) else (closed, coming)


def _at_venue(resources: Resources, position: Position) -> Decimal:
    """The quantity to sell: never more than the venue holds in that direction, or the exit would open the other side."""
    side = 1 if position.quantity > 0 else -1
    nothing = position.quantity * 0
    book = [each.quantity for each in resources.ledger.positions(position.portfolio) if each.symbol == position.symbol]
    venue = {each.symbol: each.quantity for each in resources.broker.positions()}.get(position.symbol, nothing)
    if venue == sum(book, nothing):  # strategies on both sides of a symbol are netted at the venue
        return abs(position.quantity)
    return min(abs(position.quantity), side * venue)
