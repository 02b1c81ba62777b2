"""A mixin for stand-ins of `Alerts`: it sends alerts with a life through the one method `send`."""

from __future__ import annotations

from typing import Any

from storage.alerts.alert_log import ChannelResult


class OneChannel:
    """Adds `channels` and `deliver` to a stand-in that has `send`."""

    def channels(self, _severity: str = "critical") -> list[str]:
        """See `monitoring.alerts.Alerts.channels`."""
        return ["mail"]

    def deliver(self, subject: str, body: str, severity: str = "warning", **_: Any) -> list[ChannelResult]:
        """See `monitoring.alerts.Alerts.deliver`."""
        sender: Any = self
        return [ChannelResult("mail", bool(sender.send(subject, body, severity)))]
