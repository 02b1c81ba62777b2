"""The mail after each evening, from the ledger; `monitoring.daily_mail` renders it.

Each is stored in `DATA_DIR/mails`; the one sent last for a session decides whether a step run again mails anything.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.models import FINAL, OrderState
from pipeline.accounts import valuation
from pipeline.accounts.valuation import capital_usd, transferred_usd
from pipeline.execution.daily_trade import rerun_rules
from pipeline.execution.entry_blocks import entry_blocks
from pipeline.execution.evening_mails import EveningMails, StoredMail
from pipeline.execution.exit_rules import UNMANAGED, ExitRuleBook
from pipeline.execution.rerun_rules import PAST, next_open
from pipeline.execution.step_results import MailSent
from pipeline.resources import Resources, live
from pipeline.risk.performance import mail_section, sync_alerts, watch_performance
from trading.brokers.reconcile import RESOLVED, Mismatch
from trading.risk_manager import CORRELATION_WARNING
from trading.watch import REACHED_STOP, REACHED_TARGET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from core.book_events import BookEvent
    from core.settings import Settings
    from monitoring.daily_mail import Evening, Held, Limit
    from pipeline.accounts.trading_account import TradingAccount
    from pipeline.execution.rerun_rules import RerunRules
    from pipeline.risk.performance import PerformanceReport
    from storage.trading.heartbeats import Heartbeat
    from storage.trading.ledger import Ledger
    from storage.trading.reconciliations import Reconciliation

AHEAD = dt.timedelta(days=10)  # no exchange is shut for longer
MAILED = frozenset({"profit_per_trade", "sharpe_least", "drawdown_most", "win_rate"})  # criteria of the scorecard
UNFILLED = FINAL - {OrderState.FILLED}


def send(session: str, *, again: bool = False, resources: Resources | None = None) -> MailSent:
    """Mail the report of a session's evening and store it; without a server or a recipient it is stored alone.

    Run again on the same evening it mails what has changed, and nothing when nothing has. Afterwards it mails nothing: the
    positions and the halt that it would report are those of the present.

    Parameters
    ----------
    again
        Mail in any case, because a person requests it.
    """
    from monitoring.channels import Message
    from monitoring.daily_mail import to_html, to_text

    resources = resources or live()
    day, book, mails = dt.date.fromisoformat(session), resources.settings.portfolio, EveningMails(resources.data_dir)
    report = watch_performance(session=session, resources=resources)
    sync_alerts(resources.alert_desk, report)
    evening = evening_of(resources, session, report)
    essentials, last = _essentials(evening), mails.read(book, day)
    sent_before = last if last is not None and last.sent_at is not None else None
    reason = None if again else _why_not_sent(rerun_rules(resources), day, sent_before, essentials)
    if reason is not None:
        return MailSent(session, sent=False, subject=evening.subject, reason=reason)
    mail = Message(evening.subject, to_text(evening), "warning" if evening.attention else "info", to_html(evening))
    stored_at = None if sent_before else mails.path(book, day)
    sent = resources.alerts.send(mail.subject, mail.body, mail.severity, html=mail.html, stored_at=stored_at)
    if sent or sent_before is None:  # one that was sent stays until another is
        sent_at = resources.clock().isoformat() if sent else None
        mails.save(book, day, StoredMail(mail.title, mail.body, mail.html or "", sent_at, essentials))
    return MailSent(session, sent=sent, subject=evening.subject)


def _why_not_sent(rules: RerunRules, day: dt.date, sent_before: StoredMail | None, essentials: str) -> str | None:
    """Return the reason why a mail is not sent unless a person requests it, or None."""
    if rules.is_past(day):
        return PAST
    if sent_before is None:
        return None
    if sent_before.essentials == essentials:
        return "sent before, and nothing has changed"
    return "sent before, and the next session has opened" if rules.has_opened(day) else None


def _essentials(evening: Evening) -> str:
    """Return the text whose change makes a mail worth sending again: all but what each check measures anew."""
    from monitoring.daily_mail import to_text

    return to_text(replace(evening, limits=(), performance=()))


def _event_line(event: BookEvent) -> str:
    """Return a split, dividend or transfer in words."""
    cash = f", {event.cash_usd:+.2f} USD" if event.cash_usd else ""
    return f"{event.symbol or event.portfolio}: {event.kind}, {event.reason}{cash}"


def evening_of(resources: Resources, session: str, report: PerformanceReport | None = None) -> Evening:
    """Return the report of a session's evening, from the ledger."""
    from monitoring.daily_mail import Evening

    day, account, portfolio = dt.date.fromisoformat(session), resources.account, resources.settings.portfolio
    curve = account.ledger.equity(portfolio)
    curve = curve[curve["session"].dt.date <= day]
    start, changes = capital_usd(account, day), [each for each in account.ledger.book_events(portfolio) if each.session == day]
    moved = transferred_usd(changes)
    equity = float(curve["equity_usd"].iloc[-1]) if len(curve) else start
    before = float(curve["equity_usd"].iloc[-2]) + moved if len(curve) > 1 else start
    positions = _positions(account, day)
    report = report or watch_performance(session=session, resources=resources)
    return Evening(
        session=session,
        opens=next_open(session).isoformat(),
        portfolio=portfolio,
        broker=account.broker.name,
        equity_usd=equity,
        day_usd=equity - before,
        total_pct=100 * (equity / start - 1) if start > 0 else 0.0,
        cash_usd=float(curve["cash_usd"].iloc[-1]) if len(curve) else start,
        model=_model(account.ledger, day),
        attention=[
            *entry_blocks(day, resources=resources),
            *_open_differences(resources.reconciliations.last(portfolio), day),
            *_attention(account, day),
            *(each.sentence for each in report.alerts if each.severity != "info"),
            *map(str, ExitRuleBook.of(resources).rules_of(account.ledger.positions(portfolio)).orphans),
        ],
        fills=[
            f"{fill.side} {fill.quantity.normalize():f} {fill.symbol} at {fill.price:.2f} ({fill.reason or order.leg})"
            for order, fill in account.ledger.fills(portfolio)
            if fill.session == day
        ]
        + [_event_line(each) for each in changes],
        unfilled=_unfilled(account, curve, day),
        orders=_orders(account, day),
        refused=_refused(account, day),
        positions=positions,
        performance=mail_section(report),
        limits=_limits(resources.settings, resources.heartbeats.last(portfolio), _measured(curve, positions, equity, start)),
        scorecard=_scorecard(account, day),
    )


