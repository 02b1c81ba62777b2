"""Value of a portfolio at a close: cash, positions, prices and peak equity.

A close is valued as it was, also later: a run that is made up for in the morning, after orders have filled, must not mark the
evening before with them. A position is marked to its newest close, however old: shares that were delisted have no other price.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd

from core.book_events import TRANSFERS
from core.models import MOST_USD, Side
from core.sessions import calendar_name, next_session, open_of, sessions_between
from pipeline.accounts.book import book_before, bring_to_bars
from trading.equity import is_amount

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from core.book_events import BookEvent
    from core.models import Fill, Position
    from pipeline.accounts.trading_account import TradingAccount
    from storage.market.bars import BarStore
    from storage.trading.ledger import Ledger

LOOK_BACK = dt.timedelta(days=10)  # reading a fill twice does no harm, and a long weekend is covered
STALE_AFTER_SESSIONS = 5


@dataclass(frozen=True)
class StalePosition:
    """A symbol held whose newest bar is several sessions old.

    Attributes
    ----------
    last
        Session of its newest bar.
    sessions
        Sessions of its exchange since then.
    """

    symbol: str
    last: dt.date
    sessions: int


def positions_at(account: TradingAccount, day: dt.date) -> list[Position]:
    """Return the positions held at the close of a session, in the terms of today, as the newest bars are."""
    ledger, portfolio, after = account.ledger, account.portfolio, day + dt.timedelta(days=1)
    if not _fills_after(ledger, portfolio, day):
        return ledger.positions(portfolio)
    return bring_to_bars(book_before(ledger, portfolio, after), portfolio, account.bars, after).positions(portfolio)


def cash_usd(account: TradingAccount) -> Decimal:
    """Return the broker's cash; a broker that does not answer is asked again, as with an order."""
    return account.patience.retrying()(account.broker.cash_usd)


def cash_at(account: TradingAccount, day: dt.date) -> Decimal:
    """Return the broker's cash at the close of a session: today's, less what later fills and book events brought."""
    return cash_usd(account) - _later_flow_usd(account.ledger, account.portfolio, day)


def cash_flow_at(ledger: Ledger, portfolio: str, day: dt.date, strategy: str | None = None) -> Decimal:
    """Return the cash that fills and book events had brought at the close of a session; those of one strategy where named."""
    return ledger.cash_flow_usd(portfolio, strategy) - _later_flow_usd(ledger, portfolio, day, strategy)


def initial_equity_usd(account: TradingAccount) -> float:
    """Return the equity that the portfolio started with.

    It is the account's initial cash; without one the first value on record, else the broker's value of the account now, and 0
    where that is no amount.
    """
    if account.initial_cash_usd is not None:
        return account.initial_cash_usd
    history = account.ledger.equity(account.portfolio)["equity_usd"]
    initial = float(history.iloc[0]) if len(history) else float(account.broker.account({}).equity_usd)
    return initial if is_amount(initial) else 0.0


def peak_equity_usd(account: TradingAccount, day: dt.date) -> float:
    """Return the highest equity at a close before `day`, at least the initial equity.

    Deposits and withdrawals count as if they had been there from the start: they are neither profit nor loss.
    """
    history = account.ledger.equity(account.portfolio)
    before = history[(history["session"] < pd.Timestamp(day)) & history["equity_usd"].between(0, MOST_USD)]
    moved = [each for each in account.ledger.book_events(account.portfolio) if each.kind in TRANSFERS and each.session <= day]
    values = [capital_usd(account, day)]
    for stamp, equity in zip(before["session"], before["equity_usd"], strict=True):
        values.append(float(equity) + transferred_usd(moved, after=stamp.date()))
    return max(values)


def capital_usd(account: TradingAccount, day: dt.date) -> float:
    """Return the equity that the portfolio started with plus deposits less withdrawals up to a session."""
    moved = [each for each in account.ledger.book_events(account.portfolio) if each.session <= day]
    return initial_equity_usd(account) + transferred_usd(moved)


def transferred_usd(events: Iterable[BookEvent], *, after: dt.date | None = None) -> float:
    """Return deposits less withdrawals of the sessions after a day; of all without one."""
    moved = [event.cash_usd for event in events if event.kind in TRANSFERS and (after is None or event.session > after)]
    return float(sum(moved, Decimal(0)))


