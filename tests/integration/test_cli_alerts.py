"""`desk alerts` and `desk health` on a real PostgreSQL, a real mail server and a real webhook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from core.errors import ConfigError
from desk.cli.app import cli
from monitoring.alert_desk import Finding
from pipeline.resources import Resources
from storage.alerts.alert_log import AlertMoved, NoSuchAlert
from tests.standins.mail import free_port, mail_server
from tests.standins.webhook import webhook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
DISK = Finding("disk", "Disk is [full]", "1 GB is free.", "critical")


@pytest.fixture
def desks(database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make the process's desk, with settings that differ."""
    made: list[Resources] = []

    def make(**changes: Any) -> Resources:
        nobody = {"api__url": f"http://127.0.0.1:{free_port()}", "health__min_free_gb": 0.0, "health__min_free_pct": 0.0}
        made.append(Resources(database_settings.with_changes(**{**nobody, **changes})))
        for module in ("resources", "audit.health"):
            monkeypatch.setattr(f"pipeline.{module}.live", lambda: made[-1])
        return made[-1]

    yield make
    for each in made:
        if "engine" in vars(each):
            each.engine.dispose()


def run(*words: str) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli, list(words))


def test_alerts_are_listed_acknowledged_and_resolved(desks: Any) -> None:
    desk = desks()
    assert "No alert is open." in run("alerts").output
    alert = str(desk.alert_desk.raise_alert(DISK, kind="health").id)
    desk.alert_desk.raise_alert(DISK, kind="risk", book="main")

    assert "Disk is [full]" in run("alerts").output
    assert "risk" not in run("alerts", "--kind", "health").output
    assert "health" not in run("alerts", "--book", "main").output
    taken = run("alerts", "ack", alert, "--reason", "being emptied", "--author", "ana")
    assert "Acknowledged" in taken.output
    assert "acknowledged by ana" in run("alerts").output
    assert run("alerts", "resolve", alert, "--reason", "emptied", "--author", "ana").exit_code == 0
    assert "resolved by ana" not in run("alerts").output
    assert "resolved by ana" in run("alerts", "--all").output


def test_a_comment_stands_in_the_history_as_it_was_written(desks: Any) -> None:
    alert = str(desks().alert_desk.raise_alert(DISK, kind="health").id)

    assert run("alerts", "comment", alert, "the vendor [is] informed", "--author", "ana").exit_code == 0
    shown = run("alerts", "history", alert).output

    assert "the vendor [is] informed" in shown
    assert all(word in shown for word in ("Disk is [full]", "raised", "commented", "ana"))
    assert isinstance(run("alerts", "comment", alert, " ").exception, ConfigError)
    assert isinstance(run("alerts", "comment", "999", "why").exception, NoSuchAlert)
    assert isinstance(run("alerts", "history", "999").exception, NoSuchAlert)


@pytest.mark.parametrize("verb", ["ack", "resolve"])
def test_an_unknown_or_resolved_alert_and_an_empty_reason_are_refused(desks: Any, verb: str) -> None:
    alert = str(desks().alert_desk.raise_alert(DISK, kind="health").id)

    assert isinstance(run("alerts", verb, "999", "--reason", "why").exception, NoSuchAlert)
    assert isinstance(run("alerts", verb, alert, "--reason", " ").exception, ConfigError)
    assert run("alerts", verb, alert).exit_code == 2, "no reason at all"
    assert run("alerts", "resolve", alert, "--reason", "emptied").exit_code == 0
    assert isinstance(run("alerts", verb, alert, "--reason", "why").exception, AlertMoved)


def test_a_test_alert_shows_the_result_of_each_channel(desks: Any) -> None:
    with mail_server() as (inbox, port), webhook(500) as hook:
        mail = {"mail__host": "127.0.0.1", "mail__port": port, "mail__recipients": "ops@desk.test"}
        desks(alerts__urls=(SecretStr(hook.url()),), **mail)
        tried = run("alerts", "test")
        hook.status = 200
        again = run("alerts", "test")

    assert (tried.exit_code, again.exit_code) == (1, 0)
    assert "refused with HTTP status 500" in tried.output
    assert inbox.subjects == hook.titles == ["[CRITICAL] Test alert"] * 2


def test_without_a_channel_a_test_alert_names_the_settings(desks: Any) -> None:
    desks()
    tried = run("alerts", "test")

    assert tried.exit_code == 1
    assert "ALERTS__URLS" in tried.output


def test_health_is_a_table_and_its_exit_code_and_alerts_where_asked(desks: Any) -> None:
    desk = desks()
    shown = run("health")

    assert shown.exit_code == 1
    assert "does not answer at http://127.0.0.1" in shown.output
    assert desk.alert_log.read() == []
    run("health", "--alert")
    assert {each.kind for each in desk.alert_log.read()} == {"health"}
