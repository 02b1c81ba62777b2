"""The daily trade: settle the session, decide at its close, place orders for the next open, record.

Every step takes the session whose close has just passed and is safe to run again, at any later time: intents have deterministic
ids and are committed before anything is sent, and what was decided upon is not written over. A newcomer reads this file, then
`trading/decide.py`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from core.failpoints import reach
from core.models import WORKING, Leg, OrderState
from core.sessions import open_of
from pipeline.accounts.corporate_actions import apply_corporate_actions, collect_fills
from pipeline.accounts.valuation import cash_at, closing_prices, fill_query_start, positions_at
from pipeline.accounts.venue_grid import VenueGrid
from pipeline.bars import VIX, bars_by_symbol
from pipeline.deployments.venue_books import return_ended_capital
from pipeline.execution.entry_blocks import EntryBlocks
from pipeline.execution.exit_rules import ExitRuleBook, alert_orphans, sources_of
from pipeline.execution.order_checks import (
    check_decided_once,
    check_deployment,
    check_evidence,
    check_in_time,
    check_venue_grid,
)
from pipeline.execution.prediction_client import request_predictions
from pipeline.execution.rerun_rules import PAST, RerunRules, mail_late_orders, next_open
from pipeline.execution.sleeve_decisions import SleeveDecisions, sleeve_values, stored_signals
from pipeline.execution.step_results import (
    Confirmation,
    Placement,
    PredictionsStored,
    Settlement,
    SignalsStored,
    ValueRecorded,
)
from pipeline.resources import Resources, live
from pipeline.risk.equity_bounds import UNREADABLE_EQUITY, EquityBounds
from pipeline.risk.pre_send import pre_send_checks
from pipeline.risk.review import RiskReview
from pipeline.signals import sleeve_signals
from pipeline.sleeves import unfiltered
from pipeline.training.ab_assignment import ArmAssignment
from storage.locks import executor_lock
from trading.brokers.placing import cancel
from trading.brokers.placing import place as send
from trading.decide import Decisions
from trading.order_check import OrderContext, run_order_checks
from trading.portfolio import account as value_account
from trading.portfolio import trades_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from core.models import OrderIntent
    from pipeline.accounts.trading_account import TradingAccount
    from pipeline.execution.rerun_rules import OrdersById
    from storage.locks import ExecutorLock
    from storage.trading.ledger import Ledger
    from trading.brokers.paper import PaperBroker
    from trading.decide import Refusal
    from trading.order_check import OrderCheck

log = structlog.get_logger()
ENTER = "enter"  # the API's word for an accepted candidate


def settle(session: str, *, resources: Resources | None = None) -> Settlement:
    """Process every session since the last recorded one: fills at the open, stops, targets.

    The paper broker processes a session from its bars, and never again once a later one is on record. A real venue has done so
    by itself: its fills since are brought into the ledger, and an entry still open there after its session is cancelled.
    """
    resources = resources or live()
    day, account = dt.date.fromisoformat(session), resources.account
    with executor_lock(resources.engine, account.portfolio):
        if resources.paper is not None:
            fills = _simulate(resources.paper, account, rerun_rules(resources).unsettled(day))
        else:
            fills = collect_fills(account, fill_query_start(account.ledger, account.portfolio, day), day)
            _cancel_past_entries(account, day)
    reach("settle.settled")
    return Settlement(session, fills)


def candidates(session: str, *, resources: Resources | None = None) -> SignalsStored:
    """Store the signals of every strategy at the close of the session; those that orders were decided on stand.

    Positions that none of them leaves get the signals of their own rules (`pipeline.execution.exit_rules`), for their exits.
    """
    resources = resources or live()
    reason = rerun_rules(resources).why_inputs_stand(dt.date.fromisoformat(session), resources.strategies)
    if reason is not None:
        return SignalsStored(session, reason=reason)
    ledger, portfolio, day = resources.ledger, resources.settings.portfolio, dt.date.fromisoformat(session)
    listed = sleeve_signals(resources.sleeves, bars_by_symbol(resources.bars, session, resources.universe()), day)
    exits = ExitRuleBook.of(resources).rules_of(ledger.positions(portfolio))
    alert_orphans(exits.orphans, day, portfolio, ledger, resources.alerts)
    signals = exits.add_signals(listed, day, bars_by_symbol(resources.bars, session, exits.symbols))
    if not signals.empty:
        free = unfiltered(resources.sleeves)
        resources.ledger.save_signals(signals.assign(filtered=[name not in free for name in signals["strategy"]]))
    reach("candidates.saved")
    if signals.empty:
        return SignalsStored(session)
    entries = 0 if listed.empty else int((listed["entry"] != 0).sum())
    return SignalsStored(session, symbols=signals["symbol"].nunique(), entries=entries)


def predict(session: str, *, resources: Resources | None = None) -> PredictionsStored:
    """Request a prediction for every candidate of the session and store the answers.

    A candidate whose features are not of this very session gets no prediction, and is refused when orders are placed. Answers
    that orders were decided on stand: a new request would give those of another model or day.
    """
    resources = resources or live()
    day = dt.date.fromisoformat(session)
    if (reason := rerun_rules(resources).why_inputs_stand(day, resources.strategies)) is not None:
        return PredictionsStored(session, reason=reason)
    signals = stored_signals(resources.ledger, resources.strategies, day)
    free = unfiltered(resources.sleeves)
    entries = signals[(signals["entry"] != 0) & ~signals["strategy"].isin(free)]
    keys = list(zip(entries["strategy"], entries["symbol"], strict=True))
    rules = {name: sleeve.rule for sleeve in resources.sleeves if sleeve.rule for name in sleeve.names}
    answers = request_predictions(resources.settings.api.url, keys, resources.settings.api.read_keys, rules=rules)
    reach("predict.answered")
    usable = ArmAssignment.of(resources).decide(day, _answers_of_session(answers, session))
    resources.ledger.save_predictions(day, usable)
    reach("predict.saved")
    return PredictionsStored(session, len(usable), sum(answer["signal"] == ENTER for answer in usable))


def place(session: str, *, resources: Resources | None = None) -> Placement:
    """Decide, size, check the orders, write the intents down, then send them; a second run sends nothing twice.

    An order that could reach its open no more is not sent: once the next session has opened, or a later session is on record,
    only what was written down before goes on.
    """
    resources = resources or live()
    day, rules = dt.date.fromisoformat(session), rerun_rules(resources)
    nothing = Placement(session, next_open(session).isoformat())
    refused: Sequence[Refusal] = ()
    with executor_lock(resources.engine, resources.account.portfolio) as lock:
        reach("place.locked")
        if rules.is_past(day):
            return replace(nothing, reason=PAST)
        on_record = rules.decided_at(day)
        standing = rules.standing(day, on_record, resources.strategies)
        apply_corporate_actions(resources.account, day)
        exits = ExitRuleBook.of(resources).rules_of(resources.ledger.positions(resources.account.portfolio))
        if standing and rules.has_opened(day):
            own = (each for each in rules.standing_exits(day, on_record, exits.rules) if each not in standing)
            decisions = Decisions((*standing, *own), ())
            states = _send(resources, lock, decisions.intents)
        else:
            shares = SleeveDecisions(resources.account, resources.sleeves, resources.limits, resources.deployments)
            decisions = shares.decide(day, exits)
            reach("place.decided")
            decided_once = partial(check_decided_once, standing=standing, positions=exits.rules)
            checks = (decided_once, *_order_checks(resources, lock, rules))
            context = OrderContext(day, frozenset(on_record))
            intents, refused = run_order_checks(checks, context, decisions.intents)
            entries = context.new_entries(intents)
            resources.position_rules.save_entries(sources_of(entries, resources.strategies, resources.strategy_sources))
            states = _send(resources, lock, intents)
            reach("place.sent")
            _save_refusals(resources.ledger, resources.account.portfolio, (*decisions.refusals, *refused))
            reach("place.refused")
        mail_late_orders(rules, resources.alerts, day, decisions.intents, on_record=on_record, states=states)
    return _counted(nothing, on_record, states, (*decisions.refusals, *refused))


def confirm(session: str, *, resources: Resources | None = None) -> Confirmation:
    """Bring the venue's fills since the session, and the states of the orders still open, into the ledger."""
    resources = resources or live()
    day, account = dt.date.fromisoformat(session), resources.account
    with executor_lock(resources.engine, account.portfolio):
        fills = collect_fills(account, open_of(day), day)
    states = Counter(str(state) for _, state in account.ledger.orders_decided(account.portfolio, day))
    return Confirmation(session, fills, dict(states))


