"""Alerts with a life and what people get of them: a real PostgreSQL, a real mail server, a real webhook."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from monitoring.alert_desk import Finding
from pipeline.resources import Resources
from tests.standins.mail import free_port, mail_server, text_of
from tests.standins.webhook import webhook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
NOON = dt.datetime(2026, 11, 23, 17, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
DISK = Finding("disk", "Disk is full", "1 GB is free.")
API = Finding("api", "The API does not answer", "Connection refused.", "critical")


class World:
    """Desks on one database, whose clock a test moves."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.now, self.made = settings, NOON, list[Resources]()

    def desk(self, **changes: Any) -> Resources:
        self.made.append(Resources(self.settings.with_changes(**changes), clock=lambda: self.now))
        return self.made[-1]


@pytest.fixture
def world(database_settings: Settings) -> Iterator[World]:
    built = World(database_settings)
    yield built
    for each in built.made:
        each.engine.dispose()


def mail_to(port: int) -> dict[str, Any]:
    return {"mail__host": "127.0.0.1", "mail__port": port, "mail__recipients": "ops@desk.test"}


def test_what_lasts_is_mailed_once_counted_and_resolved_by_its_check(world: World) -> None:
    with mail_server() as (inbox, port):
        alerts = world.desk(**mail_to(port)).alert_desk
        first = alerts.sync("health", "", [DISK, API])
        for _ in range(3):
            world.now += HOUR
            again = alerts.sync("health", "", [DISK])

    assert [each.key for each in first.raised] == ["health:disk", "health:api"]
    assert [each.repeats for each in again.repeated] == [3]
    assert inbox.subjects == ["[WARNING] Disk is full", "[CRITICAL] The API does not answer"]
    assert "desk alerts ack 1 --reason WHY" in text_of(inbox.mails[0])
    (gone,) = [each for each in world.made[0].alert_log.read(closed=True) if each.state == "resolved"]
    assert (gone.key, gone.resolved_by, gone.resolved_at) == ("health:api", "check", NOON + HOUR)


def test_a_check_resolves_alerts_of_its_own_kind_and_book_alone(world: World) -> None:
    alerts = world.desk().alert_desk
    alerts.raise_alert(DISK, kind="health")
    alerts.raise_alert(DISK, kind="risk", book="main")
    alerts.raise_alert(DISK, kind="risk", book="other")
    resolved = alerts.sync("risk", "main", []).resolved

    assert [each.key for each in resolved] == ["risk:main:disk"]
    assert [each.key for each in world.made[0].alert_log.read()] == ["risk:other:disk", "health:disk"]


def test_two_processes_that_find_it_at_once_send_one_mail(world: World) -> None:
    with mail_server() as (inbox, port):
        desks = [world.desk(**mail_to(port)).alert_desk for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda desk: desk.sync("health", "", [DISK]), desks))

    assert inbox.subjects == ["[WARNING] Disk is full"]
    assert [each.repeats for each in world.made[0].alert_log.read()] == [5]


def test_nobody_is_reminded_of_what_is_acknowledged_and_the_rest_comes_again_after_the_hours(world: World) -> None:
    with mail_server() as (inbox, port):
        alerts = world.desk(alerts__remind_hours=6.0, **mail_to(port)).alert_desk
        disk, api = (alerts.raise_alert(each, kind="health") for each in (DISK, API))
        alerts.acknowledge(disk.id, author="ana", reason="being emptied")
        world.now += 5 * HOUR
        early = alerts.remind()
        world.now += HOUR
        due = alerts.remind()
        again = alerts.remind()

    assert (early, [each.id for each in due], again) == ([], [api.id], [])
    assert inbox.subjects[2:] == ["[CRITICAL] Notice 2: The API does not answer"]


def test_a_channel_that_refused_gets_the_alert_at_the_next_check_and_the_other_gets_it_once(world: World) -> None:
    with mail_server() as (inbox, port), webhook(500) as hook:
        desk = world.desk(alerts__urls=(SecretStr(hook.url()),), **mail_to(port))
        alert = desk.alert_desk.raise_alert(DISK, kind="health")
        assert desk.alert_log.find(alert.id).pending
        hook.status = 200
        desk.alert_desk.sync("health", "", [DISK])
        desk.alert_desk.sync("health", "", [DISK])

    assert inbox.subjects == ["[WARNING] Disk is full"]
    assert hook.titles == ["[WARNING] Disk is full"] * 2, "one refused, one taken"
    sendings = [(e["channel"], e["event"], e["reason"]) for e in desk.alert_log.events(alert.id) if e["channel"]]
    assert sendings == [
        ("mail", "delivered", ""),
        ("json", "not_delivered", "refused with HTTP status 500"),
        ("json", "delivered", ""),
    ]


def test_an_alert_resolved_before_anybody_heard_of_it_is_sent_all_the_same(world: World) -> None:
    port = free_port()
    alerts = world.desk(**mail_to(port)).alert_desk
    alerts.sync("health", "", [DISK])
    alerts.sync("health", "", [])
    with mail_server() as (inbox, open_port):
        later = world.desk(**mail_to(open_port)).alert_desk
        later.remind()
        later.remind()

    assert inbox.subjects == ["[WARNING] Resolved since: Disk is full"]


def test_a_channel_that_hangs_costs_its_timeout_once_a_check(world: World) -> None:
    with webhook(None) as hook, mail_server() as (inbox, port):
        desk = world.desk(alerts__urls=(SecretStr(hook.url()),), alerts__timeout_seconds=0.5, **mail_to(port))
        desk.alert_desk.sync("health", "", [DISK, API])
        assert len(hook.received) == 1, "spared for the second alert"

    assert len(inbox.mails) == 2
    assert all(each.pending for each in desk.alert_log.read())


def test_without_any_channel_an_alert_is_logged_once(world: World) -> None:
    alerts = world.desk(mail__host=None).alert_desk
    with capture_logs() as events:
        for _ in range(3):
            alerts.sync("health", "", [DISK])
        alerts.remind()

    assert [event["event"] for event in events].count("alert_not_sent") == 1


def test_a_worse_finding_is_sent_although_somebody_had_acknowledged_the_milder_one(world: World) -> None:
    with mail_server() as (inbox, port):
        alerts = world.desk(**mail_to(port)).alert_desk
        alert = alerts.raise_alert(DISK, kind="health")
        alerts.acknowledge(alert.id, author="ana", reason="being emptied")
        alerts.raise_alert(Finding("disk", "Disk is full", "Nothing is free.", "critical"), kind="health")

    assert inbox.subjects[1:] == ["[CRITICAL] Notice 2: Disk is full"]
