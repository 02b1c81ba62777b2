"""Reconciliation: compare the venue with the ledger, correct the ledger where a rule allows it, and halt the desk otherwise."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import structlog

from core.errors import RetryLater, StopTrading, UnreadableAnswer
from core.models import FINAL, OrderState
from pipeline.accounts.corporate_actions import collect_fills
from pipeline.accounts.valuation import fill_query_start
from pipeline.resources import Resources, live
from pipeline.risk import kill_switch
from storage.locks import executor_lock
from trading.brokers.alpaca.protector import Protector
from trading.brokers.children import is_ours
from trading.brokers.intake import take_state
from trading.brokers.listing import Unreadable
from trading.brokers.reconcile import (
    EXPIRES,
    LedgerState,
    Mismatch,
    VenueState,
    compare,
    contradiction,
    expired,
    missed,
    protected_anew,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from core.models import OrderView
    from monitoring.alerts import Alerts
    from pipeline.accounts.trading_account import TradingAccount
    from trading.brokers.reconcile import Difference

log = structlog.get_logger()
PAPER = "paper"


@dataclass(frozen=True)
class ReconcileResult:
    """Differences of one reconciliation, and whether the desk is halted for them."""

    session: str
    broker: str
    differences: tuple[Difference, ...]
    halted: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON types, for a message between tasks."""
        counts = {"resolved": sum(each.resolved for each in self.differences), "open": self.open}
        return {"session": self.session, "broker": self.broker, "halted": self.halted, **counts}

    @property
    def open(self) -> int:
        """Number of differences that a person must settle."""
        return sum(not each.resolved for each in self.differences)


def reconcile(session: str, *, resources: Resources | None = None) -> ReconcileResult:
    """Compare orders, fills, positions and cash at the venue with the ledger, after `session` has closed.

    Fills the desk missed are taken; orders that the venue does not have, asked twice by id, and that can reach their open no
    more expire; stops that are gone are sent anew. What no rule resolves halts the desk: nothing is opened until a person
    resumes. Running it again changes nothing more.

    Raises
    ------
    core.errors.RetryLater
        When the venue does not answer; nothing is concluded then.
    """
    resources = resources or live()
    day, account = dt.date.fromisoformat(session), resources.account
    tolerance = Decimal(str(resources.settings.venue.cash_tolerance_usd))
    with executor_lock(resources.engine, account.portfolio):
        differences = _differences(account, day, tolerance)
        if any(each.halts or each.rule in EXPIRES for each in differences):  # the venue goes on meanwhile: seen twice
            taken = [each for each in differences if each.rule is Mismatch.MISSED_FILL]
            differences = (*taken, *_differences(account, day, tolerance))
        if any(each.rule is Mismatch.UNPROTECTED for each in differences) and resources.settings.venue.kind == "alpaca":
            with suppress(RetryLater):  # what is not done is a difference
                Protector(
                    resources.alpaca,
                    account.ledger,
                    account.portfolio,
                    alarm=_left_to_the_difference,
                    others=lambda: account.books[1:],
                ).check()
            differences = protected_anew(differences, _differences(account, day, tolerance))
        for order_id, reason in expired(differences).items():
            take_state(account.ledger, order_id, OrderState.EXPIRED, reason)
        halted = any(each.halts for each in differences)
        if halted and kill_switch.halt_reason(resources=resources) is None:
            kill_switch.halt(_halt_reason(differences), kill_switch.RECONCILIATION, resources=resources)
    resources.reconciliations.add(
        portfolio=account.portfolio,
        session=day,
        broker=account.broker.name,
        differences=[asdict(each) for each in differences],
        halted=halted,
    )
    for each in differences:
        log.warning("reconciliation", **asdict(each), resolved=each.resolved)
    _mail(resources.alerts, account.broker.name, [each for each in differences if each.is_alerted and not each.halts])
    return ReconcileResult(session, account.broker.name, differences, halted)


def _left_to_the_difference(words: str) -> None:
    """Send no mail of its own: a position that stays without a stop is a difference, which is mailed."""
    log.warning("still_unprotected", says=words)


