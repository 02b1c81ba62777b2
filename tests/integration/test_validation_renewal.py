"""The evening renews a deployment's validation before it is too old; a FAIL stops that deployment's entries alone."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from core.models import Leg
from pipeline.deployments.books import desk_of
from pipeline.deployments.changes import pause
from pipeline.deployments.deploy import DeployRequest, deploy
from pipeline.deployments.validity import renew_validation
from pipeline.execution import daily_trade
from tests.standins.deployed_market import days_between, evening, market_desk, stored_portfolio

if TYPE_CHECKING:
    from core.settings import Settings
    from pipeline.resources import Resources

pytestmark = pytest.mark.integration
BUSY = (("bollinger", "AAA", {"deviations": 0.5}, 600.0), ("rsi", "BBB", {"oversold": 48.0}, 400.0))
VALIDATED, FIRST, LAST = dt.date(2018, 6, 7), dt.date(2018, 6, 28), dt.date(2018, 7, 12)
RENEWED = dt.date(2018, 7, 5)  # 28 days after VALIDATED: MAX_AGE_DAYS of 35 less a week
BOOKS = ("old", "young")


def deployed(desk: Resources, name: str, validated: dt.date) -> int:
    number = stored_portfolio(desk, BUSY, validated)
    deploy(DeployRequest(number, name, "validated", "anna"), resources=desk)
    return number


def entries(desk: Resources, name: str) -> list[dt.date]:
    with desk.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT decision_session FROM trading.order_intents WHERE portfolio = %s AND leg = 'entry' ORDER BY 1", (name,)
        )
        return [row[0] for row in rows]


@pytest.fixture
def desk(database_settings: Settings) -> Resources:
    return market_desk(database_settings, FIRST)


def test_a_validation_of_30_days_is_made_again_by_the_evening(desk: Resources) -> None:
    number = deployed(desk, "old", VALIDATED)
    day = VALIDATED + dt.timedelta(days=32)

    told = evening(desk, "old", day)["renew_validation"]

    last = desk.portfolios.latest_validation(number)
    assert last is not None
    assert (told.renewed, told.of) == (True, day.isoformat())
    assert (last.session, last.status) == (day, told.status)
    assert last.report, "the report is stored with it"
    again = renew_validation(day.isoformat(), resources=desk_of("old", resources=desk))
    assert (again.renewed, again.of) == (False, day.isoformat()), "once"


def test_a_young_validation_a_paused_deployment_and_the_settings_strategies_need_none(desk: Resources) -> None:
    number = deployed(desk, "old", VALIDATED)

    young = renew_validation("2018-06-28", resources=desk_of("old", resources=desk))
    own = renew_validation("2018-06-28", resources=desk)
    pause("old", reason="a look", author="anna", resources=desk)
    paused = renew_validation("2018-12-03", resources=desk_of("old", resources=desk))

    assert young.as_dict() == {
        "session": "2018-06-28",
        "renewed": False,
        "status": "PASS",
        "of": "2018-06-07",
        "reason": "it is renewed from an age of 28 days on",
    }
    assert own.as_dict() == {"session": "2018-06-28", "renewed": False, "reason": "it trades no portfolio"}
    assert paused.reason == "it is paused"
    last = desk.portfolios.latest_validation(number)
    assert last is not None
    assert last.session == VALIDATED


def test_an_old_evening_run_again_does_not_put_itself_over_a_later_validation(desk: Resources) -> None:
    number = deployed(desk, "old", dt.date(2018, 9, 3))

    told = renew_validation("2018-06-29", resources=desk_of("old", resources=desk))

    last = desk.portfolios.latest_validation(number)
    assert last is not None
    assert (told.renewed, last.session) == (False, dt.date(2018, 9, 3))


def test_a_renewal_that_fails_stops_the_entries_of_its_deployment_alone(database_settings: Settings) -> None:
    desk = market_desk(database_settings, FIRST, validation__max_drawdown_pct=0.01)
    deployed(desk, "old", VALIDATED)
    deployed(desk, "young", FIRST - dt.timedelta(days=3))
    held_at_renewal = 0
    for day in days_between(FIRST, LAST):
        for name in BOOKS:
            told = evening(desk, name, day)
            if name == "old" and day == RENEWED:
                held_at_renewal = len(desk.ledger.positions(name))
                assert told["renew_validation"].status == "FAIL"

    assert held_at_renewal > 0
    assert max(entries(desk, "old")) < RENEWED < max(entries(desk, "young"))
    assert desk.ledger.positions("old") == [], "what it held was left by its rules"
    exits = [fill.session for order, fill in desk.ledger.fills("old") if order.leg is Leg.EXIT]
    assert max(exits) > RENEWED
    assert "Portfolio 1 of old fails its validation" in desk.alerts.subjects  # type: ignore[attr-defined]


def test_a_renewal_that_cannot_be_made_is_mailed_and_the_evening_goes_on(desk: Resources) -> None:
    deployed(desk, "old", VALIDATED)
    with desk.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE research.portfolios SET members = jsonb_set(members, '{0,symbol}', '\"GONE\"')")

    told = renew_validation(RENEWED.isoformat(), resources=desk_of("old", resources=desk))

    assert (told.renewed, told.status, told.of) == (False, "PASS", VALIDATED.isoformat()), "the last one stands"
    assert "GONE" in str(told.reason)
    assert "Portfolio 1 of old could not be validated again" in desk.alerts.subjects  # type: ignore[attr-defined]
    assert daily_trade.place(RENEWED.isoformat(), resources=desk_of("old", resources=desk)).refusals.get("deployment", 0) == 0
