"""Which session a scheduled or manual run is for. Owns the rule; it loads and trades nothing.

Schedules speak New York time. A logical date at midnight UTC is a date that a person typed (`airflow dags test NAME
2018-12-31`), since no schedule of the desk falls there.
"""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from core.errors import DataError
from core.sessions import close_of, is_session, last_closed_session, open_of
from pipeline.resources import Resources, live

NEW_YORK = ZoneInfo("America/New_York")


def check_session(session: str) -> dict[str, Any]:
    """Say whether the exchange trades on the date; a run for a weekend or holiday skips and shows this reason."""
    day = dt.date.fromisoformat(session)
    trades = is_session(day)
    return {"session": session, "trades": trades, "reason": "" if trades else f"{day:%A} {session} is not an XNYS session"}


def newest_session(resources: Resources | None = None) -> str:
    """The last session to run for: the newest one that has closed, or the end of a historical provider's data."""
    resources = resources or live()
    if not resources.historical:
        return last_closed_session(resources.clock()).isoformat()
    start = dt.date.fromisoformat(resources.settings.history_start)
    download = resources.provider.fetch(resources.universe(), start, last_closed_session(resources.clock()))
    if download.bars.empty:
        raise DataError(
            f"{resources.provider.name}: no bars for {resources.universe()}: {download.failed}. Check UNIVERSE and the source."
        )
    newest: dt.date = download.bars["session"].max().date()
    return newest.isoformat()


def choose_session(
    given: str | None, logical_date: dt.datetime | None, *, scheduled: bool, resources: Resources | None = None
) -> dict[str, Any]:
    """The session of a daily run.

    Parameters
    ----------
    given
        ISO date asked for by a person; it wins.
    logical_date
        The run's logical date (aware), None in runs without one.
    scheduled
        Whether the schedule made the run. A manual run without a date is for the newest session.

    Returns
    -------
    dict
        session, trades (whether there is something to do), reason (why not).
    """
    typed = _typed_date(logical_date)
    if given or typed:
        return _open_for_business(given or str(typed), resources)
    if scheduled and logical_date:
        return _open_for_business(logical_date.astimezone(NEW_YORK).date().isoformat(), resources)
    return newest_before(None, logical_date, resources=resources)


def newest_before(given: str | None, logical_date: dt.datetime | None, *, resources: Resources | None = None) -> dict[str, Any]:
    """The session asked for, else the newest one closed at the logical date. Same answer as `choose_session`."""
    typed = _typed_date(logical_date)
    if given or typed:
        return _open_for_business(given or str(typed), resources)
    newest = newest_session(resources)
    closed = last_closed_session(logical_date).isoformat() if logical_date else newest
    return check_session(min(newest, closed))


def session_in_progress(
    given: str | None, logical_date: dt.datetime | None, *, resources: Resources | None = None
) -> dict[str, Any]:
    """The session asked for, else the one of the logical date or of today, while its market is open. Same answer as above.

    The logical date names the session, the clock says whether it goes on: a run that is late, or cleared on another day, is for
    a session that is over.
    """
    resources = resources or live()
    now = resources.clock()
    day = given or _typed_date(logical_date) or (logical_date or now).astimezone(NEW_YORK).date().isoformat()
    answer = check_session(day)
    if not answer["trades"]:
        return answer
    opens, closes = (at(dt.date.fromisoformat(day)).astimezone(NEW_YORK) for at in (open_of, close_of))
    here = now.astimezone(NEW_YORK)
    if opens <= here < closes:
        return answer
    words = f"opens at {opens:%H:%M}" if here < opens else f"closed at {closes:%H:%M}"
    return {"session": day, "trades": False, "reason": f"{day} {words} New York, and it is {here:%Y-%m-%d %H:%M} there"}


def _typed_date(logical_date: dt.datetime | None) -> str | None:
    midnight = logical_date is not None and logical_date.astimezone(dt.UTC).time() == dt.time(0)
    return logical_date.astimezone(dt.UTC).date().isoformat() if logical_date and midnight else None


def _open_for_business(session: str, resources: Resources | None) -> dict[str, Any]:
    """Check that the exchange trades that day, and that its bars can be had by now."""
    answer = check_session(session)
    if not answer["trades"]:
        return answer
    newest = newest_session(resources)
    if session > newest:
        return {
            "session": session,
            "trades": False,
            "reason": f"No bars of {session} yet: the newest session to be had is {newest}",
        }
    return answer
