"""`desk status`: what the services beside the daily DAGs left behind, and when that is too old. On a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from core.errors import ConfigError
from pipeline.execution import order_listener
from pipeline.execution import service_status as status
from pipeline.resources import Resources
from pipeline.risk import kill_switch
from pipeline.risk.monitor import check_portfolio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
NOON = dt.datetime(2026, 11, 23, 17, tzinfo=dt.UTC)
ALPACA = {"venue__kind": "alpaca", "venue__alpaca__api_key": "k" * 20, "venue__alpaca__secret_key": "s" * 20}


class Desk:
    """Resources whose clock a test moves."""

    def __init__(self, settings: Settings, **changes: Any) -> None:
        self.now = NOON
        values = changes
        self.resources = Resources(settings.with_changes(**values), clock=lambda: self.now)

    def after(self, seconds: float, service: str) -> status.ServiceStatus:
        self.now = NOON + dt.timedelta(seconds=seconds)
        return status.check_services([service], resources=self.resources)[0]

    def listener_beats(self, *, poll_seconds: float, connections: int) -> None:
        beat = order_listener.Beat(NOON, poll_seconds=poll_seconds, connections=connections)
        order_listener.write_beat(self.resources.data_dir, self.resources.settings.portfolio, beat)


@pytest.fixture
def desks(database_settings: Settings) -> Iterator[Any]:
    made: list[Desk] = []

    def make(**changes: Any) -> Desk:
        made.append(Desk(database_settings, **changes))
        return made[-1]

    yield make
    for desk in made:
        desk.resources.engine.dispose()


def test_the_risk_worker_is_well_for_three_looks_after_its_last(desks: Any) -> None:
    desk = desks(monitor__interval_seconds=60.0)
    assert not desk.after(0, "risk-worker").healthy
    check_portfolio(resources=desk.resources)

    assert desk.after(180, "risk-worker").healthy
    gone = desk.after(181, "risk-worker")

    assert not gone.healthy
    assert gone.detail == "last seen 181 s ago, level ok, mode log; expected at most 180 s"
    assert gone.seen_at == NOON


def test_a_worker_too_old_for_the_executor_is_not_well(desks: Any) -> None:
    desk = desks(pre_send__heartbeat_max_age_seconds=45.0)
    check_portfolio(resources=desk.resources)

    assert [desk.after(age, "risk-worker").healthy for age in (45, 46)] == [True, False]


def test_what_was_seen_in_the_future_is_not_well(desks: Any) -> None:
    desk = desks(monitor__interval_seconds=60.0)
    check_portfolio(resources=desk.resources)

    assert desk.after(-5, "risk-worker").detail.startswith("seen 0 s ago")
    seen = desk.after(-6, "risk-worker")

    assert (seen.healthy, seen.detail) == (
        False,
        "last seen 6 s in the future, level ok, mode log; expected at most 5 s: a clock is wrong",
    )


def test_no_listener_is_needed_where_the_broker_has_no_stream(desks: Any) -> None:
    seen = desks().after(0, "order-listener")

    assert (seen.healthy, seen.detail) == (True, "not needed: VENUE__KIND=paper has no stream")


def test_the_listener_is_well_while_it_has_spoken_with_the_venue_within_three_polls(desks: Any) -> None:
    desk = desks(**ALPACA)
    assert desk.after(0, "order-listener").detail.startswith("it has not yet spoken with the venue")

    desk.listener_beats(poll_seconds=20.0, connections=2)

    assert desk.after(60, "order-listener").detail == "seen 60 s ago, connections: 2"
    assert not desk.after(61, "order-listener").healthy


def test_a_listener_that_waits_for_a_person_does_not_do_its_work(desks: Any) -> None:
    desk = desks(**ALPACA)
    desk.listener_beats(poll_seconds=60.0, connections=1)
    kill_switch.halt("a trade was taken back", kill_switch.ORDER_LISTENER, resources=desk.resources)

    waiting = desk.after(0, "order-listener")
    kill_switch.resume("settled by hand", "ana", resources=desk.resources)

    assert (waiting.healthy, "a trade was taken back" in waiting.detail) == (False, True)
    assert desk.after(0, "order-listener").healthy


def test_a_halt_of_somebody_else_is_no_fault_of_the_listener(desks: Any) -> None:
    desk = desks(**ALPACA)
    desk.listener_beats(poll_seconds=60.0, connections=1)
    kill_switch.halt("looked odd", "ana", resources=desk.resources)

    assert desk.after(0, "order-listener").healthy


def test_an_unknown_service_is_named(desks: Any) -> None:
    with pytest.raises(ConfigError, match="expected risk-worker or order-listener or positions, found 'scheduler'"):
        status.check_services(["scheduler"], resources=desks().resources)
