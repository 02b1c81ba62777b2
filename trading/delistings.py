"""Recorded delistings and the fills that close positions by them. Pure: the backtest, a replay and the live book read the same.

A delisting takes effect at the open of its session: who holds the symbol then is paid its cash a share, without slippage or
commission, and an order decided before lapses. A symbol whose bars stop without one keeps its positions at their last mark.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pandas as pd

from core.errors import DataError
from core.models import Fill, Leg, client_order_id
from core.sessions import calendar_name, open_of, sessions_between
from trading.fills import DELISTED, REASONS
from trading.orders import exact, exit_order

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from core.models import OrderIntent, Position

KIND: Final = "delisting"  # of a row of ACTIONS
A_FORTNIGHT: Final = dt.timedelta(days=14)  # no exchange is shut for longer
REASON: Final = REASONS[DELISTED]  # of the fill, and the arm of its order: no strategy decided it


@dataclass(frozen=True)
class Delisting:
    """The end of a symbol: `session` is the exchange's first on or after the recorded date, `cash` what a share is paid."""

    symbol: str
    session: dt.date
    cash: Decimal


def delistings_of(actions: pd.DataFrame) -> tuple[Delisting, ...]:
    """Return the delistings among ACTIONS, by session and symbol.

    Raises
    ------
    DataError
        When the cash a share is negative or no number.

    Examples
    --------
    A Saturday's takes effect on Monday:

    >>> import pandas as pd
    >>> rows = {"symbol": ["OLD"], "session": [pd.Timestamp("2018-12-15")], "kind": ["delisting"], "value": [14.25]}
    >>> [(each.symbol, str(each.session), each.cash) for each in delistings_of(pd.DataFrame(rows))]
    [('OLD', '2018-12-17', Decimal('14.25'))]
    """
    rows = actions[actions["kind"] == KIND]
    for symbol, value in zip(rows["symbol"], rows["value"], strict=True):
        if not 0 <= value < math.inf:
            raise DataError(f"Delisting of {symbol}: expected the cash a share, 0 or more, found {value}. Record it again.")
    found = [
        Delisting(str(symbol), first_session(str(symbol), stamp.date()), exact(value))
        for symbol, stamp, value in zip(rows["symbol"], rows["session"], rows["value"], strict=True)
    ]
    return tuple(sorted(found, key=lambda each: (each.session, each.symbol)))


def actions_until(actions: pd.DataFrame, last: dt.date) -> pd.DataFrame:
    """Return the ACTIONS of a run that ends with the session `last`; what takes effect later is none of its."""
    days = zip(actions["symbol"], actions["session"], strict=True)
    within = [first_session(str(symbol), stamp.date()) <= last for symbol, stamp in days]
    return actions[pd.Series(within, index=actions.index, dtype=bool)].reset_index(drop=True)


def first_session(symbol: str, day: dt.date) -> dt.date:
    """Return the symbol's first session on or after a day; the day itself where the calendar ends before it."""
    coming = sessions_between(day, day + A_FORTNIGHT, calendar_name(symbol))
    return day if coming.empty else coming[0].date()


def delisting_exits(positions: Iterable[Position], delisting: Delisting) -> list[tuple[OrderIntent, Fill]]:
    """Return the exit of each position that the delisting ends, with its fill; the same inputs give the same ids.

    A position entered at its session or later is one in another listing of the symbol, and is left alone.
    """
    return [
        _exit(position, delisting)
        for position in positions
        if position.symbol == delisting.symbol and position.entry_session < delisting.session
    ]


def _exit(position: Position, delisting: Delisting) -> tuple[OrderIntent, Fill]:
    session = delisting.session
    order = exit_order(position, decision_session=session, session=session)
    number = client_order_id(order.portfolio, order.strategy, order.symbol, session, Leg.EXIT, arm=REASON)
    fill = Fill(
        fill_id=f"{REASON}-{number}",
        client_order_id=number,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        price=delisting.cash,
        raw_price=delisting.cash,
        commission_usd=exact(0.0),
        session=session,
        filled_at=open_of(session, calendar_name(order.symbol)),
        reason=REASON,
    )
    return replace(order, client_order_id=number, arm=REASON), fill
