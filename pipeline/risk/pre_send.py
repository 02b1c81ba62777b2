"""Check every order right before it is sent: the lock, the deadline, and risk.

Exits pass, because they only reduce; `HALT_BLOCKS_EXITS=1` holds them too while the desk is halted.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from core.models import Leg
from core.sessions import calendar_name, open_of
from pipeline.risk import kill_switch
from pipeline.risk.venue_clock import CALENDAR, CLOCK, VenueTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.models import OrderIntent
    from pipeline.resources import Resources
    from storage.locks import ExecutorLock

    Check = Callable[[OrderIntent], str | None]

KILL_SWITCH, HEARTBEAT, DATA_GUARD = "kill_switch", "heartbeat", "data_guard"
Refused = tuple[str, dict[str, Any]]  # why, and the numbers


def gate(resources: Resources) -> Callable[[OrderIntent], str | None]:
    """Why an order must not be sent now, None when it may; a refusal leaves its row in `trading.risk_events`.

    One gate serves one run: the broker's clock and calendar are asked for its first entry alone, everything else each time.
    """
    time = VenueTime(resources)
    checks: dict[str, Callable[[OrderIntent], Refused | None]] = {
        KILL_SWITCH: partial(_kill_switch, resources),
        HEARTBEAT: partial(_heartbeat, resources),
        CLOCK: time.clock,
        CALENDAR: time.calendar,
        DATA_GUARD: partial(_data_guard, resources),
    }

    def ask(order: OrderIntent) -> str | None:
        for rule, check in checks.items():
            refused = check(order)
            if refused is not None:
                reason, details = refused
                resources.ledger.save_risk_events([event(order, rule, {"says": reason, **details})])
                return f"{rule}: {reason}"
        return None

    return ask


def event(order: OrderIntent, rule: str, details: dict[str, Any]) -> dict[str, Any]:
    """The row of a refusal."""
    return {
        "portfolio": order.portfolio,
        "strategy": order.strategy,
        "symbol": order.symbol,
        "session": order.decision_session,
        "reason": rule,
        "details": details,
    }


def _kill_switch(resources: Resources, order: OrderIntent) -> Refused | None:
    if order.leg is Leg.EXIT and not resources.settings.halt_blocks_exits:
        return None
    reason = kill_switch.standing(resources)
    return None if reason is None else (reason, {})


def _heartbeat(resources: Resources, order: OrderIntent) -> Refused | None:
    """Nobody watches the portfolio: open nothing."""
    most = resources.settings.heartbeat_max_age_seconds
    if order.leg is Leg.EXIT or most is None:
        return None
    last = resources.heartbeats.last(order.portfolio)
    age = None if last is None else (resources.clock() - last.at).total_seconds()
    if age is not None and age <= most:
        return None
    seen = "no heartbeat" if age is None else f"the last heartbeat {age:.0f} s ago"
    return f"expected the risk worker within {most:g} s, found {seen}", {"limit_seconds": most, "found_seconds": age}


def _data_guard(resources: Resources, order: OrderIntent) -> Refused | None:
    """The bars the order was decided on, or the symbol's quote, are in doubt."""
    findings = None if order.leg is Leg.EXIT else resources.guard_findings.blocking(order.decision_session, order.symbol)
    if findings is None:
        return None
    return f"{order.symbol} is in doubt: {', '.join(each['rule'] for each in findings)}", {"findings": findings}


def gate_of(resources: Resources, lock: ExecutorLock) -> Check:
    """Why an order must not go out now, or None. No deadline and no limit holds an exit back.

    Raises
    ------
    core.errors.ExecutorBusy
        When the portfolio's lock was lost.
    """
    rules: tuple[Check, ...] = (gate(resources), lambda order: _late(resources, order))

    def check(order: OrderIntent) -> str | None:
        lock.require()
        return next((reason for rule in rules if (reason := rule(order)) is not None), None)

    return check


def _late(resources: Resources, order: OrderIntent) -> str | None:
    """An entry is for the open of its session, and is not sent after it."""
    if order.leg is Leg.EXIT or resources.historical or resources.clock() < open_of(order.session, calendar_name(order.symbol)):
        return None
    return f"the open of {order.session} has passed"
