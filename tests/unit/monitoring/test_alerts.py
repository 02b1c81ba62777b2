"""Alerts against a real SMTP server on loopback."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import AuthResult, LoginPassword
from structlog.testing import capture_logs

from core.settings import Settings
from monitoring.alerts import Alerts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message as Mail


class Inbox(Message):
    """Keeps what the server received."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Mail] = []

    def handle_message(self, message: Mail) -> None:
        self.mails.append(message)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    handler = Inbox()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield handler, controller.port
    controller.stop()


def settings(port: int, **changes: Any) -> Settings:
    values: dict[str, Any] = {"smtp_host": "127.0.0.1", "smtp_port": port, "alert_to": "ops@desk.test, quant@desk.test"}
    return Settings(_env_file=None, **{**values, **changes})


def test_an_alert_reaches_every_recipient_with_its_severity(inbox: tuple[Inbox, int]) -> None:
    received, port = inbox
    assert Alerts(settings(port)).send("Batch rejected", "7 of 15 rows failed.", "critical") is True
    (mail,) = received.mails
    assert mail["Subject"] == "[CRITICAL] Batch rejected"
    assert mail["To"] == "ops@desk.test, quant@desk.test"
    assert mail["From"] == "desk@localhost"
    assert mail["X-RcptTo"] == "ops@desk.test, quant@desk.test"
    assert mail["X-Priority"] == "1"
    assert mail.get_payload(decode=True) == b"7 of 15 rows failed.\r\n"


def test_a_line_break_in_the_subject_cannot_add_a_header(inbox: tuple[Inbox, int]) -> None:
    received, port = inbox
    Alerts(settings(port)).send("jump\r\nBcc: thief@else.test", "body")
    (mail,) = received.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[WARNING] jump Bcc: thief@else.test"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"smtp_host": None}, "SMTP_HOST not set"),
        ({"alert_to": ()}, "ALERT_TO not set"),
        ({"smtp_host": None, "alert_to": ()}, "SMTP_HOST and ALERT_TO not set"),
    ],
)
def test_without_a_server_or_recipient_the_log_says_that_nothing_was_sent(changes: dict[str, Any], reason: str) -> None:
    with capture_logs() as events:
        assert Alerts(settings(1, **changes)).send("Drift", "PSI 0.4") is False
    assert [(e["event"], e["reason"], e["body"]) for e in events] == [("alert_not_sent", reason, "PSI 0.4")]


def test_a_server_that_is_down_is_logged_and_never_raised() -> None:
    with capture_logs() as events:
        assert Alerts(settings(free_port())).send("Drift", "PSI 0.4") is False
    assert events[0]["log_level"] == "error"
    assert events[0]["reason"].startswith("ConnectionRefusedError")


def test_starttls_is_never_skipped_when_the_server_lacks_it(inbox: tuple[Inbox, int]) -> None:
    received, port = inbox
    with capture_logs() as events:
        assert Alerts(settings(port, smtp_starttls=True)).send("Drift", "PSI 0.4") is False
    assert received.mails == []
    assert events[0]["reason"].startswith("SMTPNotSupportedError")


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize(("password", "sent"), [("right", True), ("wrong", False)])
def test_the_login_is_used_and_the_password_never_logged(password: str, *, sent: bool) -> None:
    def check(_server: object, _session: object, _envelope: object, _mechanism: str, login: LoginPassword) -> AuthResult:
        return AuthResult(success=(login.login, login.password) == (b"desk", b"right"), handled=False)  # the server answers

    handler = Inbox()
    controller = Controller(
        handler, hostname="127.0.0.1", port=free_port(), authenticator=check, auth_required=True, auth_require_tls=False
    )
    controller.start()
    try:
        with capture_logs() as events:
            alerts = Alerts(settings(controller.port, smtp_user="desk", smtp_password=password))
            assert alerts.send("Drift", "PSI 0.4") is sent
    finally:
        controller.stop()
    assert len(handler.mails) == int(sent)
    ((name, reason),) = [(event["event"], event.get("reason", "").partition(":")[0]) for event in events]
    assert (name, reason) == (("alert_sent", "") if sent else ("alert_not_sent", "SMTPAuthenticationError"))
    assert password not in str(events)
