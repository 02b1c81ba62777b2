"""Changes of the book that a person records: corporate actions, their settlement by hand, and deposits and withdrawals."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import pandas as pd

from core.book_events import BookEvent, BookEventKind
from core.errors import ConfigError, DataError
from core.frames import ACTIONS
from core.sessions import normalise_symbol
from pipeline.accounts.corporate_actions import apply_corporate_actions, chained, due_events, waiting_by_position
from pipeline.accounts.recorded_actions import Action
from pipeline.accounts.valuation import first_open_session
from pipeline.resources import Resources, live
from pipeline.risk.exit_orders import ExitOrders
from storage.locks import executor_lock
from trading.brokers.book_events import apply_event
from trading.corporate_actions import event_id
from trading.delistings import KIND as DELISTING

if TYPE_CHECKING:
    import datetime as dt

    from core.models import Position
    from pipeline.accounts.trading_account import TradingAccount

RATIOS = (str(BookEventKind.SPLIT), str(BookEventKind.SPIN_OFF))
KINDS = (*RATIOS, str(BookEventKind.DIVIDEND), DELISTING)


def record_action(symbol: str, session: dt.date, kind: str, value: float, *, resources: Resources | None = None) -> int:
    """Record a corporate action of a symbol, as a provider would; return how many positions follow it at once.

    Parameters
    ----------
    session
        Session on which the exchange applies it.
    kind, value
        `split`, new shares for an old one; `spin_off`, the old price over the new one; `dividend` or `delisting`, cash a share.

    Raises
    ------
    ConfigError
        When the kind is unknown or the value is out of its range.
    """
    resources = resources or live()
    if kind not in KINDS:
        raise ConfigError(f"Kind: expected one of {', '.join(KINDS)}, found {kind!r}.")
    if not (0 < value < float("inf") if kind in RATIOS else 0 <= value < float("inf")):
        raise ConfigError(f"Value of a {kind}: expected a number over 0, found {value}.")
    row = {"symbol": normalise_symbol(symbol), "session": pd.Timestamp(session), "kind": kind, "value": float(value)}
    resources.bars.write_actions(ACTIONS.coerce(pd.DataFrame([row])), resources.clock())
    followed = 0
    for book in {resources.settings.portfolio: None, **dict.fromkeys(each.name for each in resources.deployments.all())}:
        account = resources.for_portfolio(book).account
        with executor_lock(resources.engine, book):
            followed += len(apply_corporate_actions(account, ExitOrders.of(resources).today()))
    return followed


def resolve(
    symbol: str,
    session: dt.date,
    kind: BookEventKind,
    value: str,
    *,
    author: str,
    reason: str,
    resources: Resources | None = None,
) -> list[BookEvent]:
    """Settle a symbol by hand in the book, whatever bars and venue say, and return the events recorded.

    Parameters
    ----------
    session
        First session in the new terms.
    kind, value
        `split`: new shares for an old one; `spin_off`: old price over new price; `rename`: the new symbol; `dividend` and
        `adjustment`: the cash in USD, negative when it was paid.

    Raises
    ------
    ConfigError
        When the value does not fit the kind.
    DataError
        When the symbol is not held.
    """
    resources = resources or live()
    account, name = resources.account, normalise_symbol(symbol)
    with executor_lock(resources.engine, account.portfolio):
        if kind in {BookEventKind.DIVIDEND, BookEventKind.ADJUSTMENT}:
            usd = _number(value, kind, positive=False)
            name_of_event = f"{account.portfolio}|{name}|{kind}|{session.isoformat()}|{resources.clock().isoformat()}"
            made: list[tuple[BookEvent, Position | None]] = [
                (BookEvent(name_of_event, account.portfolio, kind, session, symbol=name, cash_usd=usd), None)
            ]
        else:
            positions = account.ledger.positions(account.portfolio)
            held = [position for position in positions if position.symbol == name]
            if not held:
                names = ", ".join(sorted({position.symbol for position in positions})) or "nothing"
                raise DataError(f"{name} is not held in {account.portfolio!r}. Held: {names}.")
            made = [(_event_for(account, position, session, kind, value), position) for position in held]
        signed = [(replace(event, author=author, reason=reason or event.reason), position) for event, position in made]
        return [event for event, position in signed if apply_event(account.ledger, event, position)]


def transfer(
    usd: float, *, author: str, reason: str, session: dt.date | None = None, resources: Resources | None = None
) -> BookEvent:
    """Record cash that was paid into the account, or taken out when negative: neither profit nor loss.

    Parameters
    ----------
    session
        First session whose close has it; default: today's, or the next when today's close is on record.

    Raises
    ------
    ConfigError
        When it is no number other than 0.
    """
    resources = resources or live()
    kind = BookEventKind.DEPOSIT if usd > 0 else BookEventKind.WITHDRAWAL
    amount, portfolio = _number(str(usd), kind, positive=False), resources.account.portfolio
    day, now = session or first_open_session(resources.ledger, portfolio, ExitOrders.of(resources).today()), resources.clock()
    name = f"{portfolio}|{kind}|{day.isoformat()}|{now.isoformat()}"
    event = BookEvent(name, portfolio, kind, day, cash_usd=amount, author=author, reason=reason, created_at=now)
    apply_event(resources.account.ledger, event)
    return event


def pending(*, resources: Resources | None = None) -> list[tuple[Position, Action, bool]]:
    """Return the recorded actions that positions have not followed, each with True when the next step applies it."""
    resources = resources or live()
    account, day = resources.account, ExitOrders.of(resources).today()
    waiting = waiting_by_position(account, account.ledger.positions(account.portfolio), day)
    due = {each.event.event_id for each in due_events(account, day)}
    return [(position, action, event_id(position, action.kind, action.session) in due) for position, action in waiting]


def _event_for(account: TradingAccount, position: Position, session: dt.date, kind: BookEventKind, value: str) -> BookEvent:
    """Return the event of a rename, split or spin-off of one position."""
    if kind is BookEventKind.RENAME:
        name = normalise_symbol(value)
        return BookEvent(
            event_id(position, kind, session),
            position.portfolio,
            kind,
            session,
            position.strategy,
            position.symbol,
            new_symbol=name,
            reason=f"renamed to {name}",
        )
    ratio = float(_number(value, kind, positive=True))
    step = account.broker.instrument(position.symbol).quantity_step
    (due,) = chained(account.bars, position, [(Action(session, kind, ratio), session)], step)
    return due.event


def _number(value: str, kind: BookEventKind, *, positive: bool) -> Decimal:
    """Return a ratio, which is over 0, or an amount of cash, which is not 0."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not number or (positive and number < 0):
        raise ConfigError(f"Value of a {kind}: expected a number {'over' if positive else 'other than'} 0, found {value!r}.")
    return number
