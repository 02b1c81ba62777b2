"""Deployments on a real PostgreSQL: who may deploy what, what stops it, and that two of them leave each other alone."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from core.deployments import Stage, State
from core.errors import ConfigError, DataError, StopTrading, UnknownSymbol, VersionConflict
from core.models import Leg
from core.sessions import sessions_between
from pipeline.bars import VIX
from pipeline.deployments import changes
from pipeline.deployments.books import DeployedBooks, desk_of, trading_books
from pipeline.deployments.deploy import DeployRequest, deploy, plan_deployment
from pipeline.deployments.live_gate import PaperRecords
from pipeline.execution import daily_trade
from pipeline.execution.deployment_status import deployment_status
from pipeline.resources import Resources
from pipeline.risk import kill_switch
from pipeline.risk.pre_send import risk_checks
from tests.parity.test_parity_day import Mailbox
from tests.standins.evidence import vouch
from tests.standins.feed import walk
from trading.orders import entry_order

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
START, END = dt.date(2017, 6, 1), dt.date(2018, 10, 31)
FIRST, LAST = dt.date(2018, 8, 1), dt.date(2018, 9, 14)
LOADED = dt.datetime(2018, 11, 1, tzinfo=dt.UTC)
SYMBOLS = ("AAA", "BBB")
DUO = (("bollinger", "AAA", {"deviations": 1.0}, 600.0), ("rsi", "BBB", {"oversold": 45.0}, 400.0))
STEPS = (daily_trade.settle, daily_trade.candidates, daily_trade.predict, daily_trade.place, daily_trade.record)


@pytest.fixture
def desk(database_settings: Settings) -> Resources:
    made = Resources(database_settings.with_changes(universe=SYMBOLS, validation__max_age_days=3650), clock=lambda: LOADED)
    walks = pd.concat([walk(name, START, END, seed=3) for name in SYMBOLS], ignore_index=True)
    calm = walk(VIX, START, END).assign(**dict.fromkeys(["open", "high", "low", "close", "adj_close"], 20.0))
    for bars in (walks, calm):
        made.bars.write(bars, source="walk", ingested_at=LOADED, backfilled=True)
        vouch(made.engine, bars, first=FIRST)
    made.__dict__["alerts"] = Mailbox()
    return made


def stored(desk: Resources, members: Any = DUO, status: str | None = "PASS", *, draft: bool = False) -> int:
    rows = [
        {"strategy": strategy, "symbol": symbol, "params": params, "vix_gate": False, "usd": usd}
        for strategy, symbol, params, usd in members
    ]
    capital = sum(row["usd"] for row in rows)
    number = desk.portfolios.save(session=FIRST, method="equal", members=rows, figures={"capital_usd": capital}, draft=draft)
    if status is not None:
        desk.portfolios.save_validation(portfolio_id=number, session=FIRST, status=status, report={})
    return number


def request(number: int, name: str = "duo", **changed: Any) -> DeployRequest:
    return replace(DeployRequest(number, name, "it passed", "anna"), **changed)


def trade(desk: Resources, name: str, first: dt.date, last: dt.date) -> None:
    for stamp in sessions_between(first, last):
        for step in STEPS:
            step(stamp.date().isoformat(), resources=desk_of(name, resources=desk))


def entries(desk: Resources, name: str) -> list[str]:
    orders = [order for order, _ in desk.ledger.orders_decided(name, LAST)]
    return [order.client_order_id for order in orders if order.leg is Leg.ENTRY]


def until_an_entry(desk: Resources, name: str) -> dt.date:
    """Trade until a session at whose close an entry is decided, and return that session, not traded yet."""
    for stamp in sessions_between(FIRST, LAST):
        day = stamp.date()
        own = desk_of(name, resources=desk)
        daily_trade.settle(day.isoformat(), resources=own)
        daily_trade.candidates(day.isoformat(), resources=own)
        signals = desk.ledger.signals(day)
        mine = signals[signals["strategy"].str.startswith(f"{name}/") & (signals["entry"] != 0)]
        if len(mine) and not desk.ledger.positions(name):
            return day
        daily_trade.place(day.isoformat(), resources=own)
        daily_trade.record(day.isoformat(), resources=own)
    raise AssertionError("no entry in these weeks proves nothing")


def test_the_default_deployment_is_made_on_the_first_start_and_once(desk: Resources) -> None:
    books = DeployedBooks.of(desk)
    assert books.default().version == 0, "looking stores nothing"
    first, second = books.start_default(), books.start_default()

    assert first == second
    assert (first.name, first.version, first.stage, first.state, first.sleeves) == ("main", 1, Stage.PAPER, State.ACTIVE, ())
    assert first.capital_usd == desk.settings.initial_cash_usd
    assert [each.name for each in DeployedBooks.of(desk).all()] == ["main"]


def test_a_look_under_another_portfolio_name_makes_nothing_that_trades(desk: Resources) -> None:
    other = Resources(desk.settings.with_changes(portfolio="scratch"), clock=desk.clock)
    other.engine = desk.engine
    deployment_status(resources=other)
    trading_books(resources=other)

    assert trading_books(resources=desk) == ["main"]


def test_a_portfolio_is_deployed_with_its_sleeves_capital_and_promise(desk: Resources) -> None:
    number = stored(desk)

    made = deploy(request(number, capital_usd=2000.0), resources=desk)

    sleeves = made.deployment.sleeves
    assert [(each.name, each.symbols, each.capital_usd) for each in sleeves] == [
        ("duo/bollinger@AAA", ("AAA",), 1200.0),
        ("duo/rsi@BBB", ("BBB",), 800.0),
    ]
    assert desk.deployments.get("duo") == made.deployment
    assert made.deployment.promise[""]["trades"] > 10
    assert set(made.deployment.promise) == {"", *(each.name for each in sleeves)}
    assert any("= $" in note for note in made.notes)
    mailbox = desk.alerts
    assert mailbox.subjects == [f"Portfolio {number} is deployed as duo (paper)"]  # type: ignore[attr-defined]


def test_a_plan_stores_nothing(desk: Resources) -> None:
    planned = plan_deployment(request(stored(desk)), resources=desk)

    assert planned.deployment.name == "duo"
    assert desk.deployments.get("duo") is None


@pytest.mark.parametrize(
    ("status", "draft", "changed", "error", "says"),
    [
        ("FAIL", False, {}, StopTrading, "expected a validation of PASS or WARN, found FAIL"),
        (None, False, {}, StopTrading, "never validated"),
        ("PASS", True, {}, ConfigError, "is a draft"),
        ("PASS", False, {"portfolio": 99}, DataError, "Portfolio 99: there is none"),
        ("PASS", False, {"name": "Duo Two"}, ConfigError, "Choose another name"),
        ("PASS", False, {"name": "main"}, ConfigError, "the name is taken"),
        ("PASS", False, {"reason": " "}, ConfigError, "expected reason"),
        ("PASS", False, {"author": ""}, ConfigError, "expected author"),
        ("PASS", False, {"capital_usd": -1.0}, ConfigError, "expected above 0"),
        ("PASS", False, {"capital_usd": 1e-8}, ConfigError, "expected a capital above 0"),
        ("PASS", False, {"profile": "directr"}, ConfigError, "Did you mean director"),
        ("PASS", False, {"stage": "live"}, ConfigError, "both switches"),
        ("PASS", False, {"stage": "live", "author": "airflow"}, StopTrading, "expected a person"),
    ],
)
def test_what_cannot_be_deployed_says_why_and_is_not(
    desk: Resources, status: str | None, draft: bool, changed: dict[str, Any], error: type[Exception], says: str
) -> None:
    number = stored(desk, status=status, draft=draft)

    with pytest.raises(error, match=says):
        deploy(request(number, **changed), resources=desk)

    assert [each.name for each in DeployedBooks.of(desk).all()] == ["main"]


@pytest.mark.parametrize(
    ("members", "error", "says"),
    [
        ((("zscor", "AAA", {}, 500.0),), ConfigError, "Did you mean 'zscore'"),
        ((("zscore", "ZZZ", {}, 500.0),), UnknownSymbol, "ZZZ"),
        ((("rsi", "AAA", {"oversld": 3}, 500.0),), ConfigError, "Did you mean 'oversold'"),
        ((("gap", "AAA", {}, 500.0),), ConfigError, "decides at the open"),
        ((("rsi", "AAA", {}, 500.0), ("rsi", "AAA", {}, 500.0)), ConfigError, "twice"),
        ((), ConfigError, "no sleeves"),
    ],
)
def test_a_portfolio_whose_parts_are_gone_is_named(desk: Resources, members: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        deploy(request(stored(desk, members)), resources=desk)


def test_a_sleeve_without_a_stop_is_refused_by_name_where_the_profile_asks_for_one(desk: Resources) -> None:
    number = stored(desk, (("rsi", "AAA", {"stop_pct": None}, 500.0),))

    with pytest.raises(ConfigError, match="'duo/rsi@AAA' has no stop, and the risk profile director asks for one"):
        deploy(request(number, profile="director"), resources=desk)
    assert deploy(request(number), resources=desk).deployment.profile == "desk"


def test_a_name_is_used_once(desk: Resources) -> None:
    number = stored(desk)
    deploy(request(number), resources=desk)

    with pytest.raises(ConfigError, match="the name is taken"):
        deploy(request(number), resources=desk)


def test_a_change_from_an_older_version_is_a_conflict(desk: Resources) -> None:
    made = deploy(request(stored(desk)), resources=desk).deployment
    changes.pause("duo", reason="holiday", author="anna", resources=desk)

    with pytest.raises(VersionConflict, match="Somebody changed it since"):
        changes.retire("duo", reason="old page", author="ben", expected_version=made.version, resources=desk)
    assert [(each.version, each.state, each.author) for each in desk.deployments.history("duo")] == [
        (1, State.ACTIVE, "anna"),
        (2, State.PAUSED, "anna"),
    ]


def test_a_paused_deployment_enters_nothing_says_so_and_goes_on_once_it_is_unpaused(desk: Resources) -> None:
    deploy(request(stored(desk)), resources=desk)
    day = until_an_entry(desk, "duo")

    changes.pause("duo", reason="holiday", author="anna", resources=desk)
    held_back = daily_trade.place(day.isoformat(), resources=desk_of("duo", resources=desk))

    (status,) = [each for each in deployment_status(resources=desk) if each.deployment.name == "duo"]
    assert held_back.orders == 0
    assert status.blocks == ("Deployment duo is paused since version 2 (anna: holiday).",)
    changes.unpause("duo", reason="back", author="anna", resources=desk)
    assert daily_trade.place(day.isoformat(), resources=desk_of("duo", resources=desk)).orders >= 1


def test_a_deployment_paused_between_two_steps_of_its_evening_enters_nothing(desk: Resources) -> None:
    deploy(request(stored(desk)), resources=desk)
    day = until_an_entry(desk, "duo")  # its candidates are stored
    daily_trade.predict(day.isoformat(), resources=desk_of("duo", resources=desk))

    changes.pause("duo", reason="in the middle", author="anna", resources=desk)

    assert daily_trade.place(day.isoformat(), resources=desk_of("duo", resources=desk)).placed == 0
    assert desk.ledger.open_orders("duo") == []


def test_an_entry_decided_before_a_pause_is_not_sent_after_it_and_an_exit_is(desk: Resources) -> None:
    deploy(request(stored(desk)), resources=desk)
    own = desk_of("duo", resources=desk)
    entry = entry_order(
        "duo", "duo/rsi@BBB", "BBB", decision_session=FIRST, session=FIRST, signed_quantity=1.0, stop_pct=5.0, target_pct=5.0,
        max_sessions=None,
    )  # fmt: skip
    assert risk_checks(resources=own)(entry) is None

    changes.pause("duo", reason="holiday", author="anna", resources=desk)

    assert "deployment: Deployment duo is paused" in str(risk_checks(resources=own)(entry))
    assert risk_checks(resources=own)(replace(entry, leg=Leg.EXIT)) is None


@pytest.mark.parametrize("capital", [1000.0, 10_000_000.0])
def test_sizes_follow_the_sleeves_capital_to_the_cent(desk: Resources, capital: float) -> None:
    deploy(request(stored(desk), capital_usd=capital), resources=desk)
    day = until_an_entry(desk, "duo")

    daily_trade.place(day.isoformat(), resources=desk_of("duo", resources=desk))

    (order, _), *_ = desk.ledger.orders_decided("duo", day)
    sleeve = next(each for each in desk.deployments.get("duo").sleeves if each.name == order.strategy)  # type: ignore[union-attr]
    close = desk.close_at(order.symbol, day)
    assert close is not None
    assert order.stop_pct is not None
    usd = min(sleeve.capital_usd * 0.40, sleeve.capital_usd * 0.0025 / (order.stop_pct / 100))
    assert float(order.quantity) * close == pytest.approx(usd, abs=close * 1e-6 + 0.005)


def test_a_deployment_is_stopped_by_its_own_validation_alone(desk: Resources) -> None:
    number = stored(desk)
    deploy(request(number), resources=desk)
    day = until_an_entry(desk, "duo")
    other = stored(desk, status="FAIL")

    desk.portfolios.save_validation(portfolio_id=number, session=day, status="FAIL", report={})
    refused = daily_trade.place(day.isoformat(), resources=desk_of("duo", resources=desk))

    assert refused.refusals["deployment"] >= 1
    assert refused.orders == 0
    desk.portfolios.save_validation(portfolio_id=number, session=day, status="WARN", report={})
    desk.portfolios.save_validation(portfolio_id=other, session=day, status="FAIL", report={})
    assert daily_trade.place(day.isoformat(), resources=desk_of("duo", resources=desk)).orders >= 1


def test_a_retired_deployment_leaves_what_it_holds_and_its_evenings_end_once_it_is_flat(desk: Resources) -> None:
    deploy(request(stored(desk)), resources=desk)
    day = until_an_entry(desk, "duo")
    for step in STEPS[2:]:
        step(day.isoformat(), resources=desk_of("duo", resources=desk))
    days = [stamp.date() for stamp in sessions_between(day, END)][1:]
    trade(desk, "duo", days[0], days[0])
    assert desk.ledger.positions("duo"), "nothing was held"

    changes.retire("duo", reason="enough", author="anna", resources=desk)
    for each in days[1:]:
        if "duo" not in trading_books(resources=desk):
            break
        trade(desk, "duo", each, each)

    assert desk.ledger.positions("duo") == []
    assert trading_books(resources=desk) == ["main"]
    made = [order for order, *_ in desk.ledger.orders_for("duo", days[0], END) if order.leg is Leg.ENTRY]
    assert {order.decision_session for order in made} <= {days[0]}, "it decided to enter after it was retired"
    with pytest.raises(StopTrading, match="stays so"):
        changes.unpause("duo", reason="again", author="anna", resources=desk)


def test_a_halt_without_a_name_stops_every_book_and_one_with_a_name_that_one_alone(desk: Resources) -> None:
    deploy(request(stored(desk)), resources=desk)

    kill_switch.halt("drill", "anna", portfolio="duo", resources=desk)
    assert [bool(each.blocks) for each in deployment_status(resources=desk)] == [False, True]
    kill_switch.resume("over", "anna", portfolio="duo", resources=desk)
    kill_switch.halt_desk("storm", "anna", resources=desk)
    assert [bool(each.blocks) for each in deployment_status(resources=desk)] == [True, True]
    kill_switch.resume_desk("over", "anna", resources=desk)
    assert [bool(each.blocks) for each in deployment_status(resources=desk)] == [False, False]


def test_the_record_on_paper_says_what_is_not_enough(desk: Resources) -> None:
    made = deploy(request(stored(desk)), resources=desk).deployment

    assert PaperRecords.of(desk).record(made).objections() == [
        "not enough: 0 sessions on paper, 20 are asked",
        "not enough: 0 closed trades on paper, 20 are asked",
    ]
    trade(desk, "duo", FIRST, LAST)
    record = PaperRecords.of(desk).record(made)
    assert record.sessions == len(sessions_between(FIRST, LAST))
    assert record.trades == len(desk.ledger.trades("duo"))
    assert record.low is not None
    assert record.high == -record.low
