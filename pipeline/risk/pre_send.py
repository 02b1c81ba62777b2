"""Pre-send checks: every order passes them right before it is sent.

Exits pass, because they only reduce; `PRE_SEND__HALT_BLOCKS_EXITS=1` holds them too while the desk is halted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from core.ages import seconds_ahead
from core.models import Leg
from core.sessions import calendar_name, open_of
from pipeline.resources import Resources, live
from pipeline.risk.equity_bounds import UNREADABLE_EQUITY
from pipeline.risk.kill_switch import KillSwitch
from pipeline.risk.objection import Objection, risk_event
from pipeline.risk.venue_clock import CalendarCheck, ClockCheck, VenueClock

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from core.models import OrderIntent
    from storage.locks import ExecutorLock
    from storage.trading.deployments import Deployments
    from storage.trading.guard_findings import GuardFindings
    from storage.trading.heartbeats import Heartbeat, Heartbeats
    from storage.trading.ledger import Ledger

KILL_SWITCH, HEARTBEAT, DATA_GUARD = "kill_switch", "heartbeat", "data_guard"
DEPLOYMENT = "deployment"


class PreSendRule(Protocol):
    """One rule that an order must pass right before it is sent."""

    @property
    def rule(self) -> str:
        """Name of the rule, the reason of its rows in `trading.risk_events`."""
        ...

    def check(self, order: OrderIntent) -> Objection | None:
        """Return the objection to sending the order now; None when it passes."""
        ...


@dataclass(frozen=True)
class KillSwitchCheck:
    """Refuse orders of a halted portfolio; exits only when `blocks_exits`."""

    switch: KillSwitch
    blocks_exits: bool
    rule: str = KILL_SWITCH

    def check(self, order: OrderIntent) -> Objection | None:
        """Read both switches."""
        if order.leg is Leg.EXIT and not self.blocks_exits:
            return None
        reason = self.switch.halt_reason()
        return None if reason is None else Objection(reason)


@dataclass(frozen=True)
class DeploymentCheck:
    """Refuse entries of a deployment that was paused or retired since they were decided."""

    deployments: Deployments
    rule: str = DEPLOYMENT

    def check(self, order: OrderIntent) -> Objection | None:
        """Read the newest version of the order's deployment."""
        newest = None if order.leg is Leg.EXIT else self.deployments.get(order.portfolio)
        return None if newest is None or newest.block is None else Objection(newest.block)


@dataclass(frozen=True)
class HeartbeatCheck:
    """Refuse entries while the risk worker does not watch the portfolio, or does not believe its equity.

    `max_age_seconds` None refuses none for the heartbeat's age.

    Attributes
    ----------
    ahead_seconds
        The most that a heartbeat may be in the future: one from further on says nothing about this moment.
    """

    heartbeats: Heartbeats
    clock: Callable[[], dt.datetime]
    max_age_seconds: float | None
    ahead_seconds: float
    rule: str = HEARTBEAT

    def check(self, order: OrderIntent) -> Objection | None:
        """Read the last heartbeat."""
        if order.leg is Leg.EXIT:
            return None
        last, now = self.heartbeats.last(order.portfolio), self.clock()
        if last is not None and UNREADABLE_EQUITY in last.breaches:
            says = last.breaches[UNREADABLE_EQUITY]["says"]
            words = (
                f"the risk worker does not believe the equity: {says}. Look at the account, then run `desk risk-worker --once`"
            )
            return Objection(words, {UNREADABLE_EQUITY: says})
        return self._aged(last, now)

    def _aged(self, last: Heartbeat | None, now: dt.datetime) -> Objection | None:
        """Hold the age of the last heartbeat against its bounds."""
        limit = self.max_age_seconds
        if limit is None:
            return None
        age = None if last is None else (now - last.at).total_seconds()
        ahead = 0.0 if last is None else seconds_ahead(last.at, now, self.ahead_seconds)
        if age is not None and age <= limit and not ahead:
            return None
        seen = "no heartbeat" if age is None else f"the last heartbeat {age:.0f} s ago"
        if ahead:
            seen = f"the last heartbeat {ahead:.0f} s in the future: a clock is wrong"
        details = {"limit_seconds": limit, "found_seconds": age}
        return Objection(f"expected the risk worker within {limit:g} s, found {seen}", details)


@dataclass(frozen=True)
class DataGuardCheck:
    """Refuse entries in a symbol whose bars or quote data-guard has blocked at the decision session."""

    findings: GuardFindings
    rule: str = DATA_GUARD

    def check(self, order: OrderIntent) -> Objection | None:
        """Read the newest findings of the symbol."""
        findings = None if order.leg is Leg.EXIT else self.findings.blocking(order.decision_session, order.symbol)
        if findings is None:
            return None
        return Objection(f"{order.symbol} is in doubt: {', '.join(each['rule'] for each in findings)}", {"findings": findings})


@dataclass(frozen=True)
class RiskChecks:
    """The checks of risk, in their order; a refusal is stored in `trading.risk_events`.

    One object serves one run: the broker's clock and calendar are read for its first entry alone, everything else each time.
    """

    checks: tuple[PreSendRule, ...]
    ledger: Ledger

    def __call__(self, order: OrderIntent) -> str | None:
        """Return the reason why the order must not be sent now; None when it may."""
        for each in self.checks:
            objection = each.check(order)
            if objection is not None:
                row = risk_event(order, each.rule, {"says": objection.reason, **objection.details})
                self.ledger.save_risk_events([row])
                return f"{each.rule}: {objection.reason}"
        return None


@dataclass(frozen=True)
class PreSendChecks:
    """Everything that an order must pass: the executor's lock, risk, and the deadline of entries.

    No deadline and no limit holds an exit back.
    """

    lock: ExecutorLock
    risk: RiskChecks
    clock: Callable[[], dt.datetime]
    historical: bool

    def __call__(self, order: OrderIntent) -> str | None:
        """Return the reason why the order must not be sent now; None when it may.

        Raises
        ------
        core.errors.ExecutorBusy
            When the portfolio's lock was lost.
        """
        self.lock.require()
        return self.risk(order) or self._too_late(order)

    def _too_late(self, order: OrderIntent) -> str | None:
        """Return the objection to an entry after the open of its session; a finished history has no present."""
        if order.leg is Leg.EXIT or self.historical or self.clock() < open_of(order.session, calendar_name(order.symbol)):
            return None
        return f"the open of {order.session} has passed"


def risk_checks(*, resources: Resources | None = None) -> RiskChecks:
    """Build the checks of risk for one run."""
    resources = resources or live()
    settings = resources.settings
    venue = VenueClock.of(resources)
    return RiskChecks(
        (
            KillSwitchCheck(KillSwitch.of(resources), settings.pre_send.halt_blocks_exits),
            DeploymentCheck(resources.deployments),
            HeartbeatCheck(
                resources.heartbeats,
                resources.clock,
                settings.pre_send.heartbeat_max_age_seconds,
                settings.pre_send.clock_tolerance_seconds,
            ),
            ClockCheck(venue),
            CalendarCheck(venue),
            DataGuardCheck(resources.guard_findings),
        ),
        resources.ledger,
    )


def pre_send_checks(lock: ExecutorLock, *, resources: Resources | None = None) -> PreSendChecks:
    """Build everything that the orders of one run must pass, under the portfolio's lock."""
    resources = resources or live()
    return PreSendChecks(lock, risk_checks(resources=resources), resources.clock, resources.historical)
