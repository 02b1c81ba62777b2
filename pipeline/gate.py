"""What is asked right before each order is sent: the lock, the deadline, and risk. Decides no order and sends none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.models import Leg
from core.sessions import calendar_name, open_of
from pipeline import risk_gate

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.models import OrderIntent
    from pipeline.resources import Resources
    from storage.locks import ExecutorLock

    Rule = Callable[[OrderIntent], str | None]


def gate_of(found: Resources, lock: ExecutorLock) -> Rule:
    """Why an order must not go out now, or None. No deadline and no limit holds an exit back.

    Raises
    ------
    core.errors.ExecutorBusy
        When the portfolio's lock was lost.
    """
    rules: tuple[Rule, ...] = (risk_gate.gate(found), lambda order: _late(found, order))

    def gate(order: OrderIntent) -> str | None:
        lock.require()
        return next((reason for rule in rules if (reason := rule(order)) is not None), None)

    return gate


def _late(found: Resources, order: OrderIntent) -> str | None:
    """An entry is for the open of its session, and is not sent after it."""
    if order.leg is Leg.EXIT or found.historical or found.clock() < open_of(order.session, calendar_name(order.symbol)):
        return None
    return f"the open of {order.session} has passed"
