"""The life of an alert on a real PostgreSQL: raised once, counted, reminded of, acknowledged, resolved."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from storage.alerts.alert_log import SEVERITIES, AlertLog, AlertMoved, AlertState, NewAlert, NoSuchAlert
from tests.properties import examples

if TYPE_CHECKING:
    from storage.alerts.alert_log import Alert

pytestmark = pytest.mark.integration
NOON = dt.datetime(2026, 11, 23, 17, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
WHO = {"author": "ana", "reason": "disk is being emptied"}


def occurrence(key: str = "health:disk", severity: str = "warning", **changes: Any) -> NewAlert:
    values: dict[str, Any] = {"key": key, "kind": "health", "book": "", "severity": severity}
    values |= {"subject": "Disk is full", "body": "1 GB is free.", "details": {"free_gb": 1.0}}
    return NewAlert(**{**values, **changes})


@pytest.fixture
def alert_log(database: sa.Engine) -> AlertLog:
    return AlertLog(database)


def history(log: AlertLog, alert: Alert) -> list[str]:
    return [str(event["event"]) for event in log.events(alert.id)]


def test_a_second_occurrence_is_counted_and_brings_the_text_up_to_date(alert_log: AlertLog) -> None:
    first = alert_log.raise_alert(occurrence(), NOON)
    second = alert_log.raise_alert(occurrence(body="0 GB are free.", details={"free_gb": 0.0}), NOON + HOUR)

    assert (first.repeats, second.repeats, second.id) == (0, 1, first.id)
    assert (second.raised_at, second.last_seen_at) == (NOON, NOON + HOUR)
    assert (second.body, second.details, second.notice) == ("0 GB are free.", {"free_gb": 0.0}, 1)
    assert history(alert_log, first) == ["raised"]


def test_an_occurrence_after_the_resolution_is_a_new_alert(alert_log: AlertLog) -> None:
    first = alert_log.raise_alert(occurrence(), NOON)
    alert_log.resolve(first.id, at=NOON + HOUR, **WHO)
    second = alert_log.raise_alert(occurrence(), NOON + 2 * HOUR)

    assert second.id != first.id
    assert (second.repeats, second.state) == (0, AlertState.RAISED)
    assert [each.id for each in alert_log.read()] == [second.id]
    assert [each.id for each in alert_log.read(closed=True)] == [second.id, first.id]


def test_two_processes_that_raise_at_once_make_one_row(alert_log: AlertLog) -> None:
    with ThreadPoolExecutor(8) as pool:
        raised = list(pool.map(lambda _: alert_log.raise_alert(occurrence(), NOON), range(24)))

    assert {each.id for each in raised} == {raised[0].id}
    assert sorted(each.repeats for each in raised) == list(range(24))


def test_an_alert_is_acknowledged_once_and_by_somebody_with_a_reason(alert_log: AlertLog) -> None:
    alert = alert_log.raise_alert(occurrence(), NOON)
    for name in ("author", "reason"):
        with pytest.raises(ConfigError, match=f"expected {name}, found none"):
            alert_log.acknowledge(alert.id, at=NOON, **{**WHO, name: "  "})
    taken = alert_log.acknowledge(alert.id, at=NOON + HOUR, **WHO)

    assert (taken.state, taken.acknowledged_by, taken.acknowledged_reason) == ("acknowledged", "ana", "disk is being emptied")
    assert taken.acknowledged_at == NOON + HOUR
    with pytest.raises(AlertMoved, match="found it acknowledged by ana"):
        alert_log.acknowledge(alert.id, at=NOON, **WHO)
    assert history(alert_log, alert) == ["raised", "acknowledged"]


@pytest.mark.parametrize("move", ["acknowledge", "resolve"])
def test_an_unknown_or_resolved_alert_is_refused(alert_log: AlertLog, move: str) -> None:
    alert = alert_log.raise_alert(occurrence(), NOON)
    alert_log.resolve(alert.id, at=NOON, **WHO)

    with pytest.raises(AlertMoved, match="found it resolved by ana"):
        getattr(alert_log, move)(alert.id, at=NOON, **WHO)
    with pytest.raises(NoSuchAlert, match="found 999"):
        getattr(alert_log, move)(999, at=NOON, **WHO)


def test_a_reminder_is_due_once_and_not_of_what_is_acknowledged(alert_log: AlertLog) -> None:
    waiting, taken = (alert_log.raise_alert(occurrence(key), NOON) for key in ("a", "b"))
    alert_log.acknowledge(taken.id, at=NOON, **WHO)

    assert alert_log.remind(NOON - HOUR, NOON) == []
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: alert_log.remind(NOON, NOON + HOUR), range(4)))
    assert [[each.id for each in due] for due in found if due] == [[waiting.id]], "one process reminds"
    assert history(alert_log, waiting) == ["raised", "reminded"]


def test_a_higher_severity_is_a_new_notice_and_takes_an_acknowledgement_back(alert_log: AlertLog) -> None:
    alert = alert_log.raise_alert(occurrence(), NOON)
    alert_log.record_sending(alert, [], NOON, complete=True)
    alert_log.acknowledge(alert.id, at=NOON, **WHO)
    worse = alert_log.raise_alert(occurrence(severity="critical"), NOON + HOUR)
    milder = alert_log.raise_alert(occurrence(severity="info"), NOON + 2 * HOUR)

    assert (worse.state, worse.severity, worse.notice, worse.pending) == ("raised", "critical", 2, True)
    assert (milder.severity, milder.notice) == ("critical", 2)
    assert history(alert_log, alert) == ["raised", "acknowledged", "escalated"]


def test_a_notice_that_grew_old_while_it_was_sent_leaves_the_newer_one_pending(alert_log: AlertLog) -> None:
    alert = alert_log.raise_alert(occurrence(), NOON)
    alert_log.remind(NOON, NOON + HOUR)
    alert_log.record_sending(alert, [], NOON + HOUR, complete=True)

    assert alert_log.find(alert.id).pending


def test_pages_go_on_below_an_id_and_filters_choose(alert_log: AlertLog) -> None:
    ids = [alert_log.raise_alert(occurrence(f"k{i}", kind="risk", book=f"b{i % 2}"), NOON).id for i in range(5)]

    assert [each.id for each in alert_log.read(limit=2)] == ids[:2:-1]
    assert [each.id for each in alert_log.read(limit=2, before=ids[3])] == [ids[2], ids[1]]
    assert [each.id for each in alert_log.read(book="b1")] == [ids[3], ids[1]]
    assert alert_log.read(kind="health") == []


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["raise", "remind", "acknowledge", "resolve", "send"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(SEVERITIES),
    ),
    max_size=25,
)


class Model:
    """The life of one key in plain words."""

    def __init__(self) -> None:
        self.open: dict[str, Any] | None = None
        self.closed = 0

    def raised(self, severity: str) -> None:
        if self.open is None:
            self.open = {"state": "raised", "severity": severity, "repeats": 0, "notice": 1, "pending": True}
            return
        self.open["repeats"] += 1
        if SEVERITIES.index(severity) > SEVERITIES.index(self.open["severity"]):
            self.open |= {"state": "raised", "severity": severity, "pending": True, "notice": self.open["notice"] + 1}

    def reminded(self) -> None:
        if self.open and self.open["state"] == "raised":
            self.open |= {"notice": self.open["notice"] + 1, "pending": True}

    def acknowledged(self) -> bool:
        if self.open is None or self.open["state"] != "raised":
            return False
        self.open["state"] = "acknowledged"
        return True

    def resolved(self) -> bool:
        was, self.open = self.open, None
        self.closed += was is not None
        return was is not None


class Life:
    """The store and the model, moved together."""

    def __init__(self, log: AlertLog) -> None:
        self.log, self.at = log, NOON
        self.models = {"a": Model(), "b": Model()}
        self.newest: dict[str, int] = {}

    def move(self, move: str, key: str, severity: str) -> None:
        self.at += HOUR
        if move == "raise":
            self.newest[key] = self.log.raise_alert(occurrence(key, severity), self.at).id
            self.models[key].raised(severity)
        elif move == "remind":
            self.log.remind(self.at, self.at)
            for each in self.models.values():
                each.reminded()
        elif move == "send":
            self.send(key)
        elif key in self.newest:
            self.end(move, key)

    def send(self, key: str) -> None:
        alert, model = self.log.open_key(key), self.models[key].open
        if alert is not None and model is not None:
            self.log.record_sending(alert, [], self.at, complete=True)
            model["pending"] = False

    def end(self, move: str, key: str) -> None:
        model = self.models[key]
        allowed = model.acknowledged() if move == "acknowledge" else model.resolved()
        try:
            getattr(self.log, move)(self.newest[key], at=self.at, **WHO)
        except AlertMoved:
            assert not allowed
        else:
            assert allowed


@pytest.mark.hypothesis
def test_every_order_of_moves_keeps_to_the_states(database: sa.Engine) -> None:
    @settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(moves=MOVES)
    def check(moves: list[tuple[str, str, str]]) -> None:
        with database.begin() as connection:
            connection.execute(sa.text("TRUNCATE trading.alerts, trading.alert_events"))
        life = Life(AlertLog(database))
        for each in moves:
            life.move(*each)
        for key, model in life.models.items():
            stored = life.log.open_key(key)
            assert (stored and {name: getattr(stored, name) for name in model.open or {}}) == model.open
        ever = sum(each.closed + (each.open is not None) for each in life.models.values())
        assert len(life.log.read(closed=True)) == ever

    check()
