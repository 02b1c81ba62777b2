"""Check the broker's clock and calendar against ours. Sends no order.

Our calendar is a table printed in advance, and a day of mourning or a storm is not in it. An order for an open that does not
take place would be filled at another one, for which nothing was decided.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import structlog

from core.models import Leg
from core.sessions import calendar_name, close_of, open_of, session_at, sessions_between
from pipeline.risk.objection import Objection

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.models import MarketClock, OrderIntent
    from monitoring.alerts import Alerts
    from pipeline.resources import Resources
    from trading.brokers.base import Timetable

    Hours = tuple[dt.datetime, dt.datetime]

log = structlog.get_logger()
CLOCK, CALENDAR = "clock", "calendar"
REMEDY = {
    CLOCK: "Set the clock of this machine (NTP). Entries of this session are not sent; the next decision is the next chance.",
    CALENDAR: "Entries of this session are not sent. Read the exchange's own notice; where our calendar is wrong, update "
    "exchange-calendars.",
}


@dataclass
class VenueClock:
    """The broker's clock and calendar, read when the first entry of a run is about to be sent, and once.

    Attributes
    ----------
    timetable
        Clock and calendar of the broker; None where it has none, and nothing is refused.
    historical
        True where the bars are a finished history, which has no present: nothing is refused.
    tolerance_seconds
        Difference between the clocks that is accepted.
    """

    broker: str
    timetable: Timetable | None
    clock: Callable[[], dt.datetime]
    historical: bool
    tolerance_seconds: float
    alerts: Alerts
    _reading: MarketClock | None = None
    _ahead_seconds: float = 0.0
    _results: dict[tuple[object, ...], Objection | None] = field(default_factory=dict)

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build from the broker's timetable and the desk's clock."""
        settings = resources.settings
        return cls(
            broker=settings.venue.kind,
            timetable=resources.timetable,
            clock=resources.clock,
            historical=resources.historical,
            tolerance_seconds=settings.pre_send.clock_tolerance_seconds,
            alerts=resources.alerts,
        )

    def check_clock(self, order: OrderIntent) -> Objection | None:
        """Return the objection to an entry while the clocks differ; None too where the broker has no clock.

        Raises
        ------
        core.errors.RetryLater
            When the broker has a clock and does not answer.
        """
        return self._once((CLOCK,), order, self._compare_clocks)

    def check_calendar(self, order: OrderIntent) -> Objection | None:
        """Return the objection to an entry in shares while the calendars differ. Raises as `check_clock`."""
        if calendar_name(order.symbol) != "XNYS":
            return None
        last = order.session
        first = min(order.decision_session + dt.timedelta(days=1), last)
        return self._once(
            (CALENDAR, first, last),
            order,
            lambda timetable: self._compare_market_state(timetable) or _compare_sessions(timetable, first, last),
        )

    def _once(
        self, key: tuple[object, ...], order: OrderIntent, compare: Callable[[Timetable], Objection | None]
    ) -> Objection | None:
        """Compare and alert once a run; an exit only reduces, and is never refused."""
        if order.leg is Leg.EXIT or self.historical:
            return None
        if key not in self._results:
            if self.timetable is None:
                log.info("broker_time_not_compared", rule=key[0], broker=self.broker)
            self._results[key] = objection = None if self.timetable is None else compare(self.timetable)
            if objection is not None:
                rule = str(key[0])
                log.warning("broker_in_another_time", rule=rule, says=objection.reason, **objection.details)
                text = f"{objection.reason}.\n{REMEDY[rule]}"
                self.alerts.send(f"No entries for {order.session}: {rule}", text, "critical")
        return self._results[key]

    def _read(self, timetable: Timetable) -> MarketClock:
        """Read the broker's clock, and by how many seconds it is ahead of ours at least: the answer took its time."""
        if self._reading is None:
            before = self.clock()
            reading = timetable.clock()
            after = self.clock()
            ahead = min((reading.now - before).total_seconds(), 0.0) + max((reading.now - after).total_seconds(), 0.0)
            self._reading, self._ahead_seconds = reading, ahead
            log.info("broker_clock", ahead_seconds=ahead, is_open=reading.is_open)
        return self._reading

    def _compare_clocks(self, timetable: Timetable) -> Objection | None:
        self._read(timetable)
        ahead, limit = self._ahead_seconds, self.tolerance_seconds
        if abs(ahead) <= limit:
            return None
        side = "ahead of" if ahead > 0 else "behind"
        words = f"expected the broker's clock within {limit:g} s of ours, found it {abs(ahead):.0f} s {side} it"
        return Objection(words, {"limit_seconds": limit, "found_seconds": ahead})

    def _compare_market_state(self, timetable: Timetable) -> Objection | None:
        """Object to a market that is closed within a session or open outside one; seconds around the bells do not count."""
        reading, slack = self._read(timetable), dt.timedelta(seconds=self.tolerance_seconds)
        if reading.is_open in {session_at(reading.now + off) is not None for off in (-slack, slack)}:
            return None
        ours, theirs = ("closed", "open") if reading.is_open else ("open", "closed")
        words = f"expected a market that is {ours} at {reading.now:%Y-%m-%d %H:%M} UTC, found it {theirs} at the broker"
        return Objection(words, {"at": reading.now.isoformat(), "broker_is_open": reading.is_open})


@dataclass(frozen=True)
class ClockCheck:
    """Refuse entries while the broker's clock differs from ours: a `pre_send.PreSendRule`."""

    venue: VenueClock
    rule: str = CLOCK

    def check(self, order: OrderIntent) -> Objection | None:
        """See `VenueClock.check_clock`."""
        return self.venue.check_clock(order)


@dataclass(frozen=True)
class CalendarCheck:
    """Refuse entries while the broker's calendar differs from ours: a `pre_send.PreSendRule`."""

    venue: VenueClock
    rule: str = CALENDAR

    def check(self, order: OrderIntent) -> Objection | None:
        """See `VenueClock.check_calendar`."""
        return self.venue.check_calendar(order)


def _compare_sessions(timetable: Timetable, first: dt.date, last: dt.date) -> Objection | None:
    """Object to sessions whose hours differ between the calendars, from the decision to the open that the order is for."""
    theirs: dict[dt.date, Hours] = {day.session: (day.open, day.close) for day in timetable.calendar(first, last)}
    days = [stamp.date() for stamp in sessions_between(first, last)]
    ours: dict[dt.date, Hours] = {day: (open_of(day), close_of(day)) for day in days}
    apart = [day for day in sorted({*ours, *theirs}) if ours.get(day) != theirs.get(day)]
    if not apart:
        return None
    words = [f"expected {_hours(ours.get(day))} on {day}, found {_hours(theirs.get(day))} at the broker" for day in apart]
    return Objection("; ".join(words), {"sessions": [str(day) for day in apart]})


def _hours(hours: Hours | None) -> str:
    return "no session" if hours is None else f"a session {hours[0]:%H:%M} to {hours[1]:%H:%M} UTC"
