"""What things held were last worth, and since when nothing has been heard of them. Owns which price a position is marked to.

A position is marked to its newest close, however old: shares that were delisted have no other price, and a desk that refused to
look at them could do nothing with the rest. Who holds such a thing is told of it each evening.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.sessions import calendar_name, sessions_between

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection

    from pipeline.resources import Resources

STALE_AFTER_SESSIONS = 5


@dataclass(frozen=True)
class Silent:
    """A symbol held that has had no bar for some sessions."""

    symbol: str
    last: dt.date
    sessions: int


def prices(found: Resources, symbols: Collection[str], day: dt.date, as_of: dt.datetime | None = None) -> dict[str, float]:
    """Newest close of each symbol at or before a day, known at `as_of`; a symbol that never had one is left out."""
    return {symbol: close for symbol, (_, close) in found.bars.last_closes(symbols, day, as_of).items()}


def silent(found: Resources, symbols: Collection[str], day: dt.date) -> list[Silent]:
    """Symbols whose newest bar is more than `STALE_AFTER_SESSIONS` sessions of their exchange before `day`, sorted."""
    closes = found.bars.last_closes(symbols, day)
    behind = {symbol: len(sessions_between(last, day, calendar_name(symbol))) - 1 for symbol, (last, _) in closes.items()}
    return [
        Silent(symbol, closes[symbol][0], behind[symbol]) for symbol in sorted(closes) if behind[symbol] > STALE_AFTER_SESSIONS
    ]
