"""What the portfolio has on record: at a close, at its beginning, at its highest. Owns these readings; it stores nothing.

A close is read as it was, also later: a run that is made up for in the morning, after orders have filled, must not mark the
evening before with them.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd

from core.models import Side
from core.sessions import open_of

if TYPE_CHECKING:
    from core.models import Fill, Position
    from pipeline.resources import Resources

LOOK_BACK = dt.timedelta(days=10)  # fills are told again without harm, and none of a long weekend is missed


def positions_at(found: Resources, day: dt.date) -> list[Position]:
    """What was held at the close of a session."""
    from pipeline.accounts.book import book_before

    if not _later(found, day):
        return found.ledger.positions(found.settings.portfolio)
    return book_before(found, day + dt.timedelta(days=1)).positions(found.settings.portfolio)


def cash_usd(found: Resources) -> Decimal:
    """The broker's cash; a broker that does not answer is asked again, as with an order."""
    return found.patience.retrying()(found.broker.cash_usd)


def cash_at(found: Resources, day: dt.date) -> Decimal:
    """The broker's cash at the close of a session: today's, less what later fills have brought."""
    return cash_usd(found) - sum((_flow_usd(fill) for fill in _later(found, day)), Decimal(0))


def first_usd(found: Resources) -> float:
    """What the portfolio began with: the paper broker's first cash.

    An account elsewhere had money of its own: `BROKER_INITIAL_CASH_USD`, else the first value on record, else what the broker
    says now.
    """
    if found.paper is not None:
        return float(found.settings.initial_cash_usd)
    if found.settings.broker_initial_cash_usd is not None:
        return float(found.settings.broker_initial_cash_usd)
    history = found.ledger.equity(found.settings.portfolio)["equity_usd"]
    return float(history.iloc[0]) if len(history) else float(found.broker.account({}).equity_usd)


def peak_usd(found: Resources, day: dt.date) -> float:
    """Highest equity at a close before `day`, and what the portfolio began with."""
    history = found.ledger.equity(found.settings.portfolio)
    before = history.loc[history["session"] < pd.Timestamp(day), "equity_usd"]
    return max(first_usd(found), float(before.max()) if len(before) else 0.0)


def recorded(found: Resources) -> dt.date | None:
    """Newest session on record."""
    sessions = found.ledger.equity(found.settings.portfolio)["session"]
    return None if sessions.empty else sessions.max().date()


def since(found: Resources, day: dt.date) -> dt.datetime:
    """From when on the venue is asked for fills: `LOOK_BACK` before the session, or before the last one on record.

    A desk that was down for longer still learns which of its stops were hit meanwhile.
    """
    return open_of(min(day, recorded(found) or day)) - LOOK_BACK


def _later(found: Resources, day: dt.date) -> list[Fill]:
    return [fill for _, fill in found.ledger.fills(found.settings.portfolio) if fill.session > day]


def _flow_usd(fill: Fill) -> Decimal:
    signed = fill.quantity if fill.side is Side.SELL else -fill.quantity
    return signed * fill.price - fill.commission_usd
