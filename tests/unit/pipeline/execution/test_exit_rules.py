"""The signals of positions that their own rules leave, beside those of the listed strategies."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from core.models import Leg, Position
from pipeline.execution.exit_rules import ExitRules, TimeLimitOnly
from pipeline.signals import signals_of
from tests.standins.feed import walk
from trading.decide import Decisions, Holdings, decide
from trading.risk import Limits
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from trading.decide import Key
    from trading.strategies.base import Strategy

DAY = dt.date(2018, 9, 4)
BARS = {name: walk(name, dt.date(2018, 6, 1), DAY, seed=3).assign(vix=20.0) for name in ("AAA", "BBB")}


@dataclass(frozen=True)
class Always:
    """Enters and leaves long positions at every close."""

    name: str = "always"
    entry: Any = "next_open"
    exit: Any = "next_open"
    max_sessions: int | None = None

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        return TimeLimitOnly(self.name).signals(bars).assign(entry=pd.array([1] * len(bars), "int8"), exit_long=True)

    def describe(self) -> dict[str, Any]:
        return {}


def listed(*strategies: Strategy) -> pd.DataFrame:
    rows = pd.concat([signals_of(strategies, bars) for bars in BARS.values()])
    return rows[rows["session"] == pd.Timestamp(DAY)].reset_index(drop=True)


def row(signals: pd.DataFrame, key: Key) -> dict[str, Any]:
    (found,) = signals[(signals["strategy"] == key[0]) & (signals["symbol"] == key[1])].to_dict("records")
    return found


def test_a_rule_that_is_not_listed_adds_the_row_of_its_position_alone() -> None:
    before = listed(make_strategy("rsi"))

    after = ExitRules({("always", "AAA"): Always()}).add_signals(before, DAY, BARS)

    assert len(after) == len(before) + 1
    assert row(after, ("always", "AAA"))["exit_long"]
    pd.testing.assert_frame_equal(after[after["strategy"] == "rsi"].reset_index(drop=True), before)


def test_a_listed_strategys_row_keeps_everything_but_its_exits() -> None:
    rsi = TimeLimitOnly("rsi")
    before = listed(rsi)

    after = ExitRules({("rsi", "AAA"): Always()}).add_signals(before, DAY, BARS)

    assert not row(before, ("rsi", "AAA"))["exit_long"]
    assert row(after, ("rsi", "AAA"))["exit_long"]
    assert (row(after, ("rsi", "AAA"))["entry"], row(after, ("rsi", "BBB"))["exit_long"]) == (0, False)


def test_another_rule_brings_no_entry_under_the_name_of_the_strategy_that_holds() -> None:
    after = ExitRules({("gone", "AAA"): Always()}).add_signals(pd.DataFrame(), DAY, BARS)

    assert (row(after, ("gone", "AAA"))["entry"], row(after, ("gone", "AAA"))["exit_long"]) == (0, True)


def test_without_a_bar_for_the_session_there_is_no_row_and_a_person_needs_none() -> None:
    rules = ExitRules({("gone", "ZZZ"): Always(), ("gone", "AAA"): None})

    assert rules.add_signals(pd.DataFrame(), DAY, BARS).empty
    assert rules.symbols == ["ZZZ"]
    assert ExitRules({("always", "AAA"): Always()}).add_signals(pd.DataFrame(), DAY + dt.timedelta(days=1), BARS).empty


def decided(rules: dict[Key, Strategy | None], *, max_sessions: int | None = None) -> Decisions:
    """Decide with rsi listed and one position of the strategy `always` in AAA."""
    held = Position(
        "main", "always", "AAA", Decimal(10), dt.date(2018, 8, 1), Decimal(100), None, None, max_sessions, "20180801-entry"
    )
    signals = ExitRules(rules).add_signals(listed(make_strategy("rsi")), DAY, BARS)
    prices = {name: float(bars["close"].iloc[-1]) for name, bars in BARS.items()}
    holdings = Holdings("main", [held], [], 100_000.0, prices, exit_rules=rules)
    return decide(DAY, signals, [make_strategy("rsi")], holdings, Limits())


def exits(decisions: Decisions) -> list[tuple[str, str]]:
    return [(order.strategy, order.symbol) for order in decisions.intents if order.leg is Leg.EXIT]


def test_a_position_is_left_by_its_rule_or_its_time_limit_and_by_nothing_once_a_person_has_it() -> None:
    key = ("always", "AAA")

    assert exits(decided({key: Always()})) == [key]
    assert exits(decided({key: TimeLimitOnly("always")})) == []
    assert exits(decided({key: TimeLimitOnly("always")}, max_sessions=3)) == [key]
    assert exits(decided({key: None}, max_sessions=3)) == []


def test_a_rule_that_is_not_listed_enters_nothing() -> None:
    decisions = decided({("always", "AAA"): Always(), ("always", "BBB"): Always()})

    assert [order for order in decisions.intents if order.strategy == "always" and order.leg is Leg.ENTRY] == []
    assert "always" not in {refusal.strategy for refusal in decisions.refusals}
