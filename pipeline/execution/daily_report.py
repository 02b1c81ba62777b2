"""The mail after each evening, from what the ledger holds. Owns what goes into it; the form is `monitoring.daily_mail`.

The last one sent for a session is kept in `DATA_DIR/mails`, so that a step run again does not tell people twice.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.models import FINAL, OrderState
from pipeline.accounts import valuation
from pipeline.accounts.valuation import initial_equity_usd
from pipeline.execution.rerun_rules import PAST, has_opened, is_past, next_open
from pipeline.research.portfolio import objection
from pipeline.resources import Resources, live
from pipeline.risk import kill_switch
from trading.watch import REACHED_STOP, REACHED_TARGET

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from monitoring.daily_mail import Evening, Held, Limit

AHEAD = dt.timedelta(days=10)  # no exchange is shut for longer
UNFILLED = FINAL - {OrderState.FILLED}


def send(session: str, *, again: bool = False, resources: Resources | None = None) -> dict[str, Any]:
    """Mail what the evening of a session came to; without a server or a recipient the same text is in the log.

    Run again on the same evening it mails what has changed, and nothing when nothing has. Afterwards it mails nothing: the
    positions and the halt that it would tell of are those of the present.

    Parameters
    ----------
    again
        Mail in any case, because a person asks for it.
    """
    from monitoring.daily_mail import to_html, to_text

    resources = resources or live()
    evening = evening_of(resources, session)
    text = to_text(evening)
    untold = None if again else _why_not(resources, session, _news(evening))
    if untold is not None:
        return {"session": session, "sent": False, "subject": evening.subject, "reason": untold}
    sent = resources.alerts.send(evening.subject, text, "warning" if evening.attention else "info", html=to_html(evening))
    if sent:
        _keep(resources, session, _news(evening))
    return {"session": session, "sent": sent, "subject": evening.subject}


def _why_not(resources: Resources, session: str, news: str) -> str | None:
    """Why a mail is not sent unless asked for, or None."""
    day, path = dt.date.fromisoformat(session), _kept_at(resources, session)
    if is_past(resources, day):
        return PAST
    if not path.exists():
        return None
    if path.read_text() == news:
        return "sent before, and nothing has changed"
    return "sent before, and the next session has opened" if has_opened(resources, day) else None


def _news(evening: Evening) -> str:
    """What makes a mail worth sending again: all but the limits, which move with each look of the risk worker."""
    from monitoring.daily_mail import to_text

    return to_text(replace(evening, limits=()))


def _keep(resources: Resources, session: str, news: str) -> None:
    path = _kept_at(resources, session)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(news)


def _kept_at(resources: Resources, session: str) -> Path:
    return resources.data_dir / "mails" / f"{resources.settings.portfolio}-{session}.txt"


def evening_of(resources: Resources, session: str) -> Evening:
    """What the ledger says of a session's evening."""
    from monitoring.daily_mail import Evening

    day, portfolio = dt.date.fromisoformat(session), resources.settings.portfolio
    curve = resources.ledger.equity(portfolio)
    curve = curve[curve["session"].dt.date <= day]
    start = initial_equity_usd(resources.account)
    equity = float(curve["equity_usd"].iloc[-1]) if len(curve) else start
    before = float(curve["equity_usd"].iloc[-2]) if len(curve) > 1 else start
    positions = _positions(resources, day)
    return Evening(
        session=session,
        opens=next_open(session).isoformat(),
        portfolio=portfolio,
        broker=resources.broker.name,
        equity_usd=equity,
        day_usd=equity - before,
        total_pct=100 * (equity / start - 1) if start > 0 else 0.0,
        cash_usd=float(curve["cash_usd"].iloc[-1]) if len(curve) else start,
        model=_model(resources, day),
        attention=_attention(resources, day),
        fills=[
            f"{fill.side} {fill.quantity.normalize():f} {fill.symbol} at {fill.price:.2f} ({fill.reason or order.leg})"
            for order, fill in resources.ledger.fills(portfolio)
            if fill.session == day
        ],
        unfilled=_unfilled(resources, curve, day),
        orders=_orders(resources, day),
        refused=_refused(resources, day),
        positions=positions,
        limits=_limits(resources, curve, positions, equity, start),
    )


def _orders(resources: Resources, day: dt.date) -> list[str]:
    """What was ordered for the sessions to come; one that has ended already says why."""
    coming = resources.ledger.orders_for(resources.settings.portfolio, day, day + AHEAD)
    return [
        f"{order.leg}: {order.side} {order.quantity.normalize():f} {order.symbol}, {state}"
        + (f": {reason}" if state in UNFILLED else "")
        for order, state, reason in coming
        if order.decision_session == day
    ]


def _unfilled(resources: Resources, curve: pd.DataFrame, day: dt.date) -> list[str]:
    """Orders for the sessions since the last one on record that ended without being filled, or with a part, and why."""
    earlier = curve[curve["session"].dt.date < day]["session"]
    after = earlier.iloc[-1].date() if len(earlier) else day - dt.timedelta(days=1)
    lines = []
    for order, state, reason in resources.ledger.orders_for(resources.settings.portfolio, after, day):
        if state in UNFILLED:
            filled = resources.ledger.filled(order.client_order_id)
            part = f"{filled.normalize():f} of " if filled else ""
            asked = f"{order.leg}: {order.side} {part}{order.quantity.normalize():f} {order.symbol}"
            lines.append(f"{asked} for {order.session}, {state}: {reason}")
    return lines


