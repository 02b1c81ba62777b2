"""Gives recurring alerts a life: sent once, counted while they last, reminded of, acknowledged, resolved.

Each notice is stored before it is sent, and each attempt to send it with its result, so that a channel that refuses loses
nothing: what it does not have is sent again at the next check. A notice may reach a channel twice, when a process dies between
sending and storing, and is never lost.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from storage.alerts.alert_log import AlertMoved, AlertState, ChannelResult, NewAlert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from monitoring.alerts import Alerts
    from monitoring.channels import Severity
    from storage.alerts.alert_log import Alert, AlertLog

log = structlog.get_logger()
BY_CHECK: Final = "check"  # who resolves what is not found any more
SENT_AFTER_RESOLVED: Final = dt.timedelta(days=3)  # how long a resolved alert is still sent to a channel that refused it


@dataclass(frozen=True)
class Finding:
    """A condition that a check found: its name within the kind and book, and what to tell people."""

    about: str
    subject: str
    body: str
    severity: Severity = "warning"
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Synced:
    """Result of bringing alerts in line with a check: raised for the first time, still open, resolved."""

    raised: list[Alert]
    repeated: list[Alert]
    resolved: list[Alert]


class AlertDesk:
    """Raises, sends, reminds of and resolves alerts.

    Parameters
    ----------
    alert_log, alerts
        The store, and the channels.
    remind_hours
        Age of an alert's last notice from which one that nobody acknowledged is sent again.
    """

    def __init__(self, alert_log: AlertLog, alerts: Alerts, clock: Callable[[], dt.datetime], remind_hours: float) -> None:
        self._log = alert_log
        self._alerts = alerts
        self._clock = clock
        self._remind_after = dt.timedelta(hours=remind_hours)

    def raise_alert(self, found: Finding, *, kind: str, book: str = "") -> Alert:
        """Store a finding as a new alert and send it, or count it on the open one; return the alert."""
        alert = self._raise(found, kind, book)
        self._send([alert.id] if alert.pending else [])
        return alert

    def resolve(self, key: str, *, author: str = BY_CHECK, reason: str = "it is not found any more") -> Alert | None:
        """Resolve the open alert with a key; None when there is none, or somebody else was first."""
        alert = self._log.open_key(key)
        return self._resolve(alert, author, reason) if alert else None

    def resolve_id(self, alert_id: int, *, author: str, reason: str) -> Alert:
        """Resolve an alert as a person; see `AlertLog.resolve` for what is refused."""
        return self._log.resolve(alert_id, author=author, reason=reason, at=self._clock())

    def acknowledge(self, alert_id: int, *, author: str, reason: str) -> Alert:
        """Note that a person has taken an alert on; see `AlertLog.acknowledge` for what is refused."""
        return self._log.acknowledge(alert_id, author=author, reason=reason, at=self._clock())

    def comment(self, alert_id: int, *, author: str, text: str) -> Alert:
        """Add a person's comment to an alert's history; see `AlertLog.comment` for what is refused."""
        return self._log.comment(alert_id, author=author, text=text, at=self._clock())

    def sync(self, kind: str, book: str, found: Iterable[Finding]) -> Synced:
        """Bring the open alerts of a kind and book in line with what its check found.

        What is found is raised or repeated, what is not found any more is resolved. Alerts of other kinds and books stay.
        """
        raised = [self._raise(each, kind, book) for each in found]
        current = {each.id for each in raised}
        gone = [each for each in self._log.read(kind=kind, book=book) if each.id not in current]
        resolved = [self._resolve(each, BY_CHECK, "it is not found any more") for each in gone]
        self._send(each.id for each in raised if each.pending)
        return Synced(
            raised=[each for each in raised if each.repeats == 0],
            repeated=[each for each in raised if each.repeats],
            resolved=[each for each in resolved if each is not None],
        )

    def remind(self) -> list[Alert]:
        """Send again what nobody acknowledged for too long, and what a channel did not take; return the reminders."""
        now = self._clock()
        reminders = self._log.remind(now - self._remind_after, now)
        self._send(self._log.pending(now - SENT_AFTER_RESOLVED))
        return reminders

    def _raise(self, found: Finding, kind: str, book: str) -> Alert:
        new = NewAlert(key_of(kind, book, found.about), kind, book, found.severity, found.subject, found.body, found.details)
        alert = self._log.raise_alert(new, self._clock())
        if alert.repeats == 0:
            log.info("alert_raised", alert=alert.id, key=alert.key, severity=alert.severity)
        return alert

    def _resolve(self, alert: Alert, author: str, reason: str) -> Alert | None:
        try:
            resolved = self._log.resolve(alert.id, author=author, reason=reason, at=self._clock())
        except AlertMoved:  # a person, or another check, was first
            return None
        log.info("alert_resolved", alert=alert.id, key=alert.key, author=author)
        return resolved

    def _send(self, alert_ids: Iterable[int]) -> None:
        """Send pending notices; a channel that failed is spared for the rest of them, and gets them at the next check."""
        failed: set[str] = set()
        for alert_id in alert_ids:
            with self._log.sending(alert_id) as alert:
                if alert is None or not alert.pending:  # another process sends it, or has just sent it
                    continue
                severity = cast("Severity", alert.severity)
                channels = set(self._alerts.channels(severity))
                lacking = channels - self._log.delivered(alert)
                results: list[ChannelResult] = []
                if lacking - failed or not channels:  # without any channel the alert is logged, once
                    results = self._alerts.deliver(_subject(alert), _body(alert), severity, only=lacking - failed)
                failed |= {each.channel for each in results if not each.delivered}
                complete = lacking <= {each.channel for each in results if each.delivered}
                self._log.record_sending(alert, results, self._clock(), complete=complete)


def key_of(kind: str, book: str, about: str) -> str:
    """Return the key of an alert: its kind, its book where it has one, and what it is about.

    >>> key_of("health", "", "disk"), key_of("risk", "main", "limits")
    ('health:disk', 'risk:main:limits')
    """
    return ":".join(part for part in (kind, book, about) if part)


def _subject(alert: Alert) -> str:
    if alert.state is AlertState.RESOLVED:
        return f"Resolved since: {alert.subject}"
    return alert.subject if alert.notice == 1 else f"Notice {alert.notice}: {alert.subject}"


def _body(alert: Alert) -> str:
    lines = [alert.body, "", f"Alert {alert.id}, first seen {alert.raised_at:%Y-%m-%d %H:%M} UTC, {alert.repeats} repeats."]
    if alert.resolved_at is not None:
        by = f"Resolved {alert.resolved_at:%Y-%m-%d %H:%M} UTC by {alert.resolved_by}: {alert.resolved_reason}."
        return "\n".join([*lines, by])
    if alert.acknowledged_at is not None and alert.state is AlertState.ACKNOWLEDGED:
        return "\n".join([*lines, f"Acknowledged by {alert.acknowledged_by}: {alert.acknowledged_reason}."])
    return "\n".join([*lines, f"desk alerts ack {alert.id} --reason WHY ends the reminders."])
