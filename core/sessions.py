"""Trading sessions and the instants at which they open and close. It never reads the clock.

Times are UTC and timezone-aware. XNYS comes from `exchange_calendars` (half days included); crypto pairs trade 24/7.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import pandas as pd

if TYPE_CHECKING:
    import datetime as dt

    import exchange_calendars as xcals

_CRYPTO = re.compile(r"^([A-Z0-9]{2,6})[-/]?(USD|USDT|USDC)$")
_CRYPTO_BASES = {"BTC", "ETH", "SOL", "LTC", "BCH", "DOGE", "AVAX", "LINK", "UNI", "AAVE", "XRP", "ADA"}


def normalise_symbol(symbol: str) -> str:
    """Bring the spellings of a symbol to one.

    >>> [normalise_symbol(s) for s in ("BTC/USD", "btcusd", "BTC-USD", " aapl ", "BRK.B")]
    ['BTC-USD', 'BTC-USD', 'BTC-USD', 'AAPL', 'BRK-B']
    """
    name = symbol.strip().upper()
    pair = _CRYPTO.match(name)
    if pair and pair.group(1) in _CRYPTO_BASES:
        return f"{pair.group(1)}-{pair.group(2)}"
    return name.replace(".", "-").replace("/", "-")


def calendar_name(symbol: str) -> str:
    """Return `24/7` for crypto pairs, else `XNYS`.

    >>> calendar_name("BTC-USD"), calendar_name("AAPL")
    ('24/7', 'XNYS')
    """
    pair = _CRYPTO.match(symbol)
    return "24/7" if pair and pair.group(1) in _CRYPTO_BASES else "XNYS"


@lru_cache(maxsize=4)
def calendar(name: str = "XNYS") -> xcals.ExchangeCalendar:
    """Return the exchange calendar from 1990 on, built once a process."""
    import exchange_calendars as xcals  # half a second that a help text need not wait for

    return xcals.get_calendar(name, start="1990-01-02")


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
