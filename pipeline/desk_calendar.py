"""The sessions of a desk whose symbols trade by different calendars.

A date is a session of the desk when every symbol's market trades on it. It has closed when every market that closes has;
markets around the clock (crypto, currencies) follow the others, and count only on a desk that trades nothing else.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.errors import DataError
from core.sessions import ROUND_THE_CLOCK, calendar_name, close_of, is_session, last_closed_session, open_of, sessions_between

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENDED_AFTER_SESSIONS: Final = 20  # a symbol without a bar for more of its own sessions has ended


@dataclass(frozen=True)
class DeskCalendar:
    """The calendars of the symbols that a desk trades, sorted."""

    names: tuple[str, ...] = ("XNYS",)

    @classmethod
    def of_symbols(cls, symbols: Iterable[str]) -> DeskCalendar:
        """Return the calendar of a desk that trades these symbols; New York's when there is none."""
        return cls(tuple(sorted({calendar_name(symbol) for symbol in symbols})) or ("XNYS",))

    @property
    def closing(self) -> tuple[str, ...]:
        """The calendars that say when a session has closed."""
        return tuple(name for name in self.names if name not in ROUND_THE_CLOCK) or self.names

    @property
    def around_the_clock(self) -> bool:
        """True when no market of the desk ever closes for the night."""
        return set(self.names) <= ROUND_THE_CLOCK

    def without_session(self, day: dt.date) -> str | None:
        """Return the first calendar that has no session on a date; None when every market trades."""
        return next((name for name in self.names if not is_session(day, name)), None)

    def hours(self, day: dt.date) -> tuple[dt.datetime, dt.datetime]:
        """Return when the first market opens and the last one closes on a session (UTC)."""
        return min(open_of(day, name) for name in self.closing), max(close_of(day, name) for name in self.closing)

    def last_at(self, day: dt.date) -> dt.date:
        """Return the last session of the desk at or before a date.

        >>> str(DeskCalendar(("24/7", "XNYS")).last_at(dt.date(2024, 7, 7)))
        '2024-07-05'
        """
        for back in range(366):
            candidate = day - dt.timedelta(days=back)
            if self.without_session(candidate) is None:
                return candidate
        raise DataError(f"Expected a session that {', '.join(self.names)} share in the year before {day}, found none.")

    def last_closed(self, now: dt.datetime) -> dt.date:
        """Return the newest session of the desk that has closed at a moment (aware)."""
        return self.last_at(min(last_closed_session(now, name) for name in self.closing))


def newest_common_session(last_bars: Mapping[str, dt.date]) -> dt.date:
    """Return the last session that every symbol has, of those that have not ended.

    A symbol has ended when its last bar is more than `ENDED_AFTER_SESSIONS` of its own sessions older than the newest bar of
    the markets that close, so that neither a symbol that stopped years ago nor crypto bars of a weekend decide.

    >>> bars = {"BTC-USD": dt.date(2024, 7, 7), "AAPL": dt.date(2024, 7, 5), "XLF": dt.date(2018, 8, 30)}
    >>> str(newest_common_session(bars))
    '2024-07-05'
    """
    closing = DeskCalendar.of_symbols(last_bars).closing
    reference = max(day for symbol, day in last_bars.items() if calendar_name(symbol) in closing)
    trading = {
        symbol: day for symbol, day in last_bars.items() if _sessions_behind(symbol, day, reference) <= ENDED_AFTER_SESSIONS
    }
    return DeskCalendar.of_symbols(trading).last_at(min(trading.values()))


def _sessions_behind(symbol: str, day: dt.date, reference: dt.date) -> int:
    return len(sessions_between(day + dt.timedelta(days=1), reference, calendar_name(symbol)))
