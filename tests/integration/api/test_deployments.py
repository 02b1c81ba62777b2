"""Deployments and portfolios over REST: who may do what, what is refused and how; the API answers meanwhile."""

from __future__ import annotations

import datetime as dt
import threading
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

from pipeline.deployments.deploy import MACHINES
from serving.app import create_app
from tests.standins.api_desk import CONTROL_KEY, NextDayRegistry, Registry
from tests.standins.deployed_market import TRIO, evening, market_desk, stored_portfolio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings
    from pipeline.resources import Resources

pytestmark = pytest.mark.integration
DAY, MADE = dt.date(2018, 12, 28), dt.date(2018, 12, 3)
KEY = {"X-API-Key": CONTROL_KEY}
WHY = {"reason": "validated", "author": "ann"}


@pytest.fixture(scope="module")
def desk(module_settings: Settings) -> Resources:
    made = market_desk(
        module_settings,
        DAY,
        api__control_keys=CONTROL_KEY,
        api__controls_per_minute=1e6,
        validation__max_drawdown_pct=99,
        validation__max_age_days=60,
    )
    made.__dict__["registry"], made.__dict__["next_day_registry"] = Registry(), NextDayRegistry()
    return made


@pytest.fixture(scope="module")
def api(desk: Resources) -> Iterator[TestClient]:
    with TestClient(create_app(desk), raise_server_exceptions=False, client=("127.0.0.1", 50_000)) as client:
        yield client


def deployed(api: TestClient, number: int, name: str, **more: object) -> Any:
    return api.post("/deployments", json={"portfolio": number, "name": name, **WHY, **more}, headers=KEY)


def turned(api: TestClient, name: str, verb: str, **more: object) -> Any:
    return api.post(f"/deployments/{name}/{verb}", json=WHY | more, headers=KEY)


def test_a_portfolio_is_planned_deployed_and_trades_that_evening(api: TestClient, desk: Resources) -> None:
    number = stored_portfolio(desk, TRIO, MADE)

    planned = deployed(api, number, "trio", dry_run=True)
    assert (planned.status_code, planned.json()["deployed"], desk.deployments.get("trio")) == (200, False, None)
    made = deployed(
        api,
        number,
        "trio",
    ).json()
    assert (made["deployed"], made["version"], made["capital_usd"]) == (True, 1, 1000.0)
    assert [(each["label"], each["capital_usd"]) for each in made["sleeves"]] == [
        ("bollinger@AAA", 400.0),
        ("rsi@BBB", 350.0),
        ("zscore@CCC", 250.0),
    ]
    assert made["notes"] == planned.json()["notes"]
    assert made["notes"][0] == f"Validation of {MADE}: PASS."

    listed = {each["name"]: each for each in api.get("/deployments").json()}
    assert list(listed) == ["main", "trio"], "the default one first"
    assert listed["trio"]["entries_blocked"] == listed["main"]["entries_blocked"] == []
    told = evening(desk, "trio", DAY)
    one = api.get("/deployments/trio").json()
    assert told["record"].equity_usd == one["equity_usd"]
    assert (one["session"], one["portfolio_id"]) == (DAY.isoformat(), number)
    assert [each["symbols"] for each in one["sleeve_details"]] == [["AAA"], ["BBB"], ["CCC"]]
    assert [(each["version"], each["state"], each["author"]) for each in one["history"]] == [(1, "active", "ann")]


def test_a_deployment_is_paused_unpaused_and_retired_from_the_version_that_was_seen(api: TestClient, desk: Resources) -> None:
    deployed(api, stored_portfolio(desk, TRIO, MADE), "switched")

    paused = turned(api, "switched", "pause", expected_version=1).json()
    assert (paused["state"], paused["version"]) == ("paused", 2)
    assert paused["entries_blocked"] == ["Deployment switched is paused since version 2 (ann: validated)."]
    late = turned(api, "switched", "unpause", expected_version=1)
    assert (late.status_code, late.json()["type"]) == (409, "urn:desk:VersionConflict")
    assert turned(api, "switched", "unpause").json()["state"] == "active"
    assert turned(api, "switched", "retire").json()["state"] == "retired"
    ended = turned(api, "switched", "unpause")
    assert (ended.status_code, ended.json()["type"]) == (422, "urn:desk:BadChange")
    states = [each["state"] for each in api.get("/deployments/switched").json()["history"]]
    assert states == ["active", "paused", "active", "retired"]


