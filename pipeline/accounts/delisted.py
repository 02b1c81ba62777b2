"""Pay positions in delisted symbols out by the recorded terms, and end the orders in them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd

from trading.brokers.delisting import book_delistings
from trading.brokers.paper import PaperBroker
from trading.delistings import delistings_of

if TYPE_CHECKING:
    import datetime as dt

    from core.models import Fill
    from pipeline.accounts.trading_account import TradingAccount
    from trading.delistings import Delisting


def pay_out_delisted(account: TradingAccount, day: dt.date) -> list[Fill]:
    """Close positions in symbols whose delisting took effect by a session, and return the fills; again it closes nothing.

    A real venue pays out itself: there the position is closed once the venue does not hold it any more.
    """
    ledger, portfolio = account.ledger, account.portfolio
    symbols = {position.symbol for position in ledger.positions(portfolio)}
    symbols |= {order.symbol for order, _ in ledger.open_orders(portfolio)}
    if not symbols:
        return []
    actions = account.bars.actions(sorted(symbols))
    due = [each for each in delistings_of(actions[actions["session"] <= pd.Timestamp(day)]) if each.session <= day]
    return book_delistings(ledger, portfolio, [each for each in due if _is_gone(account, each)])


def _is_gone(account: TradingAccount, delisting: Delisting) -> bool:
    """Return True when the venue does not hold the symbol any more; a simulated one holds what the book does."""
    if isinstance(account.broker, PaperBroker):
        return True
    there = {position.symbol: position.quantity for position in account.patience.retrying()(account.broker.positions)}
    return there.get(delisting.symbol, Decimal(0)) == 0