def _differences(account: TradingAccount, day: dt.date, cash_tolerance_usd: Decimal) -> tuple[Difference, ...]:
    """Take what was missed, then compare; return both kinds of differences."""
    fresh = _take_missed_fills(account, day)
    ours, theirs = account.patience.retrying()(_both_states, account, fill_query_start(account.ledger, account.portfolio, day))
    return (*fresh, *compare(ours, theirs, day, cash_tolerance_usd=cash_tolerance_usd))


def _take_missed_fills(account: TradingAccount, day: dt.date) -> list[Difference]:
    """Take the venue's fills; each that the ledger did not have is a difference, and so is one that it cannot take."""
    ledger, portfolio = account.ledger, account.portfolio
    before = {fill.fill_id for _, fill in ledger.fills(portfolio)}
    untakable, since = [], fill_query_start(ledger, portfolio, day)
    try:
        collect_fills(account, since, day)
    except StopTrading as error:
        untakable = [contradiction(error)]
    return [*missed(fill for _, fill in ledger.fills(portfolio) if fill.fill_id not in before), *untakable]


def _ledger_state(account: TradingAccount, shown: Collection[str]) -> LedgerState:
    """Return orders, positions and cash as the ledger has them, and the ids of the desk's orders, `shown` ones too."""
    ledger, orders = account.ledger, account.ledger.open_orders(account.portfolio)
    positions = ledger.positions(account.portfolio)
    ids = {order.client_order_id for order, _ in orders}
    filled = {order_id: ledger.filled(order_id) for order_id in ids}
    known = {order_id: ledger.order(order_id) for order_id in {*shown} - ids - {""}}
    ended = frozenset(order_id for order_id, order in known.items() if order is not None and order[1] in FINAL)
    ids |= {order_id for order_id in shown if is_ours(ledger, order_id)}
    ids |= {position.entry_order_id for position in positions}
    return LedgerState(orders, positions, _expected_cash_usd(account), frozenset(ids), filled, ended)


def _expected_cash_usd(account: TradingAccount) -> Decimal:
    """Return the initial cash plus the cash flow of the fills; without a stated initial cash, the venue's cash."""
    if account.initial_cash_usd is None:
        return account.broker.cash_usd()
    return Decimal(str(account.initial_cash_usd)) + account.ledger.cash_flow_usd(account.portfolio)


def _both_states(account: TradingAccount, since: dt.datetime) -> tuple[LedgerState, VenueState]:
    """Return what the ledger has and what the venue has, the venue's answer first; an order that came meanwhile is left out."""
    theirs = _venue_state(account, since)
    shown = [view.client_order_id for view in theirs.working] + [each.client_order_id for each in theirs.unreadable]
    ours, requested = _ledger_state(account, shown), {*theirs.orders, *shown}
    return replace(ours, orders=[pair for pair in ours.orders if pair[0].client_order_id in requested]), theirs


def _venue_state(account: TradingAccount, since: dt.datetime) -> VenueState:
    """Return orders, positions and cash as the venue has them, with what cannot be read of them."""
    broker, unreadable = account.broker, []
    orders: dict[str, OrderView | None] = {}
    for order, _ in account.ledger.open_orders(account.portfolio):
        try:
            orders[order.client_order_id] = account.patience.retrying()(broker.find, order.client_order_id)
        except UnreadableAnswer as error:
            shown = f"{order.side} {order.quantity} {order.symbol}"
            unreadable.append(Unreadable(order.client_order_id, order.symbol, shown, str(error)))
    working, positions = broker.open_orders(), broker.positions()
    unreadable += [*working.unreadable, *broker.fills(since).unreadable]
    keeps_stops = broker.holds_brackets and broker.name != PAPER  # which executes them and lists none
    return VenueState(orders, working, positions, broker.cash_usd(), unreadable, positions.unreadable, keeps_stops)


def _halt_reason(differences: Sequence[Difference]) -> str:
    return "; ".join(
        f"{each.rule} {each.subject}: {each.expected} here, {each.found} there" for each in differences if each.halts
    )


def _mail(alerts: Alerts, broker: str, differences: Sequence[Difference]) -> None:
    """Mail differences that halt nothing and that a person must look at, if any."""
    if differences:
        lines = [
            f"{each.rule} {each.subject}: {each.expected} here, {each.found} there. {each.resolution}" for each in differences
        ]
        alerts.send(f"{len(differences)} differences to {broker}", "\n".join(lines))