def record(session: str, *, resources: Resources | None = None) -> ValueRecorded:
    """Mark the portfolio to the session's closes and store its value and its closed trades.

    Cash and positions are those of the close, also when it runs later. Once the next session has opened, what is on record
    stands. A value that is not believed (`pipeline.risk.equity_bounds`) is mailed and not stored. What ended deployments have
    left goes back to the first book.
    """
    resources = resources or live()
    day, account = dt.date.fromisoformat(session), resources.account
    trades = trades_of(account.ledger.fills(account.portfolio), account.ledger.book_events(account.portfolio))
    account.ledger.save_trades(account.portfolio, trades)
    reach("record.trades")
    return_ended_capital(resources=resources)
    if (reason := rerun_rules(resources).why_value_stands(day)) is not None:
        return ValueRecorded(session, len(trades), reason=reason)
    positions = positions_at(account, day)
    closes = closing_prices(account.bars, {held.symbol for held in positions}, day)
    value = value_account(cash_at(account, day), positions, (), closes)
    if (doubt := EquityBounds.of(resources).doubt(value.equity_usd, positions, closes, day)) is not None:
        words = f"At the close of {day}: {doubt}.\nThe value is not recorded. Look at the account, then run `desk trade` again."
        resources.alerts.send(f"The equity of {account.portfolio} is not believed", words, "critical")
        return ValueRecorded(session, len(trades), reason=f"{UNREADABLE_EQUITY}: {doubt}")
    account.ledger.save_equity({"portfolio": account.portfolio, "session": day, **asdict(value), "positions": len(positions)})
    resources.deployments.save_sleeve_equity(account.portfolio, day, sleeve_values(account, resources.sleeves, day, closes))
    reach("record.recorded")
    return ValueRecorded(session, len(trades), equity_usd=value.equity_usd, positions=len(positions))


