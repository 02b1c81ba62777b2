"""The health check on a real PostgreSQL: what it finds, alerts once, resolves, and does without the database."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from pipeline.audit import health
from pipeline.audit.health import DATABASE, Check, HealthChecks, HealthReport, check_health
from pipeline.audit.health_checks import Verdict
from pipeline.resources import Resources
from pipeline.risk.monitor import check_portfolio
from serving.app import create_app
from serving.routers import health as routes
from storage.airflow_tasks import AirflowTasks
from storage.engine import cluster_url
from tests.standins.mail import free_port, mail_server, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from core.settings import Settings

pytestmark = pytest.mark.integration
NOON = dt.datetime(2026, 11, 23, 17, tzinfo=dt.UTC)
NAMES = {"database", "api", "mlflow", "risk-worker", "order-listener", "positions", "bars", "features", "orders"}
NAMES |= {"airflow-queue", "disk", "key-age"}


class World:
    """Desks on one database, whose clock a test moves."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.now, self.made = settings, NOON, list[Resources]()

    def desk(self, **changes: Any) -> Resources:
        nobody = {"api__url": f"http://127.0.0.1:{free_port()}", "health__min_free_gb": 0.0, "health__min_free_pct": 0.0}
        self.made.append(Resources(self.settings.with_changes(**{**nobody, **changes}), clock=lambda: self.now))
        return self.made[-1]


@pytest.fixture
def world(database_settings: Settings) -> Iterator[World]:
    built = World(database_settings)
    yield built
    for each in built.made:
        if "engine" in vars(each):
            each.engine.dispose()


def mail_to(port: int) -> dict[str, Any]:
    return {"mail__host": "127.0.0.1", "mail__port": port, "mail__recipients": "ops@desk.test"}


def wrong(report: HealthReport) -> dict[str, str]:
    return {each.name: each.detail for each in report.results if not each.healthy}


def test_what_is_wrong_is_mailed_once_and_resolved_when_it_is_over(world: World) -> None:
    with mail_server() as (inbox, port):
        desk = world.desk(**mail_to(port))
        first = check_health(resources=desk)
        second = check_health(resources=desk)
        check_portfolio(resources=desk)
        third = check_health(resources=desk)

    assert {each.name for each in first.results} == NAMES
    assert set(wrong(first)) == {"api", "risk-worker"}
    assert (set(first.raised), second.raised, third.resolved) == (
        {"health:api", "health:risk-worker"},
        (),
        ("health:risk-worker",),
    )
    assert inbox.subjects == [
        "[CRITICAL] Health: api is not well",
        "[CRITICAL] Health: risk-worker is not well",
    ]
    assert [(each.key, each.repeats) for each in desk.alert_log.read()] == [("health:api", 2)]


def test_a_look_without_alerts_leaves_no_trace(world: World) -> None:
    desk = world.desk()
    assert not check_health(alert=False, resources=desk).healthy
    assert desk.alert_log.read(closed=True) == []


def test_a_live_desk_without_bars_and_features_is_behind(world: World) -> None:
    found = wrong(check_health(alert=False, resources=world.desk(provider="yfinance", universe="AAPL")))

    assert found["bars"] == "expected bars up to 2026-11-20, found 2 symbols behind: AAPL never loaded, ^VIX never loaded"
    assert found["features"] == "expected features, found none stored"


def test_a_check_that_breaks_hides_no_other() -> None:
    def broken() -> Verdict:
        raise ZeroDivisionError

    checks = (
        Check(DATABASE, "critical", lambda: Verdict(True, "answers"), needs_database=False),
        Check("odd", "warning", broken),
        Check("disk", "warning", lambda: Verdict(False, "full")),
    )
    results = HealthChecks(checks).run()

    assert [(each.name, each.healthy, each.detail) for each in results[1:]] == [
        ("odd", False, "the check is broken (ZeroDivisionError)"),
        ("disk", False, "full"),
    ]


def test_without_the_database_one_message_goes_out_directly_until_it_is_back(world: World, tmp_path: Path) -> None:
    gone = sa.create_engine(sa.make_url(f"postgresql+psycopg2://desk@127.0.0.1:{free_port()}/desk"))
    with mail_server() as (inbox, port):
        desk = world.desk(**mail_to(port))
        desk.engine = gone
        for hours in (0, 1, 24):
            world.now = NOON + dt.timedelta(hours=hours)
            report = check_health(resources=desk)
        assert (tmp_path / health.UNRECORDED).exists()
        desk.engine = world.desk().engine
        check_health(resources=desk)

    assert not report.results[0].healthy
    assert {each.name for each in report.results} == {"database", "api", "disk", "key-age"}, "what needs no database"
    assert inbox.subjects[:2] == ["[CRITICAL] Health: PostgreSQL does not answer"] * 2
    assert "database: cannot be checked (OperationalError" in text_of(inbox.mails[0])
    assert not (tmp_path / health.UNRECORDED).exists()


def test_tasks_that_wait_in_airflows_queue_are_found(world: World) -> None:
    desk = world.desk()
    name = desk.settings.database.airflow_name
    queue = AirflowTasks(desk.engine, name)
    assert queue.waiting_since(NOON) is None, "no database of Airflow"
    airflow = sa.create_engine(cluster_url(desk.settings, name), poolclass=sa.NullPool)
    assert queue.waiting_since(NOON) is None, "an empty one"
    with airflow.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE TABLE task_instance (dag_id text, task_id text, run_id text, state text, "
                "queued_dttm timestamptz, scheduled_dttm timestamptz)"
            )
        )
        rows = [("a", "queued", -2), ("b", "running", -2), ("c", "queued", 0), ("d", "scheduled", -3)]
        for task, state, hours in rows:
            since = NOON + dt.timedelta(hours=hours)
            values = {"task": task, "state": state, "since": since}
            connection.execute(sa.text("INSERT INTO task_instance VALUES ('dag', :task, 'run', :state, NULL, :since)"), values)

    found = queue.waiting_since(NOON - dt.timedelta(hours=1))
    assert found is not None
    assert [each.task_id for each in found] == ["d", "a"]
    assert "dag.d since 2026-11-23 14:00 UTC" in wrong(check_health(alert=False, resources=desk))["airflow-queue"]


def test_the_route_answers_with_every_check_and_runs_them_once_for_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    monkeypatch.setattr(routes, "check_health", lambda **kept: runs.append(1) or check_health(**kept))
    app = create_app(world.desk())
    client = TestClient(app, client=("127.0.0.1", 50_000))

    answers = [client.get("/health") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert {each["name"] for each in answers[0].json()["checks"]} == NAMES
    assert not answers[0].json()["healthy"]
    assert answers[0].content == answers[2].content
    assert len(runs) == 1