def _positions(resources: Resources, day: dt.date) -> list[Held]:
    from monitoring.daily_mail import Held

    held = resources.ledger.positions(resources.settings.portfolio)
    if not held:
        return []
    closes = valuation.closing_prices(resources.bars, {each.symbol for each in held}, day)
    return [
        Held(
            each.symbol,
            each.strategy,
            float(each.quantity),
            float(each.entry_price),
            float(closes.get(each.symbol, each.entry_price)),
            None if each.stop_price is None else float(each.stop_price),
            None if each.target_price is None else float(each.target_price),
        )
        for each in held
    ]


def _refused(resources: Resources, day: dt.date) -> dict[str, list[str]]:
    events = resources.ledger.risk_events(resources.settings.portfolio)
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for event in events.to_dict("records"):
        sold = event["reason"] in {REACHED_STOP, REACHED_TARGET}
        if event["session"] == day and event["symbol"] and not sold:
            by_reason[str(event["reason"])].append(str(event["symbol"]))
    return dict(by_reason)


def _model(resources: Resources, day: dt.date) -> str:
    predictions = resources.ledger.predictions(day)
    versions = sorted({str(version) for version in predictions["model_version"]})
    return f"version {', '.join(versions)} judged {len(predictions)}" if versions else "asked about nothing"


def _attention(resources: Resources, day: dt.date) -> list[str]:
    """What a person must look at: a halt, a portfolio that may not trade, differences, orders in doubt, what went silent."""
    halted, objects = kill_switch.halt_reason(resources), objection(resources, day)
    said = [f"Trading is {halted}."] if halted else []
    said += [objects] if objects else []
    seen = resources.reconciliations.last(resources.settings.portfolio)
    open_ = [each for each in (seen.differences if seen and seen.session == day else []) if not _resolved(each)]
    said += [f"{_named(each)}: {each['expected']} here, {each['found']} there." for each in open_]
    portfolio = resources.settings.portfolio
    said += _stale(resources, day)
    said += [f"{resources.broker.name} refused the {words}." for words in _rejected(resources, day)]
    doubted = [order.client_order_id for order, state in resources.ledger.open_orders(portfolio) if state is OrderState.UNKNOWN]
    return [*said, *(f"Order {order_id} was sent and never answered." for order_id in doubted)]


def _stale(resources: Resources, day: dt.date) -> list[str]:
    held = {position.symbol for position in resources.ledger.positions(resources.settings.portfolio)}
    return [
        f"{each.symbol} is held and has had no bar for {each.sessions} sessions, since {each.last}: delisted, renamed or not "
        "loaded. No rule sells it. Load its bars, or settle it at the broker and run `cli reconcile`."
        for each in valuation.stale_positions(resources.bars, held, day)
    ]


def _rejected(resources: Resources, day: dt.date) -> list[str]:
    """Orders decided at the close that the broker turned down, in its words."""
    from core.models import OrderState

    decided = resources.ledger.orders_decided(resources.settings.portfolio, day)
    orders = [order for order, state in decided if state is OrderState.REJECTED]
    reasons = resources.ledger.reasons([order.client_order_id for order in orders])
    lines = (
        f"{order.leg} of {order.quantity.normalize():f} {order.symbol}: {reasons[order.client_order_id]}" for order in orders
    )
    return list(dict.fromkeys(lines))  # a sale that is begun again each minute is refused each time


def _named(difference: Mapping[str, Any]) -> str:
    """Rule and subject, once where they are the same."""
    return " ".join(dict.fromkeys((difference["rule"], difference["subject"])))


def _resolved(difference: Mapping[str, Any]) -> bool:
    from trading.brokers.reconcile import RESOLVED, Rule

    return Rule(difference["rule"]) in RESOLVED


def _limits(resources: Resources, curve: pd.DataFrame, positions: list[Held], equity: float, start: float) -> list[Limit]:
    from monitoring.daily_mail import Limit

    settings = resources.settings
    peak = max(float(curve["equity_usd"].max()) if len(curve) else 0.0, start)
    gross = sum(abs(each.quantity) * each.close for each in positions)
    limits = [
        Limit("Drawdown", max(100 * (1 - equity / peak), 0.0) if peak > 0 else 0.0, settings.drawdown_halt_pct, "%"),
        Limit("Positions", float(len(positions)), float(settings.max_positions), ""),
        Limit("Exposure", 100 * gross / equity if equity > 0 else 100.0, settings.max_exposure_pct, "% of equity"),
    ]
    beat = resources.heartbeats.last(settings.portfolio)
    if beat is not None and beat.var_historical_usd is not None and settings.var_limit_pct is not None and equity > 0:
        limits.append(
            Limit("Value at risk, 95 %", 100 * beat.var_historical_usd / equity, settings.var_limit_pct, "% of equity")
        )
    return limits
