"""Pay positions in delisted symbols out by the recorded terms, and end the orders in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from trading.brokers.delisting import book_delistings
from trading.brokers.paper import PaperBroker
from trading.delistings import delistings_of

if TYPE_CHECKING:
    import datetime as dt

    from core.models import Fill
    from pipeline.accounts.trading_account import TradingAccount


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
    if due and not isinstance(account.broker, PaperBroker):  # a simulated venue holds what the book does
        there = account.venue_quantities()
        due = [each for each in due if not there.get(each.symbol)]
    return book_delistings(ledger, portfolio, due)
