"""Selling everything: open orders are cancelled first, then every position gets its exit. It judges no risk.

It may be called again until nothing is left: an exit that is on its way is not sent twice, one that failed is followed by
another under a new id. Whoever calls it holds the executor's lock and has halted the desk, so that nothing is opened meanwhile.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from core.models import FINAL, OrderState
from pipeline.resources import Resources, live
from pipeline.risk import exit_orders
from trading.brokers.intake import collect
from trading.brokers.placing import cancel, place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.models import OrderIntent, Position
    from trading.brokers.placing import Patience

log = structlog.get_logger()
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
    resources = resources or live()
    portfolio, patience = resources.settings.portfolio, resources.patience
    cancelled = tuple(_cancel_all(resources, reason, patience))
    collect(resources.ledger, resources.broker, portfolio, resources.clock() - LOOK_BACK)
    orders = [order for each in resources.ledger.positions(portfolio) if (order := _exit(resources, each, day)) is not None]
    states = place(resources.ledger, resources.broker, orders, patience=patience)
    collect(resources.ledger, resources.broker, portfolio, resources.clock() - LOOK_BACK)
    done = Flattening(cancelled, tuple(states), tuple(resources.ledger.positions(portfolio)))
    log.warning("flattened", reason=reason, cancelled=cancelled, exits=done.exits, left=len(done.left))
    return done


def _cancel_all(resources: Resources, reason: str, patience: Patience) -> Iterator[str]:
    """Cancel what the book has open, and what rests at the venue without the book: brackets' children.

    Exits with an arm go on: they sell at once what the strategy's own may sell at a later open.
    """
    kept = set()
    for order, _ in resources.ledger.open_orders(resources.settings.portfolio):
        if not order.by_strategy:
            kept.add(order.client_order_id)
            continue
        cancel(resources.ledger, resources.broker, order.client_order_id, reason, patience=patience)
        yield order.client_order_id
    for view in patience.retrying()(resources.broker.open_orders):
        if view.client_order_id not in kept and view.state not in {*FINAL, OrderState.CANCEL_PENDING}:
            patience.retrying()(resources.broker.cancel, view.client_order_id)
            yield view.client_order_id


def _exit(resources: Resources, position: Position, day: dt.date | None) -> OrderIntent | None:
    """The exit of a position: one with an arm that is on its way, whatever session it was for, else a new one."""
    order, _ = exit_orders.working(resources).get((position.strategy, position.symbol), (None, None))
    return order if order is not None and order.arm else exit_orders.exit_of(resources, position, exit_orders.FLATTEN, day)