def _scorecard(account: TradingAccount, day: dt.date) -> list[str]:
    """Return a few success criteria by the book's record up to a session; nothing before the first finished trade."""
    from pipeline.research.scorecard import record_of_book
    from research.scorecard import make_scorecard

    record = record_of_book(account.ledger, account.portfolio, day)
    if record.trades.empty:
        return []
    return [row.sentence for row in make_scorecard(account.portfolio, record, {}).rows if row.name in MAILED]


def _orders(account: TradingAccount, day: dt.date) -> list[str]:
    """Return the orders for the sessions to come; one that has ended already with its reason."""
    coming = account.ledger.orders_for(account.portfolio, day, day + AHEAD)
    return [
        f"{order.leg}: {order.side} {order.quantity.normalize():f} {order.symbol}, {state}"
        + (f": {reason}" if state in UNFILLED else "")
        for order, state, reason in coming
        if order.decision_session == day
    ]


def _unfilled(account: TradingAccount, curve: pd.DataFrame, day: dt.date) -> list[str]:
    """Return the orders since the last session on record that ended unfilled, or filled in part, with the reasons."""
    earlier = curve[curve["session"].dt.date < day]["session"]
    after = earlier.iloc[-1].date() if len(earlier) else day - dt.timedelta(days=1)
    lines = []
    for order, state, reason in account.ledger.orders_for(account.portfolio, after, day):
        if state in UNFILLED:
            filled = account.ledger.filled(order.client_order_id)
            part = f"{filled.normalize():f} of " if filled else ""
            line = f"{order.leg}: {order.side} {part}{order.quantity.normalize():f} {order.symbol}"
            lines.append(f"{line} for {order.session}, {state}: {reason}")
    return lines


def _positions(account: TradingAccount, day: dt.date) -> list[Held]:
    from monitoring.daily_mail import Held

    held = account.ledger.positions(account.portfolio)
    if not held:
        return []
    closes = valuation.closing_prices(account.bars, {each.symbol for each in held}, day)
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


