"""Send alert e-mails to the operator. The caller decides what is worth an alert.

Delivery never raises: an alert is sent while something else has failed, and must not hide it. A mail that was not sent is
logged with the reason, and `send` returns `False`.
"""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid
from typing import TYPE_CHECKING, Literal

import structlog

if TYPE_CHECKING:
    from core.settings import Settings

Severity = Literal["info", "warning", "critical"]
TIMEOUT_SECONDS = 20.0

log = structlog.get_logger()


class Alerts:
    """Sends alerts to `MAIL__RECIPIENTS` through `MAIL__HOST`.

    Parameters
    ----------
    settings
        `smtp_*`, `alert_from` and `alert_to` are used. Without a host or a recipient every alert is only logged.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def send(self, subject: str, body: str, severity: Severity = "warning", *, html: str | None = None) -> bool:
        """Mail one alert to every recipient.

        Parameters
        ----------
        subject
            One line; line breaks are replaced by spaces, so that no header can be smuggled in.
        body
            Plain text: what happened, where, and what to do.
        severity
            Prefix of the subject; `critical` also marks the mail as urgent.
        html
            The same text as HTML, for mail readers that show it.

        Returns
        -------
        bool
            True when the server accepted the mail; False is logged with its reason.
        """
        events = log.bind(subject=subject, severity=severity)
        missing = [
            name
            for name, value in (("MAIL__HOST", self.settings.mail.host), ("MAIL__RECIPIENTS", self.settings.mail.recipients))
            if not value
        ]
        if missing:
            events.warning("alert_not_sent", reason=f"{' and '.join(missing)} not set", body=body)
            return False
        try:
            self._deliver(self._message(subject, body, severity, html))
        except (OSError, smtplib.SMTPException) as error:
            events.error("alert_not_sent", reason=f"{type(error).__name__}: {error}", body=body)
            return False
        events.info("alert_sent", recipients=len(self.settings.mail.recipients))
        return True

    def _message(self, subject: str, body: str, severity: Severity, html: str | None) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = f"[{severity.upper()}] {' '.join(subject.split())}"
        message["From"] = self.settings.mail.sender
        message["To"] = ", ".join(self.settings.mail.recipients)
        message["Date"] = format_datetime(localtime())
        message["Message-ID"] = make_msgid(domain="desk.invalid")
        if severity == "critical":
            message["X-Priority"] = "1"
        message.set_content(body)
        if html is not None:
            message.add_alternative(html, subtype="html")
        return message

    def _deliver(self, message: EmailMessage) -> None:
        host, port = str(self.settings.mail.host), self.settings.mail.port
        with smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS) as server:
            if self.settings.mail.starttls:
                server.starttls(context=ssl.create_default_context())
            if self.settings.mail.user and self.settings.mail.password:
                server.login(self.settings.mail.user, self.settings.mail.password.get_secret_value())
            server.send_message(message)
