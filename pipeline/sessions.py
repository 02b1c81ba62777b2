"""The session that a scheduled or manual run is for: one of New York, whatever else the desk trades.

Schedules use New York time. A logical date at midnight UTC is a date that a person typed (`airflow dags test NAME
2018-12-31`), since no schedule of the desk falls there.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from core.errors import DataError
from core.sessions import (
    ROUND_THE_CLOCK,
    calendar_name,
    close_of,
    is_session,
    last_closed_session,
    next_session,
    open_of,
    sessions_between,
)
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ingestion.providers.base import Provider

NEW_YORK = ZoneInfo("America/New_York")
ENDED_AFTER_SESSIONS: Final = 20  # sessions without a bar after which a symbol of a finished history has ended
LONGEST_CLOSURE_DAYS: Final = 10  # New York was closed for six days in September 2001


@dataclass(frozen=True)
class SessionChoice:
    """The session of a run.

    Attributes
    ----------
    session
        ISO date.
    trades
        True when there is something to do in that session.
    reason
        Why there is nothing to do; empty when there is.
    """

    session: str
    trades: bool
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the choice as JSON values."""
        return asdict(self)


def new_york_date(moment: dt.datetime) -> dt.date:
    """Return the date in New York at a moment (aware)."""
    return moment.astimezone(NEW_YORK).date()


def check_session(session: str) -> SessionChoice:
    """Return the date with whether the exchange trades on it; a run for a weekend or holiday skips and shows the reason."""
    day = dt.date.fromisoformat(session)
    trades = is_session(day)
    return SessionChoice(session, trades, "" if trades else f"{day:%A} {session} is not an XNYS session")


def newest_session(*, resources: Resources | None = None) -> str:
    """Return the newest session to run for.

    With a live provider the last one of New York that has closed; with a finished history the last one up to which every symbol
    has its bars, see `newest_common_session`.
    """
    resources = resources or live()
    closed = last_closed_session(resources.clock())
    if not resources.historical:
        return closed.isoformat()
    start = dt.date.fromisoformat(resources.settings.ingestion.history_start)
    return _newest_bar(resources.provider, resources.universe(), start, closed)


def newest_common_session(last_bars: Mapping[str, dt.date]) -> dt.date:
    """Return the last session of New York up to which every symbol has all the bars that its calendar can have.

    A symbol has ended, and does not count, when its last bar is more than `ENDED_AFTER_SESSIONS` of its own sessions older than
    the newest bar of the markets that close for the night. So neither a symbol that stopped years ago nor crypto bars of a
    weekend decide.

    Parameters
    ----------
    last_bars
        Session of the newest bar of each symbol; one or more.

    Examples
    --------
    >>> bars = {"BTC-USD": dt.date(2024, 7, 7), "AAPL": dt.date(2024, 7, 5), "XLF": dt.date(2018, 8, 30)}
    >>> str(newest_common_session(bars))
    '2024-07-05'
    """
    closing = [day for symbol, day in last_bars.items() if calendar_name(symbol) not in ROUND_THE_CLOCK]
    reference = max(closing or last_bars.values())
    reach = [
        next_session(day, calendar_name(symbol)) - dt.timedelta(days=1)
        for symbol, day in last_bars.items()
        if len(sessions_between(day + dt.timedelta(days=1), reference, calendar_name(symbol))) <= ENDED_AFTER_SESSIONS
    ]
    days = sessions_between(min(reach) - dt.timedelta(days=LONGEST_CLOSURE_DAYS), min(reach))
    newest: dt.date = days[-1].date()
    return newest


def choose_session(
    given: str | None, logical_date: dt.datetime | None, *, scheduled: bool, resources: Resources | None = None
) -> SessionChoice:
    """Return the session of a daily run.

    Parameters
    ----------
    given
        ISO date that a person gave; it wins.
    logical_date
        The run's logical date (aware), None in runs without one.
    scheduled
        True when the schedule made the run. A manual run without a date is for the newest session.
    """
    typed = _typed_date(logical_date)
    if scheduled and logical_date and not (given or typed):
        typed = new_york_date(logical_date).isoformat()
    return newest_before(given or typed, logical_date, resources=resources)


def newest_before(given: str | None, logical_date: dt.datetime | None, *, resources: Resources | None = None) -> SessionChoice:
    """Return the session that a person gave, else the newest one closed at the logical date."""
    newest = partial(newest_session, resources=resources)
    typed = _typed_date(logical_date)
    if given or typed:
        return _with_bars(given or str(typed), newest)
    last = newest()
    closed = last_closed_session(logical_date).isoformat() if logical_date else last
    return check_session(min(last, closed))


def session_in_progress(
    given: str | None, logical_date: dt.datetime | None, *, resources: Resources | None = None
) -> SessionChoice:
    """Return the session that a person gave, else the one of the logical date or of today; it trades while its market is open.

    The logical date names the session and the clock tells whether it is in progress: a run that is late, or cleared on another
    day, is for a session that is over.
    """
    resources = resources or live()
    now = resources.clock()
    day = given or _typed_date(logical_date) or new_york_date(logical_date or now).isoformat()
    answer = check_session(day)
    if not answer.trades:
        return answer
    opens, closes = (at(dt.date.fromisoformat(day)).astimezone(NEW_YORK) for at in (open_of, close_of))
    here = now.astimezone(NEW_YORK)
    if opens <= here < closes:
        return answer
    words = f"opens at {opens:%H:%M}" if here < opens else f"closed at {closes:%H:%M}"
    return SessionChoice(day, trades=False, reason=f"{day} {words} New York, and it is {here:%Y-%m-%d %H:%M} there")


def _newest_bar(provider: Provider, symbols: Sequence[str], start: dt.date, end: dt.date) -> str:
    """Return the newest session that a historical provider's bars reach."""
    download = provider.fetch(symbols, start, end)
    bars = download.bars.dropna(subset=["symbol", "session"])
    if bars.empty:
        raise DataError(f"{provider.name}: no bars for {symbols}: {download.failed}. Check UNIVERSE and the source.")
    last = {str(symbol): day.date() for symbol, day in bars.groupby("symbol")["session"].max().items()}
    return newest_common_session(last).isoformat()


def _typed_date(logical_date: dt.datetime | None) -> str | None:
    midnight = logical_date is not None and logical_date.astimezone(dt.UTC).time() == dt.time(0)
    return logical_date.astimezone(dt.UTC).date().isoformat() if logical_date and midnight else None


def _with_bars(session: str, newest: Callable[[], str]) -> SessionChoice:
    """Check that the exchange trades on the date and that its bars are available by now."""
    answer = check_session(session)
    if not answer.trades or session <= (last := newest()):
        return answer
    return SessionChoice(session, trades=False, reason=f"No bars of {session} yet: the newest available session is {last}")
