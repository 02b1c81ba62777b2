"""The daily trade: settle the session, decide at its close, place orders for the next open, record.

Every step takes the session whose close has just passed and is safe to run again, at any later time: intents have deterministic
ids and are committed before anything is sent, and what was decided upon is not written over. A newcomer reads this file, then
`trading/decide.py`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import structlog

from core.failpoints import reach
from core.models import WORKING, Leg, OrderState
from core.sessions import open_of
from pipeline.accounts import valuation
from pipeline.accounts.valuation import cash_at, cash_usd, fill_query_start, peak_equity_usd, positions_at
from pipeline.bars import VIX, bars_by_symbol
from pipeline.execution.order_checks import on_grid, proven
from pipeline.execution.prediction_client import ask_api
from pipeline.execution.rerun_rules import (
    PAST,
    decided_at,
    has_opened,
    in_time,
    is_past,
    next_open,
    settled_on,
    standing,
    stands,
    tell_late,
    unsettled,
    value_stands,
)
from pipeline.research.portfolio import objection
from pipeline.resources import Resources, live
from pipeline.risk.pre_send import gate_of
from pipeline.risk.review import review
from pipeline.signals import signals_of
from pipeline.training.ab_assignment import decided_by_arms
from storage.locks import executor_lock
from trading.brokers.intake import collect
from trading.brokers.placing import cancel
from trading.brokers.placing import place as send
from trading.decide import Decisions, Holdings, Refusal, decide
from trading.portfolio import account, trades_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.models import OrderIntent
    from pipeline.execution.rerun_rules import Orders
    from trading.brokers.paper import PaperBroker
    from trading.brokers.placing import Gate
    from trading.decide import Key

log = structlog.get_logger()
ENTER = "enter"  # the API's word for an accepted candidate
VALIDATION = "validation"


def settle(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Let the paper broker live through every session since the last recorded one: fills at the open, stops, targets.

    It does not live through a session again once a later one is on record, whatever its bars say by now. A real venue has lived
    through all of them: what it filled since is brought into the ledger, and an entry still open there after its session is
    cancelled.
    """
    resources = resources or live()
    day, portfolio = dt.date.fromisoformat(session), resources.settings.portfolio
    with executor_lock(resources.engine, portfolio):
        if resources.paper is not None:
            fills = _simulate(resources, resources.paper, day)
        else:
            since = fill_query_start(resources.ledger, portfolio, day)
            fills = resources.patience.retrying()(collect, resources.ledger, resources.broker, portfolio, since)
            _end_entries(resources, day)
    reach("settle.settled")
    return {"session": session, "fills": fills}