def test_of_two_people_at_once_one_wins_and_the_other_is_told(api: TestClient, desk: Resources) -> None:
    number = stored_portfolio(desk, TRIO, MADE)
    answers: list[Any] = []
    both = [threading.Thread(target=lambda: answers.append(deployed(api, number, "twice"))) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(answer.status_code for answer in answers) in ([200, 409], [200, 422])
    assert len(desk.deployments.history("twice")) == 1

    answers.clear()
    both = [
        threading.Thread(target=lambda: answers.append(turned(api, "twice", "pause", expected_version=1))) for _ in range(2)
    ]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert [each.version for each in desk.deployments.history("twice")] == [1, 2]


def test_what_cannot_be_deployed_is_refused_with_its_reason(api: TestClient, desk: Resources) -> None:
    draft = stored_portfolio(desk, TRIO, MADE, draft=True)
    failed = stored_portfolio(desk, TRIO, MADE, "FAIL")
    unseen = stored_portfolio(desk, TRIO, MADE, None)
    good = stored_portfolio(desk, TRIO, MADE)
    gone = stored_portfolio(desk, [("zscore", "GONE", {}, 1000.0)], MADE)
    before = len(desk.deployments.all())

    for number, name, more, status, words in (
        (draft, "x", {}, 422, "is a draft"),
        (failed, "x", {}, 422, "found FAIL"),
        (unseen, "x", {}, 422, "never validated"),
        (good, "main", {}, 422, "the name is taken"),
        (good, "x", {"capital_usd": 0.001}, 422, "capital above 0"),
        (good, "x", {"capital_usd": -1}, 422, "capital_usd"),
        (good, "x", {"profile": "nobody"}, 422, "nobody"),
        (good, "x", {"stage": "live"}, 422, "confirm: true"),
        (good, "x", {"stage": "live", "confirm": True}, 422, "VENUE__LIVE"),
        (good, "X Y", {}, 422, "name"),
        (good, "x", {"reason": " "}, 422, "reason"),
        (10_000, "x", {}, 404, "Did you mean"),
        (gone, "x", {}, 404, "GONE"),
    ):
        answer = deployed(api, number, name, **more)
        assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text
    for author in MACHINES:
        machine = deployed(api, good, "x", stage="live", confirm=True, author=author)
        assert (machine.status_code, "expected a person" in machine.json()["detail"]) == (422, True)
    assert len(desk.deployments.all()) == before, "nothing is stored"


def test_an_unknown_deployment_is_not_found_and_the_nearest_is_named(api: TestClient, desk: Resources) -> None:
    if desk.deployments.get("nearby") is None:
        deployed(api, stored_portfolio(desk, TRIO, MADE), "nearby")

    for answer in (api.get("/deployments/nearbi"), *(turned(api, "nearbi", verb) for verb in ("pause", "unpause", "retire"))):
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:desk:UnknownDeployment")
        assert "Did you mean 'nearby'?" in answer.json()["detail"]


def test_without_a_control_key_nothing_is_deployed_or_changed(api: TestClient, desk: Resources) -> None:
    number = stored_portfolio(desk, TRIO, MADE, draft=True)
    for path in ("/deployments", "/deployments/main/pause", f"/portfolios/{number}/keep", f"/portfolios/{number}/validate"):
        body = {"portfolio": number, "name": "x", **WHY} if path == "/deployments" else WHY
        assert api.post(path, json=body).status_code == 401

    stored = desk.portfolios.get(number)
    assert stored is not None
    assert stored.draft


def test_a_draft_is_kept_validated_and_deployed(api: TestClient, desk: Resources) -> None:
    number = stored_portfolio(desk, TRIO, MADE, None, draft=True)
    shown = next(each for each in api.get("/portfolios").json() if each["id"] == number)
    assert (shown["draft"], shown["validation"]) == (True, None)

    kept = api.post(f"/portfolios/{number}/keep", headers=KEY)
    assert (kept.status_code, kept.json()["draft"]) == (200, False)
    judged = api.post(f"/portfolios/{number}/validate", json={"session": DAY.isoformat()}, headers=KEY).json()
    assert judged["status"] in {"PASS", "WARN", "FAIL"}
    assert judged["session"] == DAY.isoformat()
    assert api.get("/portfolios").json()[0]["validation"] == judged
    assert (deployed(api, number, "kept").status_code == 200) == (judged["status"] != "FAIL")

    for path in ("/portfolios/10000/keep", "/portfolios/10000/validate"):
        missing = api.post(path, json={}, headers=KEY)
        assert (missing.status_code, missing.json()["type"]) == (404, "urn:desk:UnknownPortfolio")


def test_readiness_and_the_halt_route_say_why_entries_are_blocked_and_readiness_stays_green(
    api: TestClient, desk: Resources
) -> None:
    number = stored_portfolio(desk, TRIO, MADE)
    deployed(api, number, "blocked")
    assert "blocked" not in api.get("/readyz").json()["entries_blocked"]
    assert api.get("/trading/halt", params={"portfolio": "blocked"}).json()["entries_blocked"] == []
    desk.portfolios.save_validation(portfolio_id=number, session=DAY, status="FAIL", report={})
    turned(api, "blocked", "pause")
    api.post("/trading/halt", json=WHY | {"portfolio": "blocked"}, headers=KEY)

    ready = api.get("/readyz")
    halt = api.get("/trading/halt", params={"portfolio": "blocked"}).json()

    assert (ready.status_code, ready.json()["ready"], ready.json()["state"]) == (200, True, "green")
    reasons = ready.json()["entries_blocked"]["blocked"]
    assert [words in reason for words, reason in zip(("halted", "is paused", "failed its validation"), reasons, strict=True)]
    assert all((reasons[0].startswith("Trading is halted by ann"), "paused" in reasons[1], "failed" in reasons[2]))
    assert (halt["halted"], halt["entries_blocked"]) == (True, reasons)
    assert "main" not in ready.json()["entries_blocked"], "the default one is not stopped by somebody's portfolio"
    assert api.get("/trading/halt").json()["entries_blocked"] == []


def test_the_api_answers_while_a_portfolio_is_backtested(
    api: TestClient, desk: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = stored_portfolio(desk, TRIO, MADE)
    begun, go_on, answers = threading.Event(), threading.Event(), []
    real = desk.portfolios.latest_validation

    def slow(self: Any, *arguments: Any, **named: Any) -> Any:
        del self
        begun.set()
        assert go_on.wait(60)
        return real(*arguments, **named)

    monkeypatch.setattr(type(desk.portfolios), "latest_validation", slow)
    planning = threading.Thread(target=lambda: answers.append(deployed(api, number, "slow", dry_run=True)))
    planning.start()
    assert begun.wait(30)
    assert api.get("/healthz").status_code == 200
    go_on.set()
    planning.join()

    assert answers[0].status_code == 200
