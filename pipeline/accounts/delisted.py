"""Pay positions in delisted symbols out by the recorded terms, and end the orders in them."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import structlog

from core.models import OrderState
from trading.brokers.intake import position_after
from trading.brokers.paper import PaperBroker
from trading.delistings import delisting_exits, delistings_of

if TYPE_CHECKING:
    import datetime as dt

    from core.models import Fill
    from pipeline.accounts.trading_account import TradingAccount
    from trading.delistings import Delisting

log = structlog.get_logger()
WORDS = "the symbol is delisted"


def pay_out_delisted(account: TradingAccount, day: dt.date) -> list[Fill]:
    """Close positions in symbols whose delisting took effect by a session, and return the fills; again it closes nothing.

    A real venue pays out itself: there the position is closed once the venue does not hold it any more.
    """
    ledger, portfolio = account.ledger, account.portfolio
    positions = ledger.positions(portfolio)
    orders = ledger.open_orders(portfolio)
    symbols = sorted({position.symbol for position in positions} | {order.symbol for order, _ in orders})
    if not symbols:
        return []
    actions = account.bars.actions(symbols)
    due = [each for each in delistings_of(actions[actions["session"] <= pd.Timestamp(day)]) if each.session <= day]
    paid = []
    for delisting in due:
        if not _is_gone(account, delisting):
            continue
        for order, fill in delisting_exits(positions, delisting):
            if ledger.record_fill(fill, order, partial(position_after, order=order, fill=fill)):
                paid.append(fill)
                log.info("delisted", symbol=fill.symbol, quantity=str(fill.quantity), cash=str(fill.price))
        for order, state in orders:
            if order.symbol == delisting.symbol and order.decision_session < delisting.session:
                ends = OrderState.CANCELLED if state is OrderState.CANCEL_PENDING else OrderState.EXPIRED
                ledger.transition(order.client_order_id, ends, WORDS)
    return paid


def _is_gone(account: TradingAccount, delisting: Delisting) -> bool:
    """Return True when the venue does not hold the symbol any more; a simulated one holds what the book does."""
    if isinstance(account.broker, PaperBroker):
        return True
    there = {position.symbol: position.quantity for position in account.patience.retrying()(account.broker.positions)}
    return there.get(delisting.symbol, Decimal(0)) == 0