def candidates(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Signals of every strategy at the close of the session, stored; those that orders were decided on stand."""
    resources = resources or live()
    if (reason := stands(resources, dt.date.fromisoformat(session))) is not None:
        return {"session": session, "symbols": 0, "entries": 0, "reason": reason}
    signals = _signals(resources, session)
    if not signals.empty:
        resources.ledger.save_signals(signals)
    reach("candidates.saved")
    entries = int((signals["entry"] != 0).sum()) if len(signals) else 0
    return {"session": session, "symbols": signals["symbol"].nunique() if len(signals) else 0, "entries": entries}


def predict(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Ask the prediction API about every candidate of the session and store the answers.

    A candidate whose features are not of this very session gets no prediction, and is refused when orders are placed. Answers
    that orders were decided on stand: the API, asked again, would give those of another model or day.
    """
    resources = resources or live()
    day = dt.date.fromisoformat(session)
    if (reason := stands(resources, day)) is not None:
        return {"session": session, "predictions": 0, "accepted": 0, "reason": reason}
    signals = _stored_signals(resources, day)
    entries = signals[signals["entry"] != 0]
    questions = list(zip(entries["strategy"], entries["symbol"], strict=True))
    answers = ask_api(resources.settings.api_url, questions, resources.settings.api_read_keys)
    reach("predict.answered")
    usable = [answer for answer in answers if answer["session"] == session]
    for answer in answers:
        if answer["session"] != session:
            log.warning("prediction_of_another_session", symbol=answer["symbol"], session=session, found=answer["session"])
    usable = decided_by_arms(resources, day, usable)
    resources.ledger.save_predictions(day, usable)
    reach("predict.saved")
    return {"session": session, "predictions": len(usable), "accepted": sum(a["signal"] == ENTER for a in usable)}


def place(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Decide, size, check the limits, write the intents down, then send them; a second run sends nothing twice.

    An order that could reach its open no more is not sent: once the next session has opened, or a later session is on record,
    only what was written down before goes on.

    Returns
    -------
    dict
        `for` (the session of the orders), `orders`, `placed` (sent by this call), `refused` and `refusals` by reason.
    """
    resources = resources or live()
    outcome = {
        "session": session,
        "for": next_open(session).isoformat(),
        "orders": 0,
        "placed": 0,
        "refused": 0,
        "refusals": {},
    }
    with executor_lock(resources.engine, resources.settings.portfolio) as lock:
        reach("place.locked")
        if is_past(resources, dt.date.fromisoformat(session)):
            return outcome | {"reason": PAST}
        return outcome | _place(resources, session, gate_of(resources, lock))


def confirm(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Bring what the venue has filled since the session, and what became of the orders still open, into the ledger."""
    resources = resources or live()
    portfolio = resources.settings.portfolio
    with executor_lock(resources.engine, portfolio):
        opened = open_of(dt.date.fromisoformat(session))
        fills = resources.patience.retrying()(collect, resources.ledger, resources.broker, portfolio, opened)
    states = Counter(str(state) for _, state in resources.ledger.orders_decided(portfolio, dt.date.fromisoformat(session)))
    return {"session": session, "fills": fills, "orders": dict(states)}


def _simulate(resources: Resources, paper: PaperBroker, day: dt.date) -> int:
    """Lead the paper broker through every session it has missed; return how many fills that brought."""
    fills = 0
    for missed in unsettled(resources, day):
        bars = resources.bars.read(start=missed, end=missed)
        fills += len(paper.advance(missed, bars[bars["symbol"] != VIX]))
    return fills


def _end_entries(resources: Resources, day: dt.date) -> None:
    """Cancel entries whose session is over: with a bracket a venue keeps them, and would fill one at a later open."""
    for order, state in resources.ledger.open_orders(resources.settings.portfolio):
        if order.leg is Leg.ENTRY and order.session <= day and state in WORKING:
            words = f"not filled in its session, {order.session}"
            cancel(resources.ledger, resources.broker, order.client_order_id, words, patience=resources.patience)


def _place(resources: Resources, session: str, gate: Gate) -> dict[str, Any]:
    day, portfolio = dt.date.fromisoformat(session), resources.settings.portfolio
    known = decided_at(resources, day)
    if has_opened(resources, day) and (before := standing(resources, day, known)):
        states = send(resources.ledger, resources.broker, before, gate=gate, patience=resources.patience)
        tell_late(resources, day, before, known, states)
        return _counts(known, states, ())
    decisions = _decide(resources, day)
    reach("place.decided")
    intents, barred = _validated(
        resources, day, in_time(resources, day, settled_on(resources, day, decisions, known)), set(known)
    )
    intents, held_back = review(resources, day, intents, set(known))
    intents, untradable = on_grid(resources, day, intents, set(known))
    intents, unproven = proven(resources, day, intents, set(known))
    states = send(resources.ledger, resources.broker, intents, gate=gate, patience=resources.patience)
    reach("place.sent")
    refusals = (*decisions.refusals, *barred, *held_back, *untradable, *unproven)
    resources.ledger.save_risk_events(
        {
            "portfolio": portfolio,
            "strategy": refusal.strategy,
            "symbol": refusal.symbol,
            "session": refusal.session,
            "reason": refusal.reason,
        }
        for refusal in refusals
    )
    reach("place.refused")
    tell_late(resources, day, decisions.intents, known, states)
    return _counts(known, states, refusals)


def _counts(known: Orders, states: Mapping[str, OrderState], refusals: Sequence[Refusal]) -> dict[str, Any]:
    before = {order_id: known[order_id][1] if order_id in known else OrderState.INTENT for order_id in states}
    sent = {order_id for order_id, state in before.items() if state is OrderState.INTENT is not states[order_id]}
    return {
        "orders": len(states),
        "placed": len(sent),
        "refused": len(refusals),
        "refusals": dict(Counter(refusal.reason for refusal in refusals)),
    }


def record(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Mark the portfolio to the session's closes and store its value and its closed trades.

    Cash and positions are those of the close, also when it runs later. Once the next session has opened, what is on record
    stands.
    """
    resources = resources or live()
    day, portfolio = dt.date.fromisoformat(session), resources.settings.portfolio
    trades = trades_of(resources.ledger.fills(portfolio))
    resources.ledger.save_trades(portfolio, trades)
    reach("record.trades")
    if (reason := value_stands(resources, day)) is not None:
        return {"session": session, "trades": len(trades), "reason": reason}
    positions = positions_at(resources.ledger, portfolio, day)
    closes = valuation.closing_prices(resources.bars, {held.symbol for held in positions}, day)
    value = account(cash_at(resources.account, day), positions, (), closes)
    resources.ledger.save_equity({"portfolio": portfolio, "session": day, **asdict(value), "positions": len(positions)})
    reach("record.recorded")
    return {"session": session, "equity_usd": value.equity_usd, "positions": len(positions), "trades": len(trades)}


def _decide(resources: Resources, day: dt.date) -> Decisions:
    """Today's decisions from the stored signals and predictions and from what the portfolio holds."""
    portfolio = resources.settings.portfolio
    signals, predictions = _stored_signals(resources, day), resources.ledger.predictions(day)
    positions = resources.ledger.positions(portfolio)
    orders = [order for order, _ in resources.ledger.open_orders(portfolio)]
    symbols = {*signals["symbol"], *(held.symbol for held in positions), *(order.symbol for order in orders)}
    closes = valuation.closing_prices(resources.bars, symbols, day)
    holdings = Holdings(
        portfolio, positions, orders, cash_usd(resources.account), closes, peak_equity_usd(resources.account, day)
    )
    said = answers_of(predictions)
    return decide(
        day,
        signals,
        resources.strategies,
        holdings,
        resources.limits,
        accept=said.accept,
        probability=said.probability,
        arms=said.arms,
    )


class Answers(NamedTuple):
    """What the filter said, by strategy and symbol: whether an entry passes, how probable its win is, the arm of a test."""

    accept: dict[Key, bool]
    probability: dict[Key, float]
    arms: dict[Key, str]


def answers_of(predictions: pd.DataFrame) -> Answers:
    """The answers from stored predictions."""
    keys = list(zip(predictions["strategy"], predictions["symbol"], strict=True))
    accept = dict(zip(keys, (bool(said == ENTER) for said in predictions["signal"]), strict=True))
    probability = dict(zip(keys, predictions["probability"].astype(float), strict=True))
    return Answers(accept, probability, dict(zip(keys, predictions["ab_arm"], strict=True)))


def _stored_signals(resources: Resources, day: dt.date) -> pd.DataFrame:
    """Signals of the strategies that trade; others may have traded that day."""
    signals = resources.ledger.signals(day)
    return signals[signals["strategy"].isin([strategy.name for strategy in resources.strategies])].reset_index(drop=True)


def _validated(
    resources: Resources, day: dt.date, intents: tuple[OrderIntent, ...], known: set[str]
) -> tuple[tuple[OrderIntent, ...], list[Refusal]]:
    """Take new entries out when the stored portfolio's validation does not allow them; exits and what is on record go on."""
    entries = [intent for intent in intents if intent.leg is Leg.ENTRY and intent.client_order_id not in known]
    objects = objection(resources, day) if entries else None
    if objects is None:
        return intents, []
    resources.alerts.send(f"{len(entries)} entries decided on {day} were not ordered", objects)
    kept = tuple(intent for intent in intents if intent not in entries)
    return kept, [Refusal(intent.strategy, intent.symbol, day, VALIDATION) for intent in entries]


def _signals(resources: Resources, session: str) -> pd.DataFrame:
    """Every strategy's last row for each symbol that has a bar for the session."""
    day = pd.Timestamp(session)
    rows = []
    for symbol, bars in bars_by_symbol(resources.bars, session, resources.universe()).items():
        if bars["session"].iloc[-1] != day:
            log.warning("stale_symbol", symbol=symbol, session=session, last=str(bars["session"].iloc[-1].date()))
            continue
        signals = signals_of(resources.strategies, bars)
        rows.append(signals[signals["session"] == day])
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
