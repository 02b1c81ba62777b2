"""Send alerts to the operator: by e-mail, and through the services of `ALERTS__URLS`. The caller decides what is worth one.

Delivery never raises: an alert is sent while something else has failed, and must not hide it. What was not sent is logged with
the channel and the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from monitoring.channels import Channel, MailChannel, Message, Severity, apprise_channels, send_through
from storage.alerts.alert_log import SEVERITIES, ChannelResult

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from core.settings import Settings

log = structlog.get_logger()
__all__ = ["Alerts", "Severity"]


class Alerts:
    """Sends alerts to `MAIL__RECIPIENTS` and to `ALERTS__URLS`. Without either every alert is only logged.

    Parameters
    ----------
    settings
        The groups `mail` and `alerts` are used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def send(
        self,
        subject: str,
        body: str,
        severity: Severity = "warning",
        *,
        html: str | None = None,
        stored_at: Path | None = None,
    ) -> bool:
        """Send one alert through every channel.

        Parameters
        ----------
        subject
            One line; line breaks are replaced by spaces, so that no header can be smuggled in.
        body
            Plain text: what happened, where, and what to do.
        severity
            Prefix of the subject; `critical` also marks the mail as urgent. Below `ALERTS__MIN_SEVERITY` only mail is sent.
        html
            The same text as HTML, for mail readers that show it.
        stored_at
            A file that has the text: where it is not sent, the log names the file and leaves the text out.

        Returns
        -------
        bool
            True when a channel took it; what the others said is logged.
        """
        results = self.deliver(subject, body, severity, html=html, stored_at=stored_at)
        return any(each.delivered for each in results)

    def deliver(
        self,
        subject: str,
        body: str,
        severity: Severity = "warning",
        *,
        html: str | None = None,
        only: Collection[str] | None = None,
        stored_at: Path | None = None,
    ) -> list[ChannelResult]:
        """Send one alert through the channels named in `only`, else through all; return the result of each."""
        text = {"body": body} if stored_at is None else {"file": str(stored_at)}
        channels = [each for each in self._channels(severity) if only is None or each.name in only]
        events = log.bind(subject=subject, severity=severity)
        if not channels:
            (events.warning if stored_at is None else events.info)("alert_not_sent", reason=self._why_none(), **text)
            return []
        results = send_through(channels, Message(subject, body, severity, html), self.settings.alerts.timeout_seconds)
        for each in results:
            if each.delivered:
                events.info("alert_sent", channel=each.channel)
            else:
                events.error("alert_not_sent", channel=each.channel, reason=each.reason, **text)
        return results

    def channels(self, severity: Severity = "critical") -> list[str]:
        """Return the names of the channels that alerts of a severity go out through."""
        return [each.name for each in self._channels(severity)]

    def _channels(self, severity: Severity) -> list[Channel]:
        mail, alerts = self.settings.mail, self.settings.alerts
        channels: list[Channel] = []
        if mail.host and mail.recipients:
            channels.append(MailChannel(mail, alerts.timeout_seconds))
        if SEVERITIES.index(severity) >= SEVERITIES.index(alerts.min_severity):
            channels += apprise_channels(alerts.urls, alerts.timeout_seconds)
        return channels

    def _why_none(self) -> str:
        mail = self.settings.mail
        missing = [name for name, value in (("MAIL__HOST", mail.host), ("MAIL__RECIPIENTS", mail.recipients)) if not value]
        return f"{' and '.join(missing)} not set" if missing else "no channel was chosen"
