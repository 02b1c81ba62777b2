"""Channels that alerts go out through: e-mail and the services of Apprise. One that refuses or hangs stops no other.

Each channel is tried in a thread of its own and given up after `ALERTS__TIMEOUT_SECONDS`. A channel that was given up may still
deliver; its alert counts as not delivered and is sent again.
"""

from __future__ import annotations

import smtplib
import ssl
import threading
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid
from typing import TYPE_CHECKING, Literal, Protocol

from core.configuration.alert_urls import make_service, scheme_of, unlogged
from storage.alerts.alert_log import ChannelResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

    from core.configuration.services import Mail

Severity = Literal["info", "warning", "critical"]
MAIL = "mail"


class NotDelivered(Exception):
    """The channel refused the message; the text is safe to log."""


@dataclass(frozen=True)
class Message:
    """One message to people. `subject` is one line, `html` the same text for mail readers that show it."""

    subject: str
    body: str
    severity: Severity
    html: str | None = None

    @property
    def title(self) -> str:
        """The subject with its severity in front, in one line."""
        return f"[{self.severity.upper()}] {' '.join(self.subject.split())}"


class Channel(Protocol):
    """One way to reach people."""

    @property
    def name(self) -> str:
        """The channel's name in the log and in the record: `mail`, or a scheme."""

    def send(self, message: Message) -> None:
        """Deliver a message, or raise."""


@dataclass(frozen=True)
class MailChannel:
    """E-mail to `MAIL__RECIPIENTS` through `MAIL__HOST`."""

    mail: Mail
    timeout_seconds: float
    name: str = MAIL

    def send(self, message: Message) -> None:
        """Hand the message to the mail server for every recipient."""
        with smtplib.SMTP(str(self.mail.host), self.mail.port, timeout=self.timeout_seconds) as server:
            if self.mail.starttls:
                server.starttls(context=ssl.create_default_context())
            if self.mail.user and self.mail.password:
                server.login(self.mail.user, self.mail.password.get_secret_value())
            server.send_message(self._written(message))

    def _written(self, message: Message) -> EmailMessage:
        written = EmailMessage()
        written["Subject"] = message.title
        written["From"] = self.mail.sender
        written["To"] = ", ".join(self.mail.recipients)
        written["Date"] = format_datetime(localtime())
        written["Message-ID"] = make_msgid(domain="desk.invalid")
        if message.severity == "critical":
            written["X-Priority"] = "1"
        written.set_content(message.body)
        if message.html is not None:
            written.add_alternative(message.html, subtype="html")
        return written


@dataclass(frozen=True)
class AppriseChannel:
    """A service of Apprise: Slack, Telegram, Discord, ntfy, a webhook."""

    name: str
    url: SecretStr
    timeout_seconds: float

    def send(self, message: Message) -> None:
        """Hand the message to the service; the reason of a refusal shows nothing of the address."""
        from apprise import NotifyType

        kinds = {"info": NotifyType.INFO, "warning": NotifyType.WARNING, "critical": NotifyType.FAILURE}
        service = make_service(self.url, self.timeout_seconds)
        if service is None:
            raise NotDelivered("its address cannot be used")
        with unlogged() as statuses:
            try:
                taken = service.notify(title=message.title, body=message.body, notify_type=kinds[message.severity])
            except Exception as error:  # noqa: BLE001  # whatever a service throws; its text may hold the address
                raise NotDelivered(type(error).__name__) from None
        if not taken:
            raise NotDelivered(f"refused with HTTP status {statuses[-1]}" if statuses else "refused, or not reached")


def apprise_channels(urls: Sequence[SecretStr], timeout_seconds: float) -> list[AppriseChannel]:
    """Return a channel for each address, named after its scheme; further ones of a scheme are numbered."""
    channels: list[AppriseChannel] = []
    for url in urls:
        scheme = scheme_of(url)
        number = 1 + sum(each.name.partition(" ")[0] == scheme for each in channels)
        channels.append(AppriseChannel(scheme if number == 1 else f"{scheme} {number}", url, timeout_seconds))
    return channels


def send_through(channels: Sequence[Channel], message: Message, timeout_seconds: float) -> list[ChannelResult]:
    """Send a message through every channel at once and return what became of it in each, in their order. Never raises."""
    attempts = [_Attempt(channel, message) for channel in channels]
    deadline = time.monotonic() + timeout_seconds
    return [each.result(deadline, timeout_seconds) for each in attempts]


class _Attempt:
    """One channel at work in a thread that ends with the process."""

    def __init__(self, channel: Channel, message: Message) -> None:
        self._channel, self._message = channel, message
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"alert {channel.name}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no thread starts while the interpreter ends
            self._failure = str(error)

    def result(self, deadline: float, timeout_seconds: float) -> ChannelResult:
        """Wait for the end or the deadline."""
        if self._thread.ident is not None:
            self._thread.join(max(deadline - time.monotonic(), 0.0))
        failure = f"no answer within {timeout_seconds:g} s" if self._thread.is_alive() else self._failure
        return ChannelResult(self._channel.name, failure is None, failure or "")

    def _run(self) -> None:
        try:
            self._channel.send(self._message)
        except NotDelivered as refusal:
            self._failure = str(refusal)
        except Exception as error:  # noqa: BLE001  # a channel that fails in any way stops no other
            self._failure = f"{type(error).__name__}: {error}"
