"""A task that fails under Airflow mails the operator, through a real SMTP server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from core.settings import Settings
from desk.ops.airflow import airflow, airflow_environment, migrate
from tests.standins.mail import mail_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.standins.mail import Inbox

pytestmark = pytest.mark.integration


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    with mail_server() as found:
        yield found


FAILING_DAG = """
from airflow.sdk import dag, task
from common import DEFAULT_ARGS, SESSION_PARAM

@dag(default_args=DEFAULT_ARGS, params={"session": SESSION_PARAM})
def failing():
    @task
    def load_bars(session: str, book: str):
        from core.errors import BatchRejected
        raise BatchRejected(f"{session}: 7 of 15 rows failed <high_below_low>")

    load_bars.partial(session="2018-12-31").expand(book=["trio"])  # as an evening is mapped over the deployments

failing()
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Airflow with a database of its own and one DAG, whose task fails as a rejected batch does."""
    found = airflow_environment(Settings.of(data_dir=tmp_path_factory.mktemp("desk")))
    migrate(found)
    folder = tmp_path_factory.mktemp("dags")
    (folder / "failing.py").write_text(FAILING_DAG)
    path = f"{found['PYTHONPATH']}{os.pathsep}{found['AIRFLOW__CORE__DAGS_FOLDER']}"
    return {**found, "AIRFLOW__CORE__DAGS_FOLDER": str(folder), "PYTHONPATH": path}


def run_dag(environment: dict[str, str], **changes: str) -> str:
    done = airflow(["dags", "test", "failing"], {**environment, **changes}, capture_output=True, check=False, timeout=90)
    return str(done.stdout) + str(done.stderr)


def test_a_failed_task_mails_dag_task_session_error_and_log(environment: dict[str, str], inbox: tuple[Inbox, int]) -> None:
    received, port = inbox
    output = run_dag(environment, SMTP_HOST="127.0.0.1", SMTP_PORT=str(port), ALERT_TO="ops@desk.test,quant@desk.test")
    (mail,) = received.mails
    assert mail["Subject"] == "[desk] failing.load_bars failed for session 2018-12-31"
    assert mail["From"] == "desk@localhost"
    assert mail["X-RcptTo"] == "ops@desk.test, quant@desk.test"
    body = b"".join(part.get_payload(decode=True) or b"" for part in mail.walk() if not part.is_multipart()).decode()
    assert "<b>load_bars</b> of the DAG <b>failing</b>" in body
    assert "BatchRejected: 2018-12-31: 7 of 15 rows failed &lt;high_below_low&gt;" in body
    assert "<td>Deployment</td><td>trio</td>" in body
    assert "try 1<" in body  # bad data is not tried again
    assert "http://127.0.0.1:8080/dags/failing/runs/" in body
    assert "failure_mail_sent" in output


def test_without_a_mail_server_the_task_log_says_that_no_mail_was_sent(environment: dict[str, str]) -> None:
    output = run_dag(environment, SMTP_HOST="", ALERT_TO="")
    assert "failure_mail_not_sent" in output
    assert "MAIL__HOST and MAIL__RECIPIENTS are not both set" in output
