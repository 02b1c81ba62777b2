"""Live against backtest over the API: an empty desk, a book without a promise, a deployment with one, the real backtest."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from core.deployments import Deployment, Sleeve, Stage, State
from monitoring.performance.expectation import Expectation
from monitoring.performance.sequential import Promise
from pipeline.audit.parity_day import record_day
from pipeline.deployments.books import desk_of
from pipeline.deployments.deploy import DeployRequest, deploy
from serving.app import create_app
from serving.routers import performance
from storage.trading.deployments import Deployments
from storage.trading.parity import ParityLedger
from tests.standins.api_desk import NextDayRegistry, Registry
from tests.standins.deployed_market import TRIO, days_between, evening, market_desk, stored_portfolio
from tests.standins.long_record import write_long_record

if TYPE_CHECKING:
    import sqlalchemy as sa

    from core.settings import Settings
    from tests.standins.api_desk import Desk

pytestmark = pytest.mark.integration
FIRST, LAST = dt.date(2024, 1, 2), dt.date(2024, 12, 31)
HTML = "<script>alert('x')</script>"
PROMISE = Expectation(
    "", 1000, 400, Promise(0.012, 0.03, 400, 40), 0.6, 0.0005, 0.01, Promise(0.05, 1.0, 1000, 48), None, None, 0
)


@pytest.fixture(scope="module", autouse=True)
def record(engine: sa.Engine) -> list[dt.date]:
    """A year of two books, of which one is a deployment with a promise and parity days."""
    days = write_long_record(engine, FIRST, LAST, books=("main", "trio"), width=5)
    sleeves = (Sleeve("trio/bollinger", "bollinger", ("SYM1",), 100_000.0), Sleeve(f"trio/{HTML}", "rsi", ("SYM2",), 1.0))
    promise = {"": PROMISE.as_dict(), "trio/bollinger": PROMISE.as_dict()}
    made = Deployment("trio", 1, Stage.PAPER, State.ACTIVE, sleeves, 100_000.0, "desk", None, promise, "ann", "why")
    Deployments(engine).add(made)
    parity = ParityLedger(engine)
    for number, day in enumerate(days[1:]):
        for again in (7.0, 1.0) if number == 5 else (1.0,):
            causes = {"signal": 0.0, "fill": -again, "cost": -0.5, "missed": 2.0 if number == 3 else 0.0}
            counts = {f"{name}_differences": int(usd != 0) for name, usd in causes.items()}
            usd = {f"{name}_usd": value for name, value in causes.items()}
            row = {"portfolio": "trio", "strategy": "s", "session": day, **counts, **usd, "details": []}
            parity.add({**row, "record_usd": sum(causes.values()), "backtest_usd": 0.0})
    return days


def read(api: TestClient, **query: Any) -> dict[str, Any]:
    answer = api.get("/live-vs-backtest", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_deployment_stands_beside_its_promise(api: TestClient, record: list[dt.date]) -> None:
    found = read(api, book="trio")
    book, sleeve, other = found["rows"]

    assert (found["book"], found["promised"], found["reason"], found["source"]) == ("trio", True, "", "parity days")
    assert (found["first"], found["last"], found["unmeasured"]) == (record[0].isoformat(), record[-1].isoformat(), 0)
    assert (book["sleeve"], book["label"]) == ("", "book")
    assert {sleeve["sleeve"], other["sleeve"]} == {"trio/bollinger", f"trio/{HTML}"}, "HTML is data"
    assert book["backtest_sharpe"] == pytest.approx(0.05 * math.sqrt(252))
    assert book["live_sharpe_low"] < book["live_sharpe"] < book["live_sharpe_high"]
    traded = next(row for row in found["rows"] if row["sleeve"] == "trio/bollinger")
    assert traded["live_profit_pct"] - traded["backtest_profit_pct"] == pytest.approx(traded["profit_delta_pct"])
    assert traded["profit_light"] == ("green" if traded["profit_delta_pct"] >= 0 else traded["profit_light"])
    idle = next(row for row in found["rows"] if row["sleeve"] == f"trio/{HTML}")
    assert (idle["light"], idle["trades"], idle["reason"]) == ("not enough", 0, "No backtest is on record.")


def test_causes_add_up_to_the_gap_between_the_curves(api: TestClient, record: list[dt.date]) -> None:
    curve = read(api, book="trio")["curve"]
    live, theirs, gap = (np.array(curve[name]) for name in ("live_usd", "backtest_usd", "gap_usd"))

    assert curve["session"] == [day.isoformat() for day in record]
    assert np.allclose(live - theirs, gap)
    assert np.allclose(sum(np.array(curve[f"{cause}_usd"]) for cause in ("signal", "fill", "cost", "missed", "carried")), gap)
    assert gap[-1] == pytest.approx(2 - 1.5 * (len(record) - 1)), "the newest measurement of a session counts"
    assert curve["missed_usd"][:6] == [0, 0, 0, 0, 2, 2]
    assert all(
        low <= middle <= high
        for low, middle, high in zip(curve["low_usd"], curve["expected_usd"], curve["high_usd"], strict=True)
    )


def test_the_default_deployment_has_no_promise_and_shows_what_there_is(api: TestClient, record: list[dt.date]) -> None:
    found = read(api)
    book, sleeve = found["rows"]

    assert (found["book"], found["promised"], found["source"], found["unmeasured"]) == (
        "main",
        False,
        "nothing",
        len(record) - 1,
    )
    assert "nobody deployed it" in found["reason"]
    assert (book["live_sharpe"] is not None, book["backtest_sharpe"], book["light"]) == (True, None, "not enough")
    assert (sleeve["sleeve"], sleeve["trades"] > 100, sleeve["live_profit_pct"] is not None) == ("main/bollinger", True, True)
    assert set(found["curve"]["backtest_usd"]) == set(found["curve"]["low_usd"]) == {None}
    assert found["curve"]["live_usd"][0] is not None


def test_a_curve_has_as_few_points_as_wanted(api: TestClient, record: list[dt.date]) -> None:
    curve = read(api, book="trio", points=10)["curve"]

    assert {len(column) for column in curve.values()} == {10}
    assert (curve["session"][0], curve["session"][-1]) == (record[0].isoformat(), record[-1].isoformat())
    assert api.get("/live-vs-backtest", params={"points": 2001}).status_code == 422


def test_a_book_that_does_not_exist_is_no_page(api: TestClient) -> None:
    answer = api.get("/live-vs-backtest", params={"book": "nobody"})

    assert (answer.status_code, answer.json()["type"]) == (404, "urn:desk:UnknownBook")
    assert api.get("/live-vs-backtest", params={"book": "a b"}).status_code == 422
    assert api.get("/live-vs-backtest", params={"book": ""}).status_code == 422


def test_a_book_that_was_stored_and_has_not_traded_is_empty(api: TestClient, desk: Desk) -> None:
    found = read(api, book="trio")
    desk.settings = desk.settings.with_changes(portfolio="fresh")
    empty = read(api)

    assert found["rows"][0]["trades"] > 0
    assert (empty["book"], empty["first"], empty["last"], empty["source"], empty["unmeasured"]) == (
        "fresh",
        None,
        None,
        "nothing",
        0,
    )
    assert [row["light"] for row in empty["rows"]] == ["not enough"]
    assert all(column == [] for column in empty["curve"].values())
    assert read(api, compare=True) == empty, "there are no sessions to backtest"


def test_the_same_answer_is_not_sent_twice(api: TestClient) -> None:
    first = api.get("/live-vs-backtest", params={"book": "trio"})
    again = api.get("/live-vs-backtest", params={"book": "trio"}, headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


def test_one_backtest_at_a_time(api: TestClient) -> None:
    with performance.ONE_BACKTEST:
        busy = api.get("/live-vs-backtest", params={"book": "trio", "compare": True})
        assert api.get("/live-vs-backtest", params={"book": "trio"}).status_code == 200

    assert (busy.status_code, busy.json()["type"]) == (503, "urn:desk:BacktestBusy")
    assert "without `compare`" in busy.json()["remedy"]


def test_the_backtest_of_the_same_sessions_is_the_curve_of_a_desk_that_trades_as_it_does(database_settings: Settings) -> None:
    """Seven evenings of a deployment on paper, then the same ones backtested."""
    first, last = dt.date(2018, 12, 3), dt.date(2018, 12, 12)
    desk = market_desk(database_settings, first, validation__max_drawdown_pct=99, validation__max_age_days=60)
    desk.__dict__["registry"], desk.__dict__["next_day_registry"] = Registry(), NextDayRegistry()
    deploy(DeployRequest(stored_portfolio(desk, TRIO, first), "trio", "validated", "ann"), resources=desk)
    for day in days_between(first, last):
        evening(desk, "trio", day)
        record_day(day.isoformat(), resources=desk_of("trio", resources=desk))
    with TestClient(create_app(desk), raise_server_exceptions=False, client=("127.0.0.1", 50_000)) as api:
        by_parity, by_backtest = read(api, book="trio"), read(api, book="trio", compare=True)

    assert (by_parity["source"], by_backtest["source"]) == ("parity days", "backtest of the same sessions")
    assert by_parity["promised"]
    assert by_parity["rows"][0]["backtest_trades"] > 30
    assert len(by_parity["curve"]["session"]) == 7
    assert sum(row["trades"] for row in by_parity["rows"][1:]) == by_parity["rows"][0]["trades"] > 0
    live, theirs = (np.array(by_backtest["curve"][name], dtype=float) for name in ("live_usd", "backtest_usd"))
    assert live.tolist() == by_parity["curve"]["live_usd"]
    assert np.abs(live - live[0]).max() > 1, "it traded"
    assert np.abs(live - theirs)[:-1].max() < 0.01, "the desk trades as its backtest does, which sells at its last close"
    assert np.abs(np.array(by_parity["curve"]["gap_usd"], dtype=float)).max() < 0.01
