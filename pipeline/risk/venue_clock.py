"""Whether the broker lives in our time: its clock beside ours, its sessions beside those of our calendar. Sends no order.

Our calendar is a table printed in advance, and a day of mourning or a storm is not in it. An order for an open that does not
come would be filled at another one, for which nothing was decided.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import structlog

from core.models import Leg
from core.sessions import calendar_name, close_of, open_of, session_at, sessions_between

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.models import MarketClock, OrderIntent
    from pipeline.resources import Resources
    from trading.brokers.base import Timetable

    Objection = tuple[str, dict[str, Any]]  # why, and the numbers
    Hours = tuple[dt.datetime, dt.datetime]

log = structlog.get_logger()
CLOCK, CALENDAR = "clock", "calendar"
REMEDY = {
    CLOCK: "Set the clock of this machine (NTP). Entries of this session are not sent; the next decision is the next chance.",
    CALENDAR: "Entries of this session are not sent. Look at the exchange's own notice; where our calendar is wrong, update "
    "exchange-calendars.",
}


class VenueTime:
    """What one run knows of the broker's clock and calendar: asked when its first entry is about to go, and once."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._told: MarketClock | None = None
        self._ahead_seconds = 0.0
        self._said: dict[tuple[object, ...], Objection | None] = {}

    def clock(self, order: OrderIntent) -> Objection | None:
        """Why an entry must not go for want of one time; None too where the broker has no clock.

        Raises
        ------
        core.errors.RetryLater
            When it has one and does not tell.
        """
        return self._once((CLOCK,), order, self._apart)

    def calendar(self, order: OrderIntent) -> Objection | None:
        """Why an entry of a share must not go: the broker trades at other hours than our calendar says. Raises as `clock`."""
        if calendar_name(order.symbol) != "XNYS":
            return None
        last = order.session
        first = min(order.decision_session + dt.timedelta(days=1), last)
        return self._once(
            (CALENDAR, first, last), order, lambda asked: self._untimely(asked) or _other_hours(asked, first, last)
        )

    def _once(
        self, key: tuple[object, ...], order: OrderIntent, judge: Callable[[Timetable], Objection | None]
    ) -> Objection | None:
        """Judge once a run, and tell a person once; an exit only reduces, and a finished history has no present."""
        resources = self._resources
        if order.leg is Leg.EXIT or resources.historical:
            return None
        if key not in self._said:
            if resources.timetable is None:
                log.info("broker_time_not_compared", rule=key[0], broker=resources.settings.broker)
            self._said[key] = said = None if resources.timetable is None else judge(resources.timetable)
            if said is not None:
                rule = str(key[0])
                log.warning("broker_in_another_time", rule=rule, says=said[0], **said[1])
                resources.alerts.send(f"No entries for {order.session}: {rule}", f"{said[0]}.\n{REMEDY[rule]}", "critical")
        return self._said[key]

    def _look(self, timetable: Timetable) -> MarketClock:
        """The broker's clock, with how many seconds it is ahead of ours at least: the answer took its time."""
        if self._told is None:
            before = self._resources.clock()
            told = timetable.clock()
            after = self._resources.clock()
            self._ahead_seconds = min((told.now - before).total_seconds(), 0.0) + max((told.now - after).total_seconds(), 0.0)
            self._told = told
            log.info("broker_clock", ahead_seconds=self._ahead_seconds, is_open=told.is_open)
        return self._told

    def _apart(self, timetable: Timetable) -> Objection | None:
        self._look(timetable)
        ahead, most = self._ahead_seconds, self._resources.settings.clock_tolerance_seconds
        if abs(ahead) <= most:
            return None
        side = "ahead of" if ahead > 0 else "behind"
        words = f"expected the broker's clock within {most:g} s of ours, found it {abs(ahead):.0f} s {side} it"
        return words, {"limit_seconds": most, "found_seconds": ahead}

    def _untimely(self, timetable: Timetable) -> Objection | None:
        """A market that is closed in the middle of a session, or open outside of one; seconds around its bells do not count."""
        told, slack = self._look(timetable), dt.timedelta(seconds=self._resources.settings.clock_tolerance_seconds)
        if told.is_open in {session_at(told.now + off) is not None for off in (-slack, slack)}:
            return None
        ours, theirs = ("closed", "open") if told.is_open else ("open", "closed")
        words = f"expected a market that is {ours} at {told.now:%Y-%m-%d %H:%M} UTC, found it {theirs} at the broker"
        return words, {"at": told.now.isoformat(), "broker_is_open": told.is_open}


def _other_hours(timetable: Timetable, first: dt.date, last: dt.date) -> Objection | None:
    """Sessions of which the broker's calendar says something else than ours, from the decision to the open it is for."""
    theirs: dict[dt.date, Hours] = {day.session: (day.open, day.close) for day in timetable.calendar(first, last)}
    days = [stamp.date() for stamp in sessions_between(first, last)]
    ours: dict[dt.date, Hours] = {day: (open_of(day), close_of(day)) for day in days}
    apart = [day for day in sorted({*ours, *theirs}) if ours.get(day) != theirs.get(day)]
    if not apart:
        return None
    words = [f"expected {_hours(ours.get(day))} on {day}, found {_hours(theirs.get(day))} at the broker" for day in apart]
    return "; ".join(words), {"sessions": [str(day) for day in apart]}


def _hours(hours: Hours | None) -> str:
    return "no session" if hours is None else f"a session {hours[0]:%H:%M} to {hours[1]:%H:%M} UTC"
