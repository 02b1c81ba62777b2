"""Alerts as rows with a life: raised, repeated, reminded of, commented, acknowledged, resolved.

A key is open once: two processes that raise the same alert at once make one row. Whatever happens to an alert is an event,
which is only added.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from core.errors import ConfigError, DataError
from storage.alerts.tables import alert_events, alerts

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping

SENDING: Final = 7_103_223  # the first half of the advisory lock's key; the second is the alert's id
SEVERITIES: Final = ("info", "warning", "critical")  # in rising order


class AlertState(StrEnum):
    """The state of an alert; `RESOLVED` is the end, and a new occurrence is a new alert."""

    RAISED = "raised"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class AlertEvent(StrEnum):
    """An entry of an alert's history. Repeats are counted on the alert itself."""

    RAISED = "raised"
    ESCALATED = "escalated"
    REMINDED = "reminded"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    COMMENTED = "commented"
    DELIVERED = "delivered"
    NOT_DELIVERED = "not_delivered"


class NoSuchAlert(DataError):
    """No alert has that id."""


class AlertMoved(ConfigError):
    """The alert is not in a state that allows the change."""


@dataclass(frozen=True)
class NewAlert:
    """An occurrence to raise: the key of its subject, unique while the alert is open, and its text."""

    key: str
    kind: str
    book: str
    severity: str
    subject: str
    body: str
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Alert(NewAlert):
    """A stored alert.

    Attributes
    ----------
    book
        Portfolio or deployment; empty for the whole desk.
    repeats
        Occurrences after the first.
    notice, noticed_at
        Number of the last notice (the alert itself is 1, reminders and higher severities follow), and when it became due.
    pending
        True while a channel is still to get that notice.
    """

    id: int
    raised_at: dt.datetime
    last_seen_at: dt.datetime
    repeats: int
    state: AlertState
    notice: int
    noticed_at: dt.datetime
    pending: bool
    acknowledged_by: str | None
    acknowledged_reason: str | None
    acknowledged_at: dt.datetime | None
    resolved_by: str | None
    resolved_reason: str | None
    resolved_at: dt.datetime | None


@dataclass(frozen=True)
class ChannelResult:
    """One attempt to send a notice through a channel; `reason` is why it was not delivered."""

    channel: str
    delivered: bool
    reason: str = ""


