"""Selling everything: open orders are cancelled first, then every position gets its exit. It judges no risk.

It may be called again until nothing is left: an exit that is on its way is not sent twice, one that failed is followed by
another under a new id. Whoever calls it holds the executor's lock and has halted the desk, so that nothing is opened meanwhile.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from core.models import FINAL, Leg, OrderState, client_order_id
from core.sessions import calendar_name, last_closed_session, next_session, open_of
from pipeline.resources import Resources, live
from trading.brokers.intake import collect
from trading.brokers.placing import cancel, place
from trading.orders import exit_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from core.models import OrderIntent, Position
    from trading.brokers.placing import Patience

log = structlog.get_logger()
ARM = "flatten"  # tells these exits from the strategy's own, which may have been cancelled for the same session
LOOK_BACK = dt.timedelta(days=7)


@dataclass(frozen=True)
class Flattening:
    """What was done: ids of orders cancelled or being cancelled, of exits on their way, and the positions still held."""

    cancelled: tuple[str, ...]
    exits: tuple[str, ...]
    left: tuple[Position, ...]

    @property
    def flat(self) -> bool:
        """Whether nothing is held any more."""
        return not self.left


def flatten(reason: str, *, day: dt.date | None = None, resources: Resources | None = None) -> Flattening:
    """Cancel every open order of the portfolio, then order the exit of every position.

    Parameters
    ----------
    day
        The session at whose close this was decided, for the daily run; None: the present moment, during a session or after it.

    Raises
    ------
    core.errors.RetryLater
        When the broker does not answer: call again.
    """
    found = resources or live()
    portfolio, patience = found.settings.portfolio, found.patience
    cancelled = tuple(_cancel_all(found, reason, patience))
    collect(found.ledger, found.broker, portfolio, found.clock() - LOOK_BACK)
    orders = tuple(
        order for position in found.ledger.positions(portfolio) if (order := _exit(found, position, day)) is not None
    )
    states = place(found.ledger, found.broker, orders, patience=patience)
    collect(found.ledger, found.broker, portfolio, found.clock() - LOOK_BACK)
    done = Flattening(cancelled, tuple(states), tuple(found.ledger.positions(portfolio)))
    log.warning("flattened", reason=reason, cancelled=cancelled, exits=done.exits, left=len(done.left))
    return done


def _cancel_all(found: Resources, reason: str, patience: Patience) -> Iterator[str]:
    """Cancel what the book has open, our own exits apart, and what rests at the venue without the book: brackets' children."""
    kept = set()
    for order, _ in found.ledger.open_orders(found.settings.portfolio):
        if order.leg is Leg.EXIT and order.arm.startswith(ARM):
            kept.add(order.client_order_id)
            continue
        cancel(found.ledger, found.broker, order.client_order_id, reason, patience=patience)
        yield order.client_order_id
    for view in patience.retrying()(found.broker.open_orders):
        if view.client_order_id not in kept and view.state not in {*FINAL, OrderState.CANCEL_PENDING}:
            patience.retrying()(found.broker.cancel, view.client_order_id)
            yield view.client_order_id


def _exit(found: Resources, position: Position, day: dt.date | None) -> OrderIntent | None:
    """The exit of a position: the one on its way, else a new one; None when the venue has nothing to sell."""
    decided, session = sessions_of(found, position.symbol, day)
    quantity = _at_venue(found, position)
    if quantity <= 0:
        log.error("position_not_at_venue", symbol=position.symbol, quantity=str(position.quantity), remedy="cli reconcile")
        return None
    order = replace(exit_order(position, decision_session=decided, session=session), quantity=quantity)
    for attempt in range(1, 100):
        arm = f"{ARM}-{attempt}"
        number = client_order_id(order.portfolio, order.strategy, order.symbol, order.session, order.leg, arm=arm)
        known = found.ledger.order(number)
        if known is None:
            return replace(order, client_order_id=number, arm=arm)
        if known[1] not in FINAL:
            return known[0]
    log.error("exit_never_filled", symbol=position.symbol, attempts=attempt)
    return None


def _at_venue(found: Resources, position: Position) -> Decimal:
    """The quantity to sell: never more than the venue holds in that direction, or the exit would open the other side."""
    side = 1 if position.quantity > 0 else -1
    nothing = position.quantity * 0
    book = [each.quantity for each in found.ledger.positions(position.portfolio) if each.symbol == position.symbol]
    venue = {each.symbol: each.quantity for each in found.broker.positions()}.get(position.symbol, nothing)
    if venue == sum(book, nothing):  # strategies on both sides of a symbol are netted at the venue
        return abs(position.quantity)
    return min(abs(position.quantity), side * venue)


def sessions_of(found: Resources, symbol: str, day: dt.date | None = None) -> tuple[dt.date, dt.date]:
    """The session an order is decided at and the one it is for: one during a session, else the newest close and the next."""
    calendar = calendar_name(symbol)
    if day is None and found.historical:
        day = max(found.bars.last_sessions().values())
    if day is not None:
        return day, next_session(day, calendar)
    now = found.clock()
    closed = last_closed_session(now, calendar)
    coming = next_session(closed, calendar)
    return (coming, coming) if now >= open_of(coming, calendar) else (closed, coming)
