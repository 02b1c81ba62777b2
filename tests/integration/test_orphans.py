"""Positions of a strategy that STRATEGIES no longer lists: left by their own rule, handed over, or named each day."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from core.errors import ConfigError
from core.models import Leg, OrderState
from core.sessions import sessions_between
from desk.cli import app
from pipeline.audit import explain_order, parity_day
from pipeline.bars import VIX
from pipeline.execution import daily_report, daily_trade, reconcile
from pipeline.execution import service_status as status
from pipeline.execution.hand_over import hand_over
from pipeline.resources import Resources
from tests.standins.evidence import vouch
from tests.standins.feed import walk
from tests.standins.mailbox import OneChannel
from tests.standins.predictions import PredictionStandIn
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.models import OrderIntent
    from core.settings import Settings

pytestmark = pytest.mark.integration
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
START, END, FIRST, LAST = dt.date(2018, 6, 1), dt.date(2018, 10, 8), dt.date(2018, 9, 4), dt.date(2018, 9, 28)
LOADED = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
SESSIONS = [stamp.date() for stamp in sessions_between(FIRST, LAST)]
PARAMS = {"deviations": 1.0, "stop_pct": None, "target_pct": None, "max_sessions": 15}


@dataclass
class Mailbox(OneChannel):
    """Keeps what would be mailed."""

    mails: list[tuple[str, str]] = field(default_factory=list)

    def send(self, subject: str, body: str, severity: str = "warning", **_: Any) -> bool:
        del severity
        self.mails.append((subject, body))
        return True


class Desk:
    """A paper desk whose STRATEGIES a test changes between two evenings."""

    def __init__(self, settings: Settings, api: PredictionStandIn) -> None:
        self.settings, self.api, self.mailbox = settings, api, Mailbox()
        self.trade(self.settings.strategies)
        walks = [walk(name, START, END, seed=3) for name in SYMBOLS]
        walks.append(walk(VIX, START, END).assign(**dict.fromkeys(["open", "high", "low", "close", "adj_close"], 20.0)))
        self.resources.bars.write(pd.concat(walks, ignore_index=True), source="walk", ingested_at=LOADED, backfilled=True)
        vouch(self.resources.engine, pd.concat(walks), first=SESSIONS[0])

    def trade(self, strategies: tuple[str, ...], **changes: Any) -> None:
        """Go on with these strategies, as after a new start."""
        settings = self.settings.with_changes(strategies=strategies, **changes)
        self.resources = Resources(settings, clock=lambda: LOADED)
        self.resources.__dict__["alerts"] = self.mailbox

    def evening(self, day: dt.date) -> None:
        self.api.session = day.isoformat()
        for step in (daily_trade.settle, reconcile.reconcile, daily_trade.candidates, daily_trade.predict, daily_trade.place):
            step(day.isoformat(), resources=self.resources)
        daily_trade.record(day.isoformat(), resources=self.resources)

    def until_held(self) -> int:
        """Trade until something is held; return the number of the next session."""
        for number, day in enumerate(SESSIONS):
            self.evening(day)
            if self.resources.ledger.positions("main"):
                return number + 1
        raise AssertionError("nothing was ever entered")

    def go_on(self, number: int, *, stop_at_exit: bool = False) -> list[OrderIntent]:
        """Trade the sessions from one on; return the orders decided in them."""
        orders: list[OrderIntent] = []
        for day in SESSIONS[number:]:
            self.evening(day)
            orders += [order for order, _ in self.resources.ledger.orders_decided("main", day)]
            if stop_at_exit and orders and orders[-1].leg is Leg.EXIT:
                break
        return orders


@pytest.fixture
def desk(database_settings: Settings) -> Iterator[Desk]:
    with PredictionStandIn() as api:
        settings = database_settings.with_changes(universe=SYMBOLS, api__url=api.url, strategies=("bollinger",))
        resources = Resources(settings)
        resources.parameters.set("bollinger", make_strategy("bollinger", PARAMS).describe(), reason="test")
        resources.engine.dispose()
        made = Desk(settings, api)
        yield made
        made.resources.engine.dispose()


def exits_of(orders: list[OrderIntent]) -> list[tuple[str, dt.date]]:
    return [(order.symbol, order.session) for order in orders if order.leg is Leg.EXIT]


@pytest.fixture(scope="module")
def undisturbed(module_settings: Settings) -> list[tuple[str, dt.date]]:
    """Exits of the positions held first, with STRATEGIES as it was."""
    with PredictionStandIn() as api:
        settings = module_settings.with_changes(universe=SYMBOLS, api__url=api.url, strategies=("bollinger",))
        resources = Resources(settings)
        resources.parameters.set("bollinger", make_strategy("bollinger", PARAMS).describe(), reason="test")
        made = Desk(settings, api)
        number = made.until_held()
        held = {position.entry_order_id for position in made.resources.ledger.positions("main")}
        exits = [order for order in made.go_on(number) if order.leg is Leg.EXIT and order.entry_order_id in held]
        made.resources.engine.dispose()
        return exits_of(exits)


def test_a_removed_strategy_leaves_its_positions_by_its_own_rule_and_enters_nothing(
    desk: Desk, undisturbed: list[tuple[str, dt.date]]
) -> None:
    number = desk.until_held()
    held = {position.entry_order_id for position in desk.resources.ledger.positions("main")}
    desk.trade(("rsi",))

    orders = desk.go_on(number)

    mine = [order for order in orders if order.strategy == "bollinger_vix"]
    assert exits_of(mine)[: len(undisturbed)] == undisturbed
    assert undisturbed
    late = [order for order in mine if order.leg is Leg.ENTRY]
    assert late == []
    assert {order.entry_order_id for order in mine} <= held | {order.entry_order_id for order in mine if order.leg is Leg.EXIT}
    assert not [subject for subject, _ in desk.mailbox.mails if "no rule" in subject]


def test_its_parameters_are_those_of_the_entry_whatever_is_stored_now(
    desk: Desk, undisturbed: list[tuple[str, dt.date]]
) -> None:
    number = desk.until_held()
    changed = make_strategy("bollinger", {**PARAMS, "band_sessions": 60, "max_sessions": 3}).describe()
    desk.resources.parameters.set("bollinger", changed, reason="changed")
    desk.trade(("rsi",))

    mine = [order for order in desk.go_on(number) if order.strategy == "bollinger_vix"]

    assert exits_of(mine)[: len(undisturbed)] == undisturbed


def test_the_day_of_its_exit_has_parity_and_can_be_explained(desk: Desk) -> None:
    number = desk.until_held()
    desk.trade(("rsi",))
    leaving = next(order for order in desk.go_on(number, stop_at_exit=True) if order.leg is Leg.EXIT)
    day = leaving.session
    desk.evening(day)

    measured = parity_day.record_day(day.isoformat(), resources=desk.resources)
    page = explain_order.explain(leaving.client_order_id, replay=True, resources=desk.resources)

    assert [each for each in measured.differences if each.strategy == "bollinger_vix"] == []
    assert page.recomputed is not None
    assert page.recomputed["signal"]["same"], page.recomputed["signal"]
    assert page.recomputed["decision"]["same"], page.recomputed["decision"]


def test_a_symbol_that_left_the_universe_is_left_by_its_rule_and_not_entered_again(
    desk: Desk, undisturbed: list[tuple[str, dt.date]]
) -> None:
    number = desk.until_held()
    held = {position.symbol for position in desk.resources.ledger.positions("main")}
    desk.trade(("bollinger",), universe=tuple(sorted(set(SYMBOLS) - held)) or ("EEE",))

    orders = desk.go_on(number)

    assert [each for each in exits_of(orders) if each[0] in held][: len(undisturbed)] == undisturbed
    assert [order for order in orders if order.leg is Leg.ENTRY and order.symbol in held] == []


def break_rule(desk: Desk) -> None:
    """The rule is not in the code any more."""
    with desk.resources.engine.begin() as connection:
        connection.execute(sa.text("UPDATE trading.entry_rules SET source = 'retired'"))


def test_a_rule_that_cannot_be_built_is_mailed_each_day_and_shown_and_its_time_limit_holds(desk: Desk) -> None:
    number = desk.until_held()
    (position, *_) = desk.resources.ledger.positions("main")
    break_rule(desk)
    desk.trade(("rsi",))

    for day in SESSIONS[number : number + 2]:
        desk.evening(day)
        daily_trade.candidates(day.isoformat(), resources=desk.resources)

    alerts = [body for subject, body in desk.mailbox.mails if "no rule that leaves them" in subject]
    assert len(alerts) == 2, "once a session"
    assert f"{position.symbol} of bollinger_vix" in alerts[0]
    assert "desk hand-over bollinger_vix" in alerts[0]
    (shown,) = status.check_services(["positions"], resources=desk.resources)
    assert not shown.healthy
    assert position.symbol in shown.detail
    evening = daily_report.evening_of(desk.resources, SESSIONS[number + 1].isoformat())
    assert any("has no rule that leaves it" in line for line in evening.attention)
    assert "unmanaged" not in evening.refused
    exits = exits_of(desk.go_on(number + 2))
    limit = sessions_between(position.entry_session, LAST)[PARAMS["max_sessions"] - 1].date()  # type: ignore[operator]
    assert (position.symbol, sessions_between(limit, END)[1].date()) in exits


def test_broken_stored_parameters_of_a_removed_strategy_are_named_as_well(desk: Desk) -> None:
    desk.until_held()
    with desk.resources.engine.begin() as connection:
        connection.execute(sa.text("""UPDATE trading.entry_rules SET params = '{"sigmas": 2}'"""))
    desk.trade(("rsi",))

    (shown,) = status.check_services(["positions"], resources=desk.resources)

    assert not shown.healthy
    assert "sigmas" in shown.detail


def test_a_position_of_before_the_rules_were_stored_has_the_parameters_of_its_entry(
    desk: Desk, undisturbed: list[tuple[str, dt.date]]
) -> None:
    number = desk.until_held()
    changed = make_strategy("bollinger", {**PARAMS, "band_sessions": 60}).describe()
    desk.resources.parameters.set("bollinger", changed, reason="changed")
    with desk.resources.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM trading.entry_rules"))
    desk.trade(("rsi",))

    mine = [order for order in desk.go_on(number) if order.strategy == "bollinger_vix"]

    assert exits_of(mine)[: len(undisturbed)] == undisturbed


def test_a_position_that_a_person_took_is_left_by_nothing_until_it_is_handed_on(desk: Desk) -> None:
    number = desk.until_held()
    positions = desk.resources.ledger.positions("main")
    for position in positions:
        hand_over("bollinger", position.symbol, person="Ada", reason="will sell it by hand", resources=desk.resources)

    orders = desk.go_on(number)

    held = {position.symbol for position in positions}
    assert [order for order in orders if order.symbol in held and order.strategy == "bollinger_vix"] == []
    (shown,) = status.check_services(["positions"], resources=desk.resources)
    assert (shown.healthy, "by a person" in shown.detail) == (True, True)


def test_a_position_is_left_by_the_rule_it_was_handed_to(desk: Desk) -> None:
    number = desk.until_held()
    (position, *_) = desk.resources.ledger.positions("main")
    given = hand_over(
        "bollinger_vix", position.symbol, to="rsi", reason="rsi leaves sooner", author="ada", resources=desk.resources
    )
    assert (given.source, given.params) == ("rsi", make_strategy("rsi").describe())

    for day in SESSIONS[number:]:
        desk.evening(day)
        row = desk.resources.ledger.signals(day, "bollinger_vix").set_index("symbol").loc[position.symbol]
        if not [each for each in desk.resources.ledger.positions("main") if each.entry_order_id == position.entry_order_id]:
            break
        bars = desk.resources.bars.read([position.symbol], end=day).assign(vix=20.0).reset_index(drop=True)
        expected = make_strategy("rsi").signals(bars).iloc[-1]
        assert (row["exit_long"], row["exit_short"]) == (expected["exit_long"], expected["exit_short"])
        decided = [order.entry_order_id for order, _ in desk.resources.ledger.orders_decided("main", day)]
        if expected["exit_long" if position.quantity > 0 else "exit_short"]:
            assert position.entry_order_id in decided


def test_the_day_after_a_hand_over_of_a_listed_strategy_has_parity(desk: Desk) -> None:
    number = desk.until_held()
    (position, *_) = desk.resources.ledger.positions("main")
    hand_over("bollinger_vix", position.symbol, to="rsi", reason="test", resources=desk.resources)
    with desk.resources.engine.begin() as connection:  # the evenings here were long ago
        connection.execute(sa.text("UPDATE trading.hand_overs SET created_at = '2018-01-01'"))

    for day in SESSIONS[number:]:
        desk.evening(day)
        measured = parity_day.record_day(day.isoformat(), resources=desk.resources)
        assert measured.differences == (), day


def test_the_verb_hands_over_and_the_record_says_who_and_why(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.until_held()
    (position, *_) = desk.resources.ledger.positions("main")
    monkeypatch.setattr("pipeline.execution.hand_over.live", lambda: desk.resources)
    words = ["hand-over", "bollinger_vix", position.symbol, "--to", "rsi", "--reason", "retired", "--author", "ada"]

    result = CliRunner().invoke(app.cli, words, catch_exceptions=False)

    assert result.exit_code == 0, result.output
    assert f"{position.symbol} of bollinger_vix is left by the exits of rsi from now on." in result.output
    given = desk.resources.position_rules.hand_overs([position.entry_order_id])[position.entry_order_id]
    assert (given.source, given.author, given.reason) == ("rsi", "ada", "retired")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"to": "rsi", "person": "Ada"}, "both"),
        ({}, "neither"),
        ({"person": "Ada", "reason": " "}, "reason"),
        ({"to": "rsy"}, "Did you mean 'rsi'"),
        ({"to": "rsi", "symbol": "ZZZ"}, "expected a position that is held"),
    ],
)
def test_a_hand_over_that_is_not_clear_is_refused(desk: Desk, values: dict[str, str], words: str) -> None:
    desk.until_held()
    (position, *_) = desk.resources.ledger.positions("main")
    given = {"strategy": "bollinger", "symbol": position.symbol, "reason": "test"} | values

    with pytest.raises(ConfigError, match=words):
        hand_over(given.pop("strategy"), given.pop("symbol"), **given, resources=desk.resources)  # type: ignore[arg-type]

    assert desk.resources.position_rules.hand_overs([position.entry_order_id]) == {}


def test_an_exit_that_was_written_and_not_sent_goes_out_beside_the_orders_that_stand(desk: Desk) -> None:
    """A crash between the two: the listed strategies' orders stand, and the removed one's exit is not dropped."""
    number = desk.until_held()
    desk.trade(("rsi",))
    leaving = next(order for order in desk.go_on(number, stop_at_exit=True) if order.leg is Leg.EXIT)

    daily_trade.place(leaving.decision_session.isoformat(), resources=desk.resources)

    found = desk.resources.ledger.order(leaving.client_order_id)
    assert found is not None
    assert found[1] is OrderState.ACCEPTED