class AlertLog:
    """Rows of `trading.alerts` and `trading.alert_events`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def raise_alert(self, new: NewAlert, at: dt.datetime) -> Alert:
        """Store an occurrence: a new alert, or one more repeat of the open one with this key.

        A repeat brings the text up to date. One of a higher severity is a new notice, and takes an acknowledgement back: it was
        given for less.
        """
        with self._engine.begin() as connection:
            while True:
                row = self._open_row(connection, new.key)
                if row is not None:
                    return self._repeat(connection, row, new, at)
                if (stored := self._insert(connection, new, at)) is not None:
                    return stored

    def acknowledge(self, alert_id: int, *, author: str, reason: str, at: dt.datetime) -> Alert:
        """Note that a person has taken the alert on; it is not sent again while it stays as severe.

        Raises
        ------
        NoSuchAlert
        AlertMoved
            When it is acknowledged already, or resolved.
        core.errors.ConfigError
            Without author or reason.
        """
        values = {"acknowledged_by": author, "acknowledged_reason": reason, "acknowledged_at": at}
        return self._move(alert_id, AlertState.ACKNOWLEDGED, values, {AlertState.RAISED})

    def resolve(self, alert_id: int, *, author: str, reason: str, at: dt.datetime) -> Alert:
        """End an alert; raises as `acknowledge` does, and `AlertMoved` when it is resolved already."""
        values = {"resolved_by": author, "resolved_reason": reason, "resolved_at": at}
        return self._move(alert_id, AlertState.RESOLVED, values, {AlertState.RAISED, AlertState.ACKNOWLEDGED})

    def comment(self, alert_id: int, *, author: str, text: str, at: dt.datetime) -> Alert:
        """Add a person's comment to an alert's history, resolved or not; its state stays.

        Raises
        ------
        NoSuchAlert
        core.errors.ConfigError
            Without author or text.
        """
        _require(author=author, comment=text)
        alert = self.find(alert_id)
        with self._engine.begin() as connection:
            _note(connection, alert, AlertEvent.COMMENTED, at, author=author.strip(), reason=text.strip())
        return alert

    def remind(self, noticed_before: dt.datetime, at: dt.datetime) -> list[Alert]:
        """Make a reminder of each alert due that nobody acknowledged and that was last sent at or before a moment."""
        rows = alerts.c
        due = (rows.state == AlertState.RAISED) & (rows.noticed_at <= noticed_before)
        change = sa.update(alerts).where(due).values(notice=rows.notice + 1, noticed_at=at, pending=True).returning(alerts)
        with self._engine.begin() as connection:
            reminded = [_alert(row) for row in connection.execute(change).mappings()]
            for each in reminded:
                _note(connection, each, AlertEvent.REMINDED, at)
        return sorted(reminded, key=lambda each: each.id)

    def open_key(self, key: str) -> Alert | None:
        """Return the open alert with a key; None when there is none."""
        with self._engine.connect() as connection:
            row = connection.execute(_open(key)).mappings().one_or_none()
        return _alert(row) if row else None

    def find(self, alert_id: int) -> Alert:
        """Return an alert; `NoSuchAlert` when there is none."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(alerts).where(alerts.c.id == alert_id)).mappings().one_or_none()
        if row is None:
            raise NoSuchAlert(f"Alert: expected the id of one, found {alert_id}. `desk alerts --all` lists them.")
        return _alert(row)

    def read(
        self,
        *,
        kind: str | None = None,
        book: str | None = None,
        closed: bool = False,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[Alert]:
        """Return the open alerts, newest first; resolved ones too with `closed`, and only ids under `before` if given."""
        rows = alerts.c
        query = sa.select(alerts).order_by(rows.id.desc()).limit(limit)
        if not closed:
            query = query.where(rows.state != AlertState.RESOLVED)
        for chosen, value in ((rows.kind, kind), (rows.book, book)):
            query = query if value is None else query.where(chosen == value)
        if before is not None:
            query = query.where(rows.id < before)
        with self._engine.connect() as connection:
            return [_alert(row) for row in connection.execute(query).mappings()]

    def pending(self, resolved_after: dt.datetime) -> list[int]:
        """Return the ids of alerts whose last notice some channel lacks, oldest first; resolved ones while that is recent."""
        rows = alerts.c
        wanted = rows.pending & (rows.resolved_at.is_(None) | (rows.resolved_at > resolved_after))
        with self._engine.connect() as connection:
            return list(connection.scalars(sa.select(rows.id).where(wanted).order_by(rows.id)))

    @contextlib.contextmanager
    def sending(self, alert_id: int) -> Iterator[Alert | None]:
        """Hold the sending of an alert and yield it as it is now; None while another process sends it."""
        with self._engine.connect() as connection:  # its transaction ends with the block, and the lock with it
            lock = sa.select(sa.func.pg_try_advisory_xact_lock(SENDING, alert_id % 2**31))
            held = connection.execute(lock).scalar_one()
            yield self.find(alert_id) if held else None

    def delivered(self, alert: Alert) -> set[str]:
        """Return the channels that have the alert's last notice."""
        rows = alert_events.c
        same = (rows.alert_id == alert.id) & (rows.notice == alert.notice) & (rows.event == AlertEvent.DELIVERED)
        with self._engine.connect() as connection:
            return set(connection.scalars(sa.select(rows.channel).where(same)))

    def record_sending(self, alert: Alert, results: Iterable[ChannelResult], at: dt.datetime, *, complete: bool) -> None:
        """Store attempts to send an alert's notice; a complete one is pending no longer, unless a newer notice is."""
        with self._engine.begin() as connection:
            for each in results:
                event = AlertEvent.DELIVERED if each.delivered else AlertEvent.NOT_DELIVERED
                _note(connection, alert, event, at, channel=each.channel, reason=each.reason)
            if complete:
                same = (alerts.c.id == alert.id) & (alerts.c.notice == alert.notice)
                connection.execute(sa.update(alerts).where(same).values(pending=False))

    def events(self, alert_id: int) -> list[dict[str, Any]]:
        """Return an alert's history, oldest first."""
        query = sa.select(alert_events).where(alert_events.c.alert_id == alert_id).order_by(alert_events.c.id)
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _open_row(self, connection: sa.Connection, key: str) -> Alert | None:
        row = connection.execute(_open(key).with_for_update()).mappings().one_or_none()
        return _alert(row) if row else None

    def _insert(self, connection: sa.Connection, new: NewAlert, at: dt.datetime) -> Alert | None:
        """Store a new alert; None when another process has stored one with this key meanwhile."""
        start = {"raised_at": at, "last_seen_at": at, "repeats": 0, "notice": 1, "noticed_at": at, "pending": True}
        values = {name: getattr(new, name) for name in NewAlert.__dataclass_fields__} | start | {"state": AlertState.RAISED}
        add = insert(alerts).values(values | {"details": dict(new.details)})
        add = add.on_conflict_do_nothing(index_elements=["key"], index_where=alerts.c.state != sa.text("'resolved'"))
        row = connection.execute(add.returning(alerts)).mappings().one_or_none()
        if row is None:
            return None
        stored = _alert(row)
        _note(connection, stored, AlertEvent.RAISED, at)
        return stored

    def _repeat(self, connection: sa.Connection, before: Alert, new: NewAlert, at: dt.datetime) -> Alert:
        values: dict[str, Any] = {
            "repeats": before.repeats + 1,
            "last_seen_at": max(at, before.last_seen_at),
            "subject": new.subject,
            "body": new.body,
            "details": dict(new.details),
        }
        worse = SEVERITIES.index(new.severity) > SEVERITIES.index(before.severity)
        if worse:
            values |= {"severity": new.severity, "state": AlertState.RAISED, "pending": True}
            values |= {"notice": before.notice + 1, "noticed_at": at}
        change = sa.update(alerts).where(alerts.c.id == before.id).values(values).returning(alerts)
        after = _alert(connection.execute(change).mappings().one())
        if worse:
            _note(connection, after, AlertEvent.ESCALATED, at, reason=f"{before.severity} to {new.severity}")
        return after

    def _move(self, alert_id: int, state: AlertState, values: Mapping[str, Any], allowed: set[AlertState]) -> Alert:
        author, reason, at = (values[f"{state}_{name}"] for name in ("by", "reason", "at"))
        _require(reason=reason, author=author)
        changed = {**values, f"{state}_by": author.strip(), f"{state}_reason": reason.strip(), "state": state}
        movable = (alerts.c.id == alert_id) & alerts.c.state.in_(allowed)
        with self._engine.begin() as connection:
            change = sa.update(alerts).where(movable).values(changed).returning(alerts)
            row = connection.execute(change).mappings().one_or_none()
            if row is not None:
                moved = _alert(row)
                _note(connection, moved, AlertEvent(state), at, author=author.strip(), reason=reason.strip())
                return moved
        now = self.find(alert_id)
        by = now.resolved_by if now.state is AlertState.RESOLVED else now.acknowledged_by
        raise AlertMoved(
            f"Alert {alert_id}: expected one that is {' or '.join(sorted(allowed))}, found it {now.state} by {by}."
        )


def _open(key: str) -> sa.Select[Any]:
    return sa.select(alerts).where(alerts.c.key == key, alerts.c.state != AlertState.RESOLVED)


def _require(**texts: str) -> None:
    for name, value in texts.items():
        if not value.strip():
            raise ConfigError(f"Alert: expected {name}, found none. State it for whoever reads the record.")


def _alert(row: Mapping[Any, Any]) -> Alert:
    return Alert(**{**row, "state": AlertState(row["state"])})


def _note(
    connection: sa.Connection,
    alert: Alert,
    event: AlertEvent,
    at: dt.datetime,
    *,
    channel: str = "",
    author: str = "",
    reason: str = "",
) -> None:
    row = {"alert_id": alert.id, "event": event, "notice": alert.notice, "at": at}
    connection.execute(sa.insert(alert_events).values(row | {"channel": channel, "author": author, "reason": reason}))
