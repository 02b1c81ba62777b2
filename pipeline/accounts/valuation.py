"""Value of the portfolio: cash, positions, prices and peak, as they were at a close.

A close is read as it was, also later: a run that is made up for in the morning, after orders have filled, must not mark the
evening before with them. A position is marked to its newest close, however old: shares that were delisted have no other price.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd

from core.models import Side
from core.sessions import calendar_name, open_of, sessions_between
from pipeline.accounts.book import book_before

if TYPE_CHECKING:
    from collections.abc import Collection

    from core.models import Fill, Position
    from pipeline.resources import Resources

LOOK_BACK = dt.timedelta(days=10)  # fills are told again without harm, and none of a long weekend is missed
STALE_AFTER_SESSIONS = 5


@dataclass(frozen=True)
class Silent:
    """A symbol held that has had no bar for some sessions."""

    symbol: str
    last: dt.date
    sessions: int


def positions_at(resources: Resources, day: dt.date) -> list[Position]:
    """What was held at the close of a session."""
    if not _later(resources, day):
        return resources.ledger.positions(resources.settings.portfolio)
    return book_before(resources, day + dt.timedelta(days=1)).positions(resources.settings.portfolio)


def cash_usd(resources: Resources) -> Decimal:
    """The broker's cash; a broker that does not answer is asked again, as with an order."""
    return resources.patience.retrying()(resources.broker.cash_usd)


def cash_at(resources: Resources, day: dt.date) -> Decimal:
    """The broker's cash at the close of a session: today's, less what later fills have brought."""
    return cash_usd(resources) - sum((_flow_usd(fill) for fill in _later(resources, day)), Decimal(0))


def first_usd(resources: Resources) -> float:
    """What the portfolio began with: the paper broker's first cash.

    An account elsewhere had money of its own: `BROKER_INITIAL_CASH_USD`, else the first value on record, else what the broker
    says now.
    """
    if resources.paper is not None:
        return float(resources.settings.initial_cash_usd)
    if resources.settings.broker_initial_cash_usd is not None:
        return float(resources.settings.broker_initial_cash_usd)
    history = resources.ledger.equity(resources.settings.portfolio)["equity_usd"]
    return float(history.iloc[0]) if len(history) else float(resources.broker.account({}).equity_usd)


def peak_usd(resources: Resources, day: dt.date) -> float:
    """Highest equity at a close before `day`, and what the portfolio began with."""
    history = resources.ledger.equity(resources.settings.portfolio)
    before = history.loc[history["session"] < pd.Timestamp(day), "equity_usd"]
    return max(first_usd(resources), float(before.max()) if len(before) else 0.0)


def recorded(resources: Resources) -> dt.date | None:
    """Newest session on record."""
    sessions = resources.ledger.equity(resources.settings.portfolio)["session"]
    return None if sessions.empty else sessions.max().date()


def since(resources: Resources, day: dt.date) -> dt.datetime:
    """From when on the venue is asked for fills: `LOOK_BACK` before the session, or before the last one on record.

    A desk that was down for longer still learns which of its stops were hit meanwhile.
    """
    return open_of(min(day, recorded(resources) or day)) - LOOK_BACK


def prices(resources: Resources, symbols: Collection[str], day: dt.date, as_of: dt.datetime | None = None) -> dict[str, float]:
    """Newest close of each symbol at or before a day, known at `as_of`; a symbol that never had one is left out."""
    return {symbol: close for symbol, (_, close) in resources.bars.last_closes(symbols, day, as_of).items()}


def silent(resources: Resources, symbols: Collection[str], day: dt.date) -> list[Silent]:
    """Symbols whose newest bar is more than `STALE_AFTER_SESSIONS` sessions of their exchange before `day`, sorted."""
    closes = resources.bars.last_closes(symbols, day)
    behind = {symbol: len(sessions_between(last, day, calendar_name(symbol))) - 1 for symbol, (last, _) in closes.items()}
    return [
        Silent(symbol, closes[symbol][0], behind[symbol]) for symbol in sorted(closes) if behind[symbol] > STALE_AFTER_SESSIONS
    ]


def _later(resources: Resources, day: dt.date) -> list[Fill]:
    return [fill for _, fill in resources.ledger.fills(resources.settings.portfolio) if fill.session > day]


def _flow_usd(fill: Fill) -> Decimal:
    signed = fill.quantity if fill.side is Side.SELL else -fill.quantity
    return signed * fill.price - fill.commission_usd
