"""A task that fails under Airflow mails the operator, through a real SMTP server."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from core.settings import Settings
from pipeline.orchestrator import airflow, airflow_environment, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message as Mail

pytestmark = pytest.mark.integration


class Inbox(Message):
    """Keeps what the server received."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Mail] = []

    def handle_message(self, message: Mail) -> None:
        self.mails.append(message)


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    handler = Inbox()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, port
    controller.stop()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Airflow with a database of its own, and a provider that finds no bars: the first task fails."""
    empty = tmp_path_factory.mktemp("no-bars")
    found = airflow_environment(Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("desk")))
    migrate(found)
    return {**found, "PROVIDER": "files", "FILES_DIR": str(empty)}


def run_daily(environment: dict[str, str], **changes: str) -> str:
    conf = json.dumps({"session": "2018-12-31"})
    command = ["dags", "test", "daily_market_data", "--conf", conf]
    done = airflow(command, {**environment, **changes}, capture_output=True, check=False)
    return str(done.stdout) + str(done.stderr)


def test_a_failed_task_mails_dag_task_session_error_and_log(environment: dict[str, str], inbox: tuple[Inbox, int]) -> None:
    received, port = inbox
    run_daily(environment, SMTP_HOST="127.0.0.1", SMTP_PORT=str(port), ALERT_TO="ops@desk.test,quant@desk.test")
    (mail,) = received.mails
    assert mail["Subject"] == "[desk] daily_market_data.choose_session failed for session 2018-12-31"
    assert mail["From"] == "desk@localhost"
    assert mail["X-RcptTo"] == "ops@desk.test, quant@desk.test"
    body = b"".join(part.get_payload(decode=True) or b"" for part in mail.walk() if not part.is_multipart()).decode()
    for fact in ("daily_market_data", "choose_session", "2018-12-31", "Error", "/dags/daily_market_data/runs/"):
        assert fact in body


def test_without_a_mail_server_the_task_log_says_that_no_mail_was_sent(environment: dict[str, str]) -> None:
    output = run_daily(environment, SMTP_HOST="", ALERT_TO="")
    assert "failure_mail_not_sent" in output
    assert "SMTP_HOST and ALERT_TO are not both set" in output
