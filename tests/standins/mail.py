"""A mail server on loopback that keeps what it receives: a real SMTP conversation, delivered to nobody."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

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

    @property
    def subjects(self) -> list[str]:
        """Subjects as they came, each on one line."""
        return [" ".join(str(mail["Subject"]).split()) for mail in self.mails]


def text_of(mail: Mail) -> str:
    """What a mail says in plain text."""
    part = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


@contextlib.contextmanager
def mail_server() -> Iterator[tuple[Inbox, int]]:
    """The inbox and the port of a server that takes every mail."""
    port = free_port()
    handler = Inbox()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, port
    controller.stop()


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
