"""Instants at an exchange: the same moment with the exchange's own clock and offset."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from core.sessions import calendar, calendar_name

if TYPE_CHECKING:
    import datetime as dt


def at_exchange(moment: dt.datetime, symbol: str | None = None) -> dt.datetime:
    """Return a moment (aware) on the clock of the symbol's exchange; New York's without a symbol.

    >>> import datetime as dt
    >>> at_exchange(dt.datetime(2024, 7, 3, 17, 0, tzinfo=dt.UTC), "AAPL").isoformat()
    '2024-07-03T13:00:00-04:00'
    """
    return moment.astimezone(_zone("XNYS" if symbol is None else calendar_name(symbol)))


@lru_cache(maxsize=64)
def _zone(name: str) -> dt.tzinfo:
    zone: dt.tzinfo = calendar(name).tz
    return zone
