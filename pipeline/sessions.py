"""The session that a scheduled or manual run is for.

Schedules use New York time. A logical date at midnight UTC is a date that a person typed (`airflow dags test NAME
2018-12-31`), since no schedule of the desk falls there.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from core.errors import DataError
from pipeline.desk_calendar import DeskCalendar, newest_common_session
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingestion.providers.base import Provider

NEW_YORK = ZoneInfo("America/New_York")
NEW_YORK_CALENDAR = DeskCalendar()


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


def check_session(session: str, calendar: DeskCalendar = NEW_YORK_CALENDAR) -> SessionChoice:
    """Return the date with whether every market trades on it; a run for a weekend or holiday skips and shows the reason."""
    day = dt.date.fromisoformat(session)
    closed = calendar.without_session(day)
    if closed is None:
        return SessionChoice(session, trades=True)
    return SessionChoice(
        session, trades=False, reason=f"{day:%A} {session} is not {'a' if closed[0].isdigit() else 'an'} {closed} session"
    )


def newest_session(*, resources: Resources | None = None) -> str:
    """Return the newest session to run for: the last one that has closed, or the end of a historical provider's data.

    See `pipeline.desk_calendar` for what is a session where symbols trade by different calendars.
    """
    resources = resources or live()
    closed = DeskCalendar.of_symbols(resources.universe()).last_closed(resources.clock())
    if not resources.historical:
        return closed.isoformat()
    start = dt.date.fromisoformat(resources.settings.ingestion.history_start)
    return _newest_bar(resources.provider, resources.universe(), start, closed)


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
    resources = resources or live()
    if (
        scheduled
        and logical_date
        and not (given or typed)
        and not DeskCalendar.of_symbols(resources.universe()).around_the_clock
    ):
        typed = logical_date.astimezone(NEW_YORK).date().isoformat()
    return newest_before(given or typed, logical_date, resources=resources)


def newest_before(given: str | None, logical_date: dt.datetime | None, *, resources: Resources | None = None) -> SessionChoice:
    """Return the session that a person gave, else the newest one closed at the logical date."""
    resources = resources or live()
    newest = partial(newest_session, resources=resources)
    calendar = DeskCalendar.of_symbols(resources.universe())
    typed = _typed_date(logical_date)
    if given or typed:
        return _with_bars(given or str(typed), calendar, newest)
    last = newest()
    closed = calendar.last_closed(logical_date).isoformat() if logical_date else last
    return check_session(min(last, closed), calendar)


def session_in_progress(
    given: str | None, logical_date: dt.datetime | None, *, resources: Resources | None = None
) -> SessionChoice:
    """Return the session that a person gave, else the one of the logical date or of today; it trades while its market is open.

    The logical date names the session and the clock tells whether it is in progress: a run that is late, or cleared on another
    day, is for a session that is over.
    """
    resources = resources or live()
    now = resources.clock()
    day = given or _typed_date(logical_date) or (logical_date or now).astimezone(NEW_YORK).date().isoformat()
    calendar = DeskCalendar.of_symbols(resources.universe())
    answer = check_session(day, calendar)
    if not answer.trades:
        return answer
    opens, closes = (at.astimezone(NEW_YORK) for at in calendar.hours(dt.date.fromisoformat(day)))
    here = now.astimezone(NEW_YORK)
    if opens <= here < closes:
        return answer
    words = f"opens at {opens:%H:%M}" if here < opens else f"closed at {closes:%H:%M}"
    return SessionChoice(day, trades=False, reason=f"{day} {words} New York, and it is {here:%Y-%m-%d %H:%M} there")


def _newest_bar(provider: Provider, symbols: Sequence[str], start: dt.date, end: dt.date) -> str:
    """Return the newest session of which a historical provider has a bar of every symbol that has not ended."""
    download = provider.fetch(symbols, start, end)
    bars = download.bars.dropna(subset=["symbol", "session"])
    if bars.empty:
        raise DataError(f"{provider.name}: no bars for {symbols}: {download.failed}. Check UNIVERSE and the source.")
    last = {str(symbol): day.date() for symbol, day in bars.groupby("symbol")["session"].max().items()}
    return newest_common_session(last).isoformat()


def _typed_date(logical_date: dt.datetime | None) -> str | None:
    midnight = logical_date is not None and logical_date.astimezone(dt.UTC).time() == dt.time(0)
    return logical_date.astimezone(dt.UTC).date().isoformat() if logical_date and midnight else None


def _with_bars(session: str, calendar: DeskCalendar, newest: Callable[[], str]) -> SessionChoice:
    """Check that every market trades on the date and that its bars are available by now."""
    answer = check_session(session, calendar)
    if not answer.trades or session <= (last := newest()):
        return answer
    return SessionChoice(session, trades=False, reason=f"No bars of {session} yet: the newest available session is {last}")