def unexplained_cash_usd(account: TradingAccount) -> float:
    """Return the venue's cash less what the ledger explains: a transfer, fee or dividend that nobody has recorded.

    It is 0 while the venue's quantities differ from the ledger's, for a fill on its way explains it then; and before the first
    session on record, when nothing says what the portfolio started with.
    """
    ledger = account.ledger
    ours: defaultdict[str, Decimal] = defaultdict(Decimal)
    for position in ledger.positions(account.portfolio):
        ours[position.symbol] += position.quantity
    there = account.venue_quantities()
    start = _initial_cash_usd(account)
    if start is None or any(ours[symbol] != there.get(symbol, Decimal(0)) for symbol in {*ours, *there}):
        return 0.0
    return float(cash_usd(account) - start - ledger.cash_flow_usd(account.portfolio))


def _initial_cash_usd(account: TradingAccount) -> Decimal | None:
    """Return the cash that the portfolio started with: as stated, else what its first session on record implies."""
    if account.initial_cash_usd is not None:
        return Decimal(str(account.initial_cash_usd))
    history = account.ledger.equity(account.portfolio)
    if history.empty:
        return None
    first = cash_flow_at(account.ledger, account.portfolio, history["session"].iloc[0].date())
    return Decimal(str(float(history["cash_usd"].iloc[0]))) - first


def last_recorded_session(ledger: Ledger, portfolio: str) -> dt.date | None:
    """Return the newest session whose value is on record."""
    sessions = ledger.equity(portfolio)["session"]
    return None if sessions.empty else sessions.max().date()


def first_open_session(ledger: Ledger, portfolio: str, today: dt.date) -> dt.date:
    """Return the present session, or the one after the last that is on record: a recorded close does not change any more."""
    last = last_recorded_session(ledger, portfolio)
    return today if last is None or today > last else next_session(last)


def fill_query_start(ledger: Ledger, portfolio: str, day: dt.date) -> dt.datetime:
    """Return the start of the fill query: `LOOK_BACK` before the session, or before the last one on record.

    A desk that was down for longer still learns which of its stops were hit meanwhile.
    """
    return open_of(min(day, last_recorded_session(ledger, portfolio) or day)) - LOOK_BACK


def closing_prices(
    bars: BarStore, symbols: Collection[str], day: dt.date, as_of: dt.datetime | None = None
) -> dict[str, float]:
    """Return the newest close of each symbol at or before a day, point-in-time at `as_of`; symbols without one are absent."""
    return {symbol: close for symbol, (_, close) in bars.last_closes(symbols, day, as_of).items()}


def stale_positions(bars: BarStore, symbols: Collection[str], day: dt.date) -> list[StalePosition]:
    """Return the symbols whose newest bar is more than `STALE_AFTER_SESSIONS` sessions older than `day`, sorted."""
    closes = bars.last_closes(symbols, day)
    age = {symbol: len(sessions_between(last, day, calendar_name(symbol))) - 1 for symbol, (last, _) in closes.items()}
    return [
        StalePosition(symbol, closes[symbol][0], age[symbol]) for symbol in sorted(closes) if age[symbol] > STALE_AFTER_SESSIONS
    ]


def _fills_after(ledger: Ledger, portfolio: str, day: dt.date, strategy: str | None = None) -> list[Fill]:
    fills = ledger.fills(portfolio)
    return [fill for order, fill in fills if fill.session > day and strategy in {None, order.strategy}]


def _later_flow_usd(ledger: Ledger, portfolio: str, day: dt.date, strategy: str | None = None) -> Decimal:
    later = [_cash_flow_usd(fill) for fill in _fills_after(ledger, portfolio, day, strategy)]
    events = ledger.book_events(portfolio)
    later += [event.cash_usd for event in events if event.session > day and strategy in {None, event.strategy}]
    return sum(later, Decimal(0))


def _cash_flow_usd(fill: Fill) -> Decimal:
    signed = fill.quantity if fill.side is Side.SELL else -fill.quantity
    return signed * fill.price - fill.commission_usd
