"""Recorded corporate actions beside the stored bars: which are on record, and which the bars have been re-scaled for.

It reads the bar store and changes nothing; `pipeline.accounts.corporate_actions` applies actions to a book.
"""

from __future__ import annotations

import datetime as dt
import math
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from core.book_events import BookEventKind
from trading.orders import exact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from storage.market.bars import BarStore

SCALING = {str(kind): kind for kind in (BookEventKind.SPLIT, BookEventKind.SPIN_OFF)}
FAR = dt.date(2262, 1, 1)  # the last year that pandas knows


class Action(NamedTuple):
    """A recorded split or spin-off: the session on which it takes effect, its kind and its ratio."""

    session: dt.date
    kind: BookEventKind
    value: float


Actions = dict[str, list[Action]]  # by symbol, oldest first


def recorded_actions(bars: BarStore, symbols: Sequence[str], day: dt.date) -> Actions:
    """Return the recorded splits and spin-offs of symbols up to a session."""
    frame = bars.actions(symbols)
    frame = frame[frame["kind"].isin(list(SCALING)) & (frame["session"] <= pd.Timestamp(day))].sort_values("session")
    actions: Actions = {}
    for symbol, session, kind, value in frame.itertuples(index=False, name=None):
        actions.setdefault(symbol, []).append(Action(session.date(), SCALING[kind], float(value)))
    return actions


def largest_ratio(actions: Mapping[str, Sequence[Action]]) -> float:
    """Return the largest product of a symbol's ratios, each counted as at least 1; 0 without an action."""
    return max((math.prod(max(action.value, 1.0) for action in parts) for parts in actions.values()), default=0.0)


def restated(price: float, bar: tuple[float, float, float] | None, ratios: Sequence[float]) -> int:
    """Return how many of the ratios, oldest first, a bar has been re-scaled by since a price was taken from it.

    Parameters
    ----------
    bar
        Open, low and high as they are stored now; None when there is no such bar, which tells nothing.

    Examples
    --------
    A fill at 100 whose bar opens at 50 now: the history was re-scaled for the split of two for one.

    >>> restated(100.0, (50.0, 49.0, 51.0), [2.0]), restated(100.0, (100.0, 98.0, 102.0), [2.0])
    (1, 0)
    """
    if bar is None:
        return 0
    open_, low, high = bar

    def distance(factor: float) -> tuple[float, float]:
        outside = max(low * factor / price, price / (high * factor), 1.0)
        return round(math.log(outside), 3), abs(math.log(price / (open_ * factor)))

    factors = list(accumulate(ratios, mul, initial=1.0))
    return min(range(len(factors)), key=lambda place: distance(factors[place]))


def ratio_since(bars: BarStore, actions: Actions, symbol: str, session: dt.date, price: float, *, after: dt.date) -> float:
    """Return the ratio by which the stored bars have been re-scaled since a price was taken from a session's bar.

    Parameters
    ----------
    after
        Session in whose terms the price is: only later actions count.
    """
    later = [action.value for action in actions.get(symbol, []) if action.session > after]
    done = restated(price, bar_of(bars, symbol, session), later) if later else 0
    return math.prod(later[:done])


def close_before(bars: BarStore, symbol: str, session: dt.date) -> Decimal | None:
    """Return the last close before a session, as stored now."""
    closes = bars.last_closes([symbol], session - dt.timedelta(days=1))
    return exact(closes[symbol][1]) if symbol in closes else None


def bar_of(bars: BarStore, symbol: str, session: dt.date) -> tuple[float, float, float] | None:
    """Return open, low and high of a stored bar."""
    rows = bars.read([symbol], start=session, end=session)
    return None if rows.empty else (float(rows["open"].iloc[0]), float(rows["low"].iloc[0]), float(rows["high"].iloc[0]))


def first_close(bars: BarStore, symbol: str, session: dt.date) -> float | None:
    """Return the close of a bar as it was stored first."""
    versions = bars.versions([symbol], end=session)
    mine = versions[versions["session"] == pd.Timestamp(session)]
    return None if mine.empty else float(mine["close"].iloc[0])


def jumps(bars: BarStore, symbol: str, action: Action) -> bool:
    """Return True when the stored bars themselves move by the ratio at the action's session: they are not adjusted for it."""
    rows = bars.read([symbol], end=action.session).tail(2)
    if len(rows) < 2 or rows["session"].iloc[-1] != pd.Timestamp(action.session):  # noqa: PLR2004
        return False
    move = math.log(float(rows["open"].iloc[-1]) / float(rows["close"].iloc[0]))
    return abs(move + math.log(action.value)) < abs(move)
