"""Trading sessions and the instants at which they open and close. It never reads the clock.

Times are UTC and timezone-aware. Calendars come from `exchange_calendars`: half days included, 24/7 for crypto pairs, 24/5 for
currencies. Which one a symbol has, its spelling says (`core.symbols`), or the table of instruments.
"""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

import pandas as pd

from core.errors import ConfigError
from core.symbols import normalise_symbol as normalise_symbol  # noqa: PLC0414 - sessions and spellings go together
from core.symbols import traits_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    import exchange_calendars as xcals

FIRST_DAY: Final = pd.Timestamp("1990-01-02")
ROUND_THE_CLOCK: Final = frozenset({"24/7", "24/5"})
# Calendars that the table of instruments names in place of the rule's, by symbol; swapped whole, for threads that read.
_in_force: dict[str, Mapping[str, str]] = {"corrections": {}}


def calendar_name(symbol: str) -> str:
    """Return the calendar of a symbol: the one that the table of instruments names, else what its spelling says.

    >>> [calendar_name(symbol) for symbol in ("BTC-USD", "AAPL", "VOD.L")]
    ['24/7', 'XNYS', 'XLON']
    """
    return _in_force["corrections"].get(symbol) or traits_of(symbol).calendar


def correct_calendars(calendars: Mapping[str, str]) -> None:
    """Use these calendars in this process in place of the rules'. The composition root gives the table's, once a process."""
    _in_force["corrections"] = dict(calendars)


def resolve_calendar(name: str) -> str:
    """Return the name under which a calendar is kept (`LSE` is `XLON`).

    Raises
    ------
    core.errors.ConfigError
        When there is no such calendar.
    """
    import exchange_calendars as xcals

    known = xcals.get_calendar_names(include_aliases=True)
    if name not in known:
        near = difflib.get_close_matches(name.upper(), known, n=1)
        raise ConfigError(
            f"Calendar: expected a name of exchange_calendars, found {name!r}. Did you mean {(near or ['XNYS'])[0]}?"
        )
    return str(xcals.resolve_alias(name))


@lru_cache(maxsize=64)
def calendar(name: str = "XNYS") -> xcals.ExchangeCalendar:
    """Return the exchange calendar from 1990 on (or from its own first date), built once a process."""
    import exchange_calendars as xcals  # half a second that a help text need not wait for

    factory = xcals.calendar_utils._default_calendar_factories[xcals.resolve_alias(name)]  # noqa: SLF001 - says the first date
    first = max(FIRST_DAY, factory.bound_min() or FIRST_DAY)
    return xcals.get_calendar(name, start=first)


def sessions_between(start: dt.date, end: dt.date, name: str = "XNYS") -> pd.DatetimeIndex:
    """Return the sessions from `start` to `end`, both included, as tz-naive midnights.

    >>> import datetime as dt
    >>> [f"{day:%a %d}" for day in sessions_between(dt.date(2024, 7, 3), dt.date(2024, 7, 8))]
    ['Wed 03', 'Fri 05', 'Mon 08']
    """
    first, last = calendar(name).first_session, calendar(name).last_session
    low, high = max(pd.Timestamp(start), first), min(pd.Timestamp(end), last)
    if low > high:
        return pd.DatetimeIndex([])
    return pd.DatetimeIndex(calendar(name).sessions_in_range(low, high))


def joint_sessions(start: dt.date, end: dt.date, names: Iterable[str]) -> pd.DatetimeIndex:
    """Return the dates from `start` to `end` on which at least one of these calendars has a session.

    >>> import datetime as dt
    >>> [f"{day:%a %d}" for day in joint_sessions(dt.date(2024, 7, 3), dt.date(2024, 7, 5), ["XNYS", "XLON"])]
    ['Wed 03', 'Thu 04', 'Fri 05']
    """
    days = pd.DatetimeIndex([])
    for name in names:
        days = days.union(sessions_between(start, end, name))
    return days


def is_session(day: dt.date, name: str = "XNYS") -> bool:
    """Return True when the exchange trades on that date.

    >>> import datetime as dt
    >>> is_session(dt.date(2024, 7, 4)), is_session(dt.date(2024, 7, 4), "24/7")
    (False, True)
    """
    return bool(calendar(name).is_session(pd.Timestamp(day)))


def open_of(session: dt.date, name: str = "XNYS") -> dt.datetime:
    """Return the instant (UTC) at which the session opens.

    >>> import datetime as dt
    >>> str(open_of(dt.date(2024, 7, 3)))
    '2024-07-03 13:30:00+00:00'
    """
    return cast("dt.datetime", calendar(name).session_open(pd.Timestamp(session)).to_pydatetime())


def close_of(session: dt.date, name: str = "XNYS") -> dt.datetime:
    """Return the instant (UTC) at which the session closes; early on half days.

    >>> import datetime as dt
    >>> str(close_of(dt.date(2024, 7, 3)))
    '2024-07-03 17:00:00+00:00'
    """
    return cast("dt.datetime", calendar(name).session_close(pd.Timestamp(session)).to_pydatetime())


def next_session(session: dt.date, name: str = "XNYS") -> dt.date:
    """Return the first session after `session` (which itself need not be one).

    >>> import datetime as dt
    >>> str(next_session(dt.date(2024, 7, 3)))
    '2024-07-05'
    """
    stamp = calendar(name).date_to_session(pd.Timestamp(session) + pd.Timedelta(days=1), direction="next")
    return cast("dt.date", stamp.date())


def present_session(now: dt.datetime, name: str = "XNYS") -> dt.date:
    """Return the session that has opened last: the one in progress, or the newest that has closed.

    >>> import datetime as dt
    >>> str(present_session(dt.datetime(2024, 7, 5, 15, tzinfo=dt.UTC)))
    '2024-07-05'
    """
    closed = last_closed_session(now, name)
    coming = next_session(closed, name)
    return coming if now >= open_of(coming, name) else closed


def last_closed_session(now: dt.datetime, name: str = "XNYS") -> dt.date:
    """Return the newest session whose close is at or before `now` (aware, UTC).

    >>> import datetime as dt
    >>> str(last_closed_session(dt.datetime(2024, 7, 5, 15, tzinfo=dt.UTC)))
    '2024-07-03'
    """
    if now.tzinfo is None:
        raise ValueError("Expected a timezone-aware time, found a naive one. Pass datetime.now(UTC).")
    stamp = pd.Timestamp(now).tz_convert("UTC")
    closes = calendar(name).closes
    return cast("dt.date", closes.index[closes.searchsorted(stamp, side="right") - 1].date())


def session_at(now: dt.datetime, name: str = "XNYS") -> dt.date | None:
    """Return the session in progress at `now` (aware, UTC), None while the exchange is closed.

    >>> import datetime as dt
    >>> str(session_at(dt.datetime(2024, 7, 5, 15, tzinfo=dt.UTC)))
    '2024-07-05'
    """
    stamp = pd.Timestamp(now).tz_convert("UTC")
    opens = calendar(name).opens
    at = opens.searchsorted(stamp, side="right") - 1
    inside = at >= 0 and stamp < calendar(name).closes.iloc[at]
    return cast("dt.date", opens.index[at].date()) if inside else None


def closes_of(sessions: pd.DatetimeIndex, name: str = "XNYS") -> pd.DatetimeIndex:
    """Return the closes (UTC) of many sessions, in the order given."""
    return pd.DatetimeIndex(calendar(name).closes.loc[sessions].array)
