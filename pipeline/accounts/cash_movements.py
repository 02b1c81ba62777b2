"""Book the cash that a venue moved without an order: deposits, withdrawals, dividends and fees become events of the ledger."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import structlog

from core.book_events import BookEvent
from trading.brokers.base import CashStatement
from trading.brokers.book_events import apply_event

if TYPE_CHECKING:
    from pipeline.accounts.trading_account import TradingAccount

log = structlog.get_logger()
LOOK_BACK = dt.timedelta(days=10)  # a venue tells some movements days later


def book_cash_movements(account: TradingAccount, today: dt.date) -> list[BookEvent]:
    """Record the venue's cash movements since the first session on record, each once; return those that were new.

    Movements up to that session are part of the equity that the portfolio started with. A venue without a statement of them,
    as Interactive Brokers is through TWS, moves cash that a person records: `desk deposit`, `desk withdraw`.
    """
    if not isinstance(account.broker, CashStatement):
        return []
    sessions = account.ledger.equity(account.portfolio)["session"]
    if sessions.empty:
        return []
    first = sessions.min().date()
    movements = account.patience.retrying()(account.broker.cash_movements, max(first, today - LOOK_BACK))
    booked = []
    for each in movements:
        event = BookEvent(
            event_id=each.movement_id,
            portfolio=account.portfolio,
            kind=each.kind,
            session=each.session,
            symbol=each.symbol,
            cash_usd=each.usd,
            author=account.broker.name,
            reason=each.words,
        )
        if each.session > first and apply_event(account.ledger, event):
            booked.append(event)
            log.info("cash_movement", kind=str(each.kind), usd=str(each.usd), symbol=each.symbol, session=str(each.session))
    return booked
