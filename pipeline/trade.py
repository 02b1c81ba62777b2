"""The daily trade: settle the session, decide at its close, place orders for the next open, record.

Every step takes the session whose close has just passed and is safe to run again: intents have deterministic ids and are
committed before anything is sent. A newcomer reads this file, then `trading/decide.py`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import structlog
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from core.errors import ConfigError, NoChampion, RetryLater
from core.failpoints import reach
from core.models import Leg, OrderState
from core.sessions import next_session, open_of, sessions_between
from pipeline.ab import decided_by_arms
from pipeline.gate import gate_of
from pipeline.market import bars_by_symbol
from pipeline.portfolio import objection
from pipeline.resources import VIX, Resources, live
from pipeline.risk_review import review
from storage.locks import executor_lock
from trading.brokers.intake import collect
from trading.brokers.placing import place as send
from trading.decide import Decisions, Holdings, Refusal, decide
from trading.portfolio import trades_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import SecretStr

    from core.models import OrderIntent
    from trading.brokers.paper import PaperBroker
    from trading.brokers.placing import Gate

log = structlog.get_logger()
ENTER = "enter"  # the API's word for an accepted candidate
VALIDATION = "validation"
MARK_WITHIN_DAYS = 30
LOOK_BACK = dt.timedelta(days=10)  # fills are told again without harm, and none of a long weekend is missed


def settle(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Let the paper broker live through every session since the last recorded one: fills at the open, stops, targets.

    A real venue has lived through them already: what it filled since is brought into the ledger.
    """
    found = resources or live()
    day, portfolio = dt.date.fromisoformat(session), found.settings.portfolio
    with executor_lock(found.engine, portfolio):
        if found.paper is not None:
            fills = _simulate(found, found.paper, day)
        else:
            fills = collect(found.ledger, found.broker, portfolio, open_of(day) - LOOK_BACK)
    reach("settle.settled")
    return {"session": session, "fills": fills}


