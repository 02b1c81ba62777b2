"""The checks of decided orders that need the ledger, the venue or the clock; each is a `trading.order_check.OrderCheck`.

What is decided is fractional. A venue that takes whole shares, or one with a smallest order, gets less and never more. The
check against the risk rules is `pipeline.risk.review.RiskReview`.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import structlog

from core.errors import UnknownSymbol
from core.models import Leg, Origin, Refused
from pipeline.risk.objection import risk_event
from storage.trading.evidence import REMEDIES
from trading.decide import Refusal

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection

    from core.models import Instrument, OrderIntent
    from monitoring.alerts import Alerts
    from pipeline.accounts.trading_account import TradingAccount
    from pipeline.execution.rerun_rules import RerunRules
    from storage.trading.ledger import Ledger
    from trading.decide import Key
    from trading.order_check import Intents, OrderContext

EVIDENCE, DEPLOYMENT = "evidence", "deployment"

log = structlog.get_logger()


def check_decided_once(
    context: OrderContext, intents: Intents, *, standing: Intents, positions: Collection[Key] = ()
) -> tuple[Intents, list[Refusal]]:
    """Replace orders for later sessions by those that an earlier run decided: a session is decided once.

    Deciding again on predictions or prices that changed since would add orders to those sent already.

    Parameters
    ----------
    standing
        Orders for later sessions that an earlier run decided at this session; empty before the first.
    positions
        Those that their own rules leave: their exits are sent whatever the listed strategies have decided.
    """
    if not standing:
        return intents, []
    ids = {order.client_order_id for order in standing}
    others = [each for each in intents if each.client_order_id not in ids]
    kept = [
        each
        for each in others
        if each.session <= context.session or (each.leg is Leg.EXIT and (each.strategy, each.symbol) in positions)
    ]
    fresh = [each for each in others if each not in kept and context.is_new(each)]
    if fresh:
        log.warning("decision_stands", session=context.session.isoformat(), orders=len(standing), not_added=len(fresh))
    return (*standing, *kept), []


def check_in_time(context: OrderContext, intents: Intents, *, rules: RerunRules) -> tuple[Intents, list[Refusal]]:
    """Keep only orders on record once the next session has opened; the pre-send check lets none of their entries out."""
    if not rules.has_opened(context.session):
        return intents, []
    return tuple(intent for intent in intents if rules.ledger.order(intent.client_order_id) is not None), []


def check_deployment(
    context: OrderContext, intents: Intents, *, objections: Callable[[dt.date], list[str]], alerts: Alerts | None = None
) -> tuple[Intents, list[Refusal]]:
    """Refuse new entries when the deployment's state or its own validation does not allow them, and mail the reasons.

    Parameters
    ----------
    objections
        The reasons why the deployment may open nothing in a session; none when it may.
    alerts
        None mails nothing: a pause was mailed when it was made.
    """
    entries = context.new_entries(intents)
    found = objections(context.session) if entries else []
    if not found:
        return intents, []
    if alerts is not None:
        alerts.send(f"{len(entries)} entries decided on {context.session} were not ordered", "\n".join(found))
    kept = tuple(intent for intent in intents if intent not in entries)
    return kept, [_refusal(context, intent, DEPLOYMENT) for intent in entries]


def check_venue_grid(
    context: OrderContext,
    intents: Intents,
    *,
    account: TradingAccount,
    close_at: Callable[[str, dt.date], float | None],
    correct: Callable[[Instrument], Instrument] | None = None,
) -> tuple[Intents, list[Refusal]]:
    """Round entries down to quantities that the venue takes; refuse those that come to nothing, with the numbers on record.

    Exits sell what is held, and what is on record stands as it was written.

    Parameters
    ----------
    close_at
        Close of a symbol on a day, None when there is none.
    correct
        From the venue's grid to the one with a person's corrections.

    Raises
    ------
    core.errors.RetryLater
        When the venue does not say what it takes.
    """
    kept, refused, checked = [], [], context.new_entries(intents)
    for order in intents:
        if order not in checked:
            kept.append(order)
            continue
        sized, reason, words = _round_to_venue(context, order, account, close_at, correct)
        if reason is None:
            kept.append(sized)
        else:
            account.ledger.save_risk_events([risk_event(order, reason, {"says": words, "decided": float(order.quantity)})])
            refused.append(_refusal(context, order, reason))
    return tuple(kept), refused


def check_evidence(context: OrderContext, intents: Intents, *, ledger: Ledger, alerts: Alerts) -> tuple[Intents, list[Refusal]]:
    """Refuse entries whose decision inputs are not all stored, and mail what is missing; such an exit goes, without an origin.

    Orders on record pass.
    """
    lacking = ledger.missing_evidence(intent for intent in intents if context.is_new(intent))
    if not lacking:
        return intents, []
    alerts.send(
        f"{len(lacking)} orders decided on {context.session} lack evidence",
        "Entries are not sent, exits are.\n" + "\n".join(_missing_line(order_id, names) for order_id, names in lacking.items()),
    )
    refused = [each for each in intents if each.client_order_id in lacking and each.leg is Leg.ENTRY]
    passed = (each for each in intents if each not in refused)
    kept = tuple(replace(each, origin=Origin.OTHER) if each.client_order_id in lacking else each for each in passed)
    return kept, [_refusal(context, each, EVIDENCE) for each in refused]


def _refusal(context: OrderContext, order: OrderIntent, reason: str) -> Refusal:
    return Refusal(order.strategy, order.symbol, context.session, reason)


def _round_to_venue(
    context: OrderContext,
    order: OrderIntent,
    account: TradingAccount,
    close_at: Callable[[str, dt.date], float | None],
    correct: Callable[[Instrument], Instrument] | None,
) -> tuple[OrderIntent, str | None, str]:
    """Return the order in a quantity that the venue takes; or the order, the reason why there is none, and its words."""
    try:
        instrument = account.patience.retrying()(account.broker.instrument, order.symbol)
    except UnknownSymbol:
        return order, Refused.UNKNOWN_SYMBOL, f"{account.broker.name} does not trade it"
    instrument = instrument if correct is None else correct(instrument)
    rounded = instrument.rounded(order.quantity)
    sized = order if rounded == order.quantity else replace(order, quantity=rounded)
    close = close_at(order.symbol, context.session)
    objection = instrument.objection(sized, None if close is None else Decimal(str(close)))
    return (sized, None, "") if objection is None else (order, *objection)


def _missing_line(order_id: str, names: list[str]) -> str:
    return f"{order_id}: no {', no '.join(names)} on record; {REMEDIES[names[0]]}."
