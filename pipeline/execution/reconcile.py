"""Reconciliation: ask the venue, bring the ledger to it where a rule says how, else halt. Owns the order of these."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import structlog

from core.errors import StopTrading
from core.models import OrderState
from pipeline.accounts.valuation import fill_query_start
from pipeline.resources import Resources, live
from pipeline.risk import kill_switch

if TYPE_CHECKING:
    from trading.brokers.reconcile import Desk, Difference, Venue

log = structlog.get_logger()


@dataclass(frozen=True)
class Outcome:
    """What one reconciliation found, and whether it halted the desk."""

    session: str
    broker: str
    differences: tuple[Difference, ...]
    halted: bool

    def as_dict(self) -> dict[str, Any]:
        """For a message between tasks."""
        counts = {"resolved": sum(each.resolved for each in self.differences), "open": self.open}
        return {"session": self.session, "broker": self.broker, "halted": self.halted, **counts}

    @property
    def open(self) -> int:
        """Differences that a person must look at."""
        return sum(not each.resolved for each in self.differences)


def reconcile(session: str, *, resources: Resources | None = None) -> Outcome:
    """Hold orders, fills, positions and cash at the venue against the ledger, after `session` has closed.

    Fills the desk missed are taken, orders that never arrived and can reach their open no more expire. What no rule resolves
    halts the desk: nothing is opened until a person resumes. Running it again changes nothing more.

    Raises
    ------
    core.errors.RetryLater
        When the venue does not answer; nothing is concluded then.
    """
    from storage.locks import executor_lock
    from trading.brokers.reconcile import Rule, expired

    resources = resources or live()
    day, portfolio = dt.date.fromisoformat(session), resources.settings.portfolio
    with executor_lock(resources.engine, portfolio):
        everything = _looked(resources, day)
        if any(each.halts for each in everything):  # the venue goes on while it is asked: what halts is seen twice
            told = [each for each in everything if each.rule is Rule.MISSED_FILL]
            everything = (*told, *_looked(resources, day))
        for order_id in expired(everything):
            resources.ledger.transition(order_id, OrderState.EXPIRED, "reconciliation: it never reached the venue")
        halted = _halt(resources, everything)
    resources.reconciliations.add(
        portfolio=portfolio,
        session=day,
        broker=resources.broker.name,
        differences=[asdict(each) for each in everything],
        halted=halted,
    )
    _tell(resources, everything, halted=halted)
    return Outcome(session, resources.broker.name, everything, halted)


def _looked(resources: Resources, day: dt.date) -> tuple[Difference, ...]:
    """One look at both: what was missed, and what still differs once it is taken."""
    from trading.brokers.reconcile import compare

    fresh = _collected(resources, day)
    tolerance = Decimal(str(resources.settings.reconcile_cash_tolerance_usd))
    return (*fresh, *compare(*resources.patience.retrying()(_both, resources), day, cash_tolerance_usd=tolerance))


def _collected(resources: Resources, day: dt.date) -> list[Difference]:
    """Take what the venue filled; what the ledger did not have is a difference, and so is what it cannot take."""
    from trading.brokers.intake import collect
    from trading.brokers.reconcile import contradiction, missed

    portfolio = resources.settings.portfolio
    before = {fill.fill_id for _, fill in resources.ledger.fills(portfolio)}
    strange, since = [], fill_query_start(resources.ledger, portfolio, day)
    try:
        resources.patience.retrying()(collect, resources.ledger, resources.broker, portfolio, since)
    except StopTrading as error:
        strange = [contradiction(error)]
    return [*missed(fill for _, fill in resources.ledger.fills(portfolio) if fill.fill_id not in before), *strange]


def _both(resources: Resources) -> tuple[Desk, Venue]:
    return _desk(resources), _venue(resources)


def _desk(resources: Resources) -> Desk:
    from trading.brokers.reconcile import Desk

    portfolio = resources.settings.portfolio
    orders = resources.ledger.open_orders(portfolio)
    known = {order.client_order_id for order, _ in orders}
    known |= {view.client_order_id for view in resources.broker.open_orders() if _meant(resources, view.client_order_id)}
    known |= {position.entry_order_id for position in resources.ledger.positions(portfolio)}
    return Desk(orders, resources.ledger.positions(portfolio), _expected_cash_usd(resources), frozenset(known))


def _meant(resources: Resources, client_order_id: str) -> bool:
    from trading.brokers.children import is_ours

    return bool(client_order_id) and is_ours(resources.ledger, client_order_id)


def _expected_cash_usd(resources: Resources) -> Decimal:
    """The first cash and what the fills brought since. A venue's account had other money before: its own first reading."""
    flow = resources.ledger.cash_flow_usd(resources.settings.portfolio)
    if resources.paper is not None:
        return Decimal(str(resources.settings.initial_cash_usd)) + flow
    base = resources.settings.broker_initial_cash_usd
    return resources.broker.cash_usd() if base is None else Decimal(str(base)) + flow


def _venue(resources: Resources) -> Venue:
    from trading.brokers.reconcile import Venue

    orders = [order.client_order_id for order, _ in resources.ledger.open_orders(resources.settings.portfolio)]
    return Venue(
        {order_id: resources.broker.find(order_id) for order_id in orders},
        list(resources.broker.open_orders()),
        list(resources.broker.positions()),
        resources.broker.cash_usd(),
    )


def _halt(resources: Resources, differences: tuple[Difference, ...]) -> bool:
    """Turn the kill switch for what no rule resolves; a desk that stands halted already is not halted again."""
    stopping = [each for each in differences if each.halts]
    if not stopping:
        return False
    if kill_switch.halt_reason(resources) is None:
        words = "; ".join(f"{each.rule} {each.subject}: {each.expected} here, {each.found} there" for each in stopping)
        kill_switch.halt(words, kill_switch.RECONCILIATION, resources=resources)
    return True


def _tell(resources: Resources, differences: tuple[Difference, ...], *, halted: bool) -> None:
    for each in differences:
        log.warning("reconciliation", **asdict(each), resolved=each.resolved)
    looked_at = [each for each in differences if not each.resolved]
    if looked_at and not halted:
        lines = [
            f"{each.rule} {each.subject}: {each.expected} here, {each.found} there. {each.resolution}" for each in looked_at
        ]
        resources.alerts.send(f"{len(looked_at)} differences to {resources.broker.name}", "\n".join(lines))