def rerun_rules(resources: Resources) -> RerunRules:
    """Return the rerun rules of the portfolio, on its ledger and the clock."""
    return RerunRules(
        ledger=resources.ledger,
        portfolio=resources.settings.portfolio,
        clock=resources.clock,
        historical=resources.historical,
    )


def _order_checks(resources: Resources, lock: ExecutorLock, rules: RerunRules) -> tuple[OrderCheck, ...]:
    """Return the checks between what stands as decided and its orders, in their order."""
    ledger, alerts, blocks = resources.ledger, resources.alerts, EntryBlocks.of(resources)
    return (
        partial(check_in_time, rules=rules),
        partial(check_deployment, objections=blocks.of_state),
        partial(check_deployment, objections=blocks.of_validation, alerts=alerts),
        RiskReview.of(resources, lock.require),
        partial(
            check_venue_grid,
            account=resources.account,
            close_at=resources.close_at,
            correct=VenueGrid(resources.instruments, resources.settings.venue.kind, resources.clock),
        ),
        partial(check_evidence, ledger=ledger, alerts=alerts),
    )


def _send(resources: Resources, lock: ExecutorLock, intents: Sequence[OrderIntent]) -> dict[str, OrderState]:
    """Write the orders down and send them, each after the pre-send check; return their states."""
    account = resources.account
    pre_send = pre_send_checks(lock, resources=resources)
    return send(account.ledger, account.broker, intents, pre_send=pre_send, fence=lock.require, patience=account.patience)


def _simulate(paper: PaperBroker, account: TradingAccount, sessions: Iterable[dt.date]) -> int:
    """Lead the paper broker through sessions, oldest first, its book in the terms of the bars; return the number of fills."""
    fills = 0
    for session in sessions:
        apply_corporate_actions(account, session)
        rows = account.bars.read(start=session, end=session)
        fills += len(paper.advance(session, rows[rows["symbol"] != VIX]))
    return fills


def _cancel_past_entries(account: TradingAccount, day: dt.date) -> None:
    """Cancel entries whose session is over: with a bracket a venue keeps them, and would fill one at a later open."""
    for order, state in account.ledger.open_orders(account.portfolio):
        if order.leg is Leg.ENTRY and order.session <= day and state in WORKING:
            words = f"not filled in its session, {order.session}"
            cancel(account.ledger, account.broker, order.client_order_id, words, patience=account.patience)


def _save_refusals(ledger: Ledger, portfolio: str, refusals: Iterable[Refusal]) -> None:
    ledger.save_risk_events(
        {
            "portfolio": portfolio,
            "strategy": refusal.strategy,
            "symbol": refusal.symbol,
            "session": refusal.session,
            "reason": refusal.reason,
        }
        for refusal in refusals
    )


def _counted(
    empty: Placement, on_record: OrdersById, states: Mapping[str, OrderState], refusals: Sequence[Refusal]
) -> Placement:
    """Count what became of the orders: sent by this call are those that left the state INTENT."""
    before = {order_id: on_record[order_id][1] if order_id in on_record else OrderState.INTENT for order_id in states}
    sent = {order_id for order_id, state in before.items() if state is OrderState.INTENT is not states[order_id]}
    reasons = Counter(refusal.reason for refusal in refusals)
    return replace(empty, orders=len(states), placed=len(sent), refused=len(refusals), refusals=dict(reasons))


def _answers_of_session(answers: Iterable[dict[str, Any]], session: str) -> list[dict[str, Any]]:
    """Return the answers made on the session's own features; log the others."""
    usable = []
    for answer in answers:
        if answer["session"] == session:
            usable.append(answer)
        else:
            log.warning("prediction_of_another_session", symbol=answer["symbol"], session=session, found=answer["session"])
    return usable