def _refused(account: TradingAccount, day: dt.date) -> dict[str, list[str]]:
    """Return the symbols refused in the session by reason; what happens to positions is none, nor is a warning."""
    events = account.ledger.risk_events(account.portfolio)
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for event in events.to_dict("records"):
        no_refusal = event["reason"] in {REACHED_STOP, REACHED_TARGET, UNMANAGED, CORRELATION_WARNING}
        if event["session"] == day and event["symbol"] and not no_refusal:
            by_reason[str(event["reason"])].append(str(event["symbol"]))
    return dict(by_reason)


def _model(ledger: Ledger, day: dt.date) -> str:
    predictions = ledger.predictions(day)
    versions = sorted({str(version) for version in predictions["model_version"]})
    return f"version {', '.join(versions)} judged {len(predictions)}" if versions else "asked about nothing"


def _open_differences(last: Reconciliation | None, day: dt.date) -> list[str]:
    """Return the differences to the venue that the day's last reconciliation left open."""
    if last is None or last.session != day:
        return []
    unresolved = [each for each in last.differences if Mismatch(each["rule"]) not in RESOLVED]
    return [f"{_named(each)}: {each['expected']} here, {each['found']} there." for each in unresolved]


def _attention(account: TradingAccount, day: dt.date) -> list[str]:
    """Return what a person must settle in the account: stale positions, rejected orders, orders without an answer."""
    unanswered = [
        order.client_order_id for order, state in account.ledger.open_orders(account.portfolio) if state is OrderState.UNKNOWN
    ]
    return [
        *_stale(account, day),
        *(f"{account.broker.name} refused the {words}." for words in _rejected(account, day)),
        *(f"Order {order_id} was sent and never answered." for order_id in unanswered),
    ]


def _stale(account: TradingAccount, day: dt.date) -> list[str]:
    held = {position.symbol for position in account.ledger.positions(account.portfolio)}
    return [
        f"{each.symbol} is held and has had no bar for {each.sessions} sessions, since {each.last}: delisted, renamed or not "
        "loaded. No rule sells it. Load its bars, or settle it at the broker and run `desk reconcile`."
        for each in valuation.stale_positions(account.bars, held, day)
    ]


def _rejected(account: TradingAccount, day: dt.date) -> list[str]:
    """Return the orders decided at the close that the broker rejected, with its reasons."""
    decided = account.ledger.orders_decided(account.portfolio, day)
    orders = [order for order, state in decided if state is OrderState.REJECTED]
    reasons = account.ledger.reasons([order.client_order_id for order in orders])
    lines = (
        f"{order.leg} of {order.quantity.normalize():f} {order.symbol}: {reasons[order.client_order_id]}" for order in orders
    )
    return list(dict.fromkeys(lines))  # a sale that is begun again each minute is refused each time


def _named(difference: Mapping[str, Any]) -> str:
    """Return rule and subject, once where they are the same."""
    return " ".join(dict.fromkeys((difference["rule"], difference["subject"])))


@dataclass(frozen=True)
class _Measured:
    """Figures that the limits are compared with."""

    equity_usd: float
    drawdown_pct: float
    positions: int
    exposure_pct: float


def _measured(curve: pd.DataFrame, positions: Sequence[Held], equity_usd: float, start_usd: float) -> _Measured:
    peak = max(float(curve["equity_usd"].max()) if len(curve) else 0.0, start_usd)
    gross = sum(abs(each.quantity) * each.close for each in positions)
    return _Measured(
        equity_usd,
        drawdown_pct=max(100 * (1 - equity_usd / peak), 0.0) if peak > 0 else 0.0,
        positions=len(positions),
        exposure_pct=100 * gross / equity_usd if equity_usd > 0 else 100.0,
    )


def _limits(settings: Settings, beat: Heartbeat | None, measured: _Measured) -> list[Limit]:
    """Return the limits with the figures of the evening; the value at risk is the one of the last heartbeat."""
    from monitoring.daily_mail import Limit

    limits = [
        Limit("Drawdown", measured.drawdown_pct, settings.monitor.drawdown_halt_pct, "%"),
        Limit("Positions", float(measured.positions), float(settings.risk.max_positions), ""),
        Limit("Exposure", measured.exposure_pct, settings.risk.max_exposure_pct, "% of equity"),
    ]
    var_usd = None if beat is None else beat.var_historical_usd
    if var_usd is not None and settings.monitor.var_limit_pct is not None and measured.equity_usd > 0:
        var_pct = 100 * var_usd / measured.equity_usd
        limits.append(Limit("Value at risk, 95 %", var_pct, settings.monitor.var_limit_pct, "% of equity"))
    return limits