def candidates(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Signals of the strategy at the close of the session, stored."""
    found = resources or live()
    signals = _signals(found, session)
    if not signals.empty:
        found.ledger.save_signals(signals)
    reach("candidates.saved")
    entries = int((signals["entry"] != 0).sum()) if len(signals) else 0
    return {"session": session, "symbols": len(signals), "entries": entries}


def predict(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Ask the prediction API about every candidate of the session and store the answers.

    A candidate whose features are not of this very session gets no prediction, and is refused when orders are placed.
    """
    found = resources or live()
    day = dt.date.fromisoformat(session)
    signals = found.ledger.signals(day, found.strategy.name)
    answers = ask_api(found.settings.api_url, signals.loc[signals["entry"] != 0, "symbol"], found.settings.api_read_keys)
    reach("predict.answered")
    usable = [answer for answer in answers if answer["session"] == session]
    for answer in answers:
        if answer["session"] != session:
            log.warning("prediction_of_another_session", symbol=answer["symbol"], session=session, found=answer["session"])
    usable = decided_by_arms(found, day, usable)
    found.ledger.save_predictions(day, found.strategy.name, usable)
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
    found = resources or live()
    outcome = {
        "session": session,
        "for": next_open(session).isoformat(),
        "orders": 0,
        "placed": 0,
        "refused": 0,
        "refusals": {},
    }
    with executor_lock(found.engine, found.settings.portfolio) as lock:
        reach("place.locked")
        if _is_past(found, dt.date.fromisoformat(session)):
            return outcome | {"reason": "a later session is on record"}
        return outcome | _place(found, session, gate_of(found, lock))


def confirm(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Bring what the venue has filled since the session, and what became of the orders still open, into the ledger."""
    found = resources or live()
    portfolio = found.settings.portfolio
    with executor_lock(found.engine, portfolio):
        fills = collect(found.ledger, found.broker, portfolio, open_of(dt.date.fromisoformat(session)))
    states = Counter(str(state) for _, state in found.ledger.orders_decided(portfolio, dt.date.fromisoformat(session)))
    return {"session": session, "fills": fills, "orders": dict(states)}


def _simulate(found: Resources, paper: PaperBroker, day: dt.date) -> int:
    """Lead the paper broker through every session it has missed; return how many fills that brought."""
    fills = 0
    for missed in _unsettled(found, day):
        bars = found.bars.read(start=missed, end=missed)
        fills += len(paper.advance(missed, bars[bars["symbol"] != VIX]))
    return fills


def _place(found: Resources, session: str, gate: Gate) -> dict[str, Any]:
    day, portfolio = dt.date.fromisoformat(session), found.settings.portfolio
    decisions = _decide(found, day)
    reach("place.decided")
    known = {order.client_order_id: (order, state) for order, state in found.ledger.orders_decided(portfolio, day)}
    intents, barred = _validated(found, day, _in_time(found, session, _settled_on(found, day, decisions, known)), set(known))
    intents, held_back = review(found, day, intents, set(known))
    states = send(found.ledger, found.broker, intents, gate=gate, patience=found.patience)
    reach("place.sent")
    refusals = (*decisions.refusals, *barred, *held_back)
    found.ledger.save_risk_events(
        {
            "portfolio": portfolio,
            "strategy": found.strategy.name,
            "symbol": refusal.symbol,
            "session": refusal.session,
            "reason": refusal.reason,
        }
        for refusal in refusals
    )
    reach("place.refused")
    before = {order_id: known[order_id][1] if order_id in known else OrderState.INTENT for order_id in states}
    sent = {order_id for order_id, state in before.items() if state is OrderState.INTENT is not states[order_id]}
    return {
        "orders": len(states),
        "placed": len(sent),
        "refused": len(refusals),
        "refusals": dict(Counter(refusal.reason for refusal in refusals)),
    }


def _settled_on(
    found: Resources, day: dt.date, decisions: Decisions, known: Mapping[str, tuple[OrderIntent, OrderState]]
) -> tuple[OrderIntent, ...]:
    """The orders of the day's decision, which is made once: what a run before this one wrote down for later sessions stands.

    Deciding again on predictions or prices that changed since would add orders to those sent already.
    """
    name = found.strategy.name
    standing = tuple(order for order, _ in known.values() if order.strategy == name and order.session > day)
    if not standing:
        return decisions.intents
    fresh = [intent for intent in decisions.intents if intent.session > day and intent.client_order_id not in known]
    if fresh:
        log.warning("decision_stands", session=day.isoformat(), orders=len(standing), not_added=len(fresh))
    return (*standing, *(intent for intent in decisions.intents if intent.session <= day))


def _in_time(found: Resources, session: str, intents: tuple[OrderIntent, ...]) -> tuple[OrderIntent, ...]:
    """All of them before the next open; after it only what is on record, of which the gate lets no entry out."""
    opens = next_open(session)
    if found.historical or found.clock() < open_of(opens):
        return intents
    kept = tuple(intent for intent in intents if found.ledger.order(intent.client_order_id) is not None)
    late = len(intents) - len(kept)
    if late:
        found.alerts.send(f"{late} orders for {opens} came too late", "The session has opened; nothing new was sent.")
    return kept


def record(session: str, *, resources: Resources | None = None) -> dict[str, Any]:
    """Mark the portfolio to the session's closes and store its value and its closed trades."""
    found = resources or live()
    day, portfolio = dt.date.fromisoformat(session), found.settings.portfolio
    trades = trades_of(found.ledger.fills(portfolio))
    found.ledger.save_trades(portfolio, trades)
    reach("record.trades")
    if _is_past(found, day):
        return {"session": session, "trades": len(trades), "reason": "a later session is on record"}
    positions = found.ledger.positions(portfolio)
    value = found.broker.account(_closes(found, day, {held.symbol for held in positions}))
    found.ledger.save_equity({"portfolio": portfolio, "session": day, **asdict(value), "positions": len(positions)})
    reach("record.recorded")
    return {"session": session, "equity_usd": value.equity_usd, "positions": len(positions), "trades": len(trades)}


@retry(
    retry=retry_if_exception_type(RetryLater), stop=stop_after_attempt(4), wait=wait_exponential_jitter(0.5, 8), reraise=True
)
def ask_api(url: str, symbols: Iterable[str], keys: Sequence[SecretStr] = ()) -> list[dict[str, Any]]:
    """POST each symbol to `/predict-next-day`; a symbol that is unknown or stale there is logged and left out.

    Raises
    ------
    RetryLater
        When the API cannot be reached or its stores are not.
    NoChampion
        When it has no model yet: waiting would not help.
    ConfigError
        When it wants another key.
    """
    answers = []
    headers = {"X-API-Key": keys[0].get_secret_value()} if keys else {}
    with httpx.Client(base_url=url, timeout=10.0, headers=headers) as client:
        for symbol in symbols:
            try:
                response = client.post("/predict-entry", json={"symbol": symbol})
            except httpx.TransportError as error:
                raise RetryLater(f"The prediction API at {url} does not answer ({error}). Is it running? `make up`.") from error
            if NoChampion.__name__ in response.text and response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                raise NoChampion(f"{response.json()['detail']} {response.json()['remedy']}")
            if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                raise RetryLater(f"The prediction API answered {response.status_code}: {response.text}")
            if response.status_code == httpx.codes.UNAUTHORIZED:
                raise ConfigError(f"{response.json()['detail']} Set API_READ_KEYS to the same for the desk and the API.")
            if response.status_code in {httpx.codes.NOT_FOUND, httpx.codes.CONFLICT}:
                log.warning("no_prediction", symbol=symbol, answer=response.text)
                continue
            response.raise_for_status()
            answers.append(response.json())
    return answers


def next_open(session: str) -> dt.date:
    """The session at whose open today's decisions are filled."""
    return next_session(dt.date.fromisoformat(session))


def _decide(found: Resources, day: dt.date) -> Decisions:
    """Today's decisions from the stored signals and predictions and from what the portfolio holds."""
    portfolio, strategy = found.settings.portfolio, found.strategy
    signals = found.ledger.signals(day, strategy.name)
    predictions = found.ledger.predictions(day, strategy.name)
    positions = found.ledger.positions(portfolio)
    orders = [order for order, _ in found.ledger.open_orders(portfolio)]
    symbols = {*signals["symbol"], *(held.symbol for held in positions), *(order.symbol for order in orders)}
    closes, peak_usd = _closes(found, day, symbols), _peak_usd(found, day)
    holdings = Holdings(portfolio, positions, orders, found.broker.cash_usd(), closes, peak_usd)
    accept = dict(zip(predictions["symbol"], predictions["signal"] == ENTER, strict=True))
    probability = dict(zip(predictions["symbol"], predictions["probability"], strict=True))
    return decide(day, signals, strategy, holdings, found.limits, accept=accept, probability=probability)


def _validated(
    found: Resources, day: dt.date, intents: tuple[OrderIntent, ...], known: set[str]
) -> tuple[tuple[OrderIntent, ...], list[Refusal]]:
    """Take new entries out when the stored portfolio's validation does not allow them; exits and what is on record go on."""
    entries = [intent for intent in intents if intent.leg is Leg.ENTRY and intent.client_order_id not in known]
    objects = objection(found, day) if entries else None
    if objects is None:
        return intents, []
    found.alerts.send(f"{len(entries)} entries decided on {day} were not ordered", objects)
    kept = tuple(intent for intent in intents if intent not in entries)
    return kept, [Refusal(intent.symbol, day, VALIDATION) for intent in entries]


def _closes(found: Resources, day: dt.date, symbols: set[str]) -> dict[str, float]:
    """Last close of each symbol at or before `day`."""
    if not symbols:
        return {}
    bars = found.bars.read(sorted(symbols), start=day - dt.timedelta(days=MARK_WITHIN_DAYS), end=day)
    return {str(symbol): float(close) for symbol, close in bars.groupby("symbol")["close"].last().items()}


def _peak_usd(found: Resources, day: dt.date) -> float:
    """Highest equity at a close before `day`, the initial cash included."""
    history = found.ledger.equity(found.settings.portfolio)
    before = history.loc[history["session"] < pd.Timestamp(day), "equity_usd"]
    return max(float(found.settings.initial_cash_usd), float(before.max()) if len(before) else 0.0)


def _recorded(found: Resources) -> dt.date | None:
    """Newest session on record."""
    sessions = found.ledger.equity(found.settings.portfolio)["session"]
    return None if sessions.empty else sessions.max().date()


def _is_past(found: Resources, day: dt.date) -> bool:
    newest = _recorded(found)
    return newest is not None and day < newest


def _unsettled(found: Resources, day: dt.date) -> list[dt.date]:
    """Sessions the paper broker has yet to live through, oldest first; one on record is settled again and adds nothing."""
    newest = _recorded(found)
    if newest is None or newest >= day:
        return [day]
    return [stamp.date() for stamp in sessions_between(newest + dt.timedelta(days=1), day)]


def _signals(found: Resources, session: str) -> pd.DataFrame:
    """The strategy's last row for each symbol that has a bar for the session."""
    day = pd.Timestamp(session)
    rows = []
    for symbol, bars in bars_by_symbol(found, session).items():
        if bars["session"].iloc[-1] != day:
            log.warning("stale_symbol", symbol=symbol, session=session, last=str(bars["session"].iloc[-1].date()))
            continue
        last = found.strategy.signals(bars).iloc[[-1]]
        rows.append(last.assign(symbol=symbol, strategy=found.strategy.name, close=bars["close"].iloc[-1]))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
