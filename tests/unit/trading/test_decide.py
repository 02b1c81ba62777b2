"""The decision of one session, with numbers a person can check; no book of signals takes it over a limit."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DataError, StopTrading
from core.models import Leg, Origin, Position, Side
from trading.decide import Decisions, Holdings, decide
from trading.orders import entry_order, exit_order
from trading.risk import Limits

if TYPE_CHECKING:
    from core.models import OrderIntent
    from trading.strategies.base import Strategy

THURSDAY, FRIDAY, MONDAY = dt.date(2018, 12, 27), dt.date(2018, 12, 28), dt.date(2018, 12, 31)
CASH = 100_000.0
LIMITS = Limits(risk_per_trade_pct=0.25, max_position_pct=40.0, max_positions=3, max_exposure_pct=100.0)


@dataclass(frozen=True)
class Rule:
    """The part of a strategy that a decision reads."""

    name: str = "rsi"
    entry: str = "next_open"
    exit: str = "next_open"
    max_sessions: int | None = 5


def row(symbol: str, entry: int = 1, strategy: str = "rsi", **values: Any) -> dict[str, Any]:
    usual = {
        "strategy": strategy, "symbol": symbol, "session": pd.Timestamp(THURSDAY), "entry": entry, "exit_long": False,
        "exit_short": False, "strength": 1.0, "stop_pct": 2.0, "target_pct": 4.0, "open": 100.0, "close": 100.0,
    }  # fmt: skip
    return usual | values


def held(symbol: str, quantity: int = 10, entered: dt.date = THURSDAY, max_sessions: int | None = 5) -> Position:
    number = f"{symbol}-entry"
    return Position("main", "rsi", symbol, Decimal(quantity), entered, Decimal(100), None, None, max_sessions, number)


def ordered(symbol: str, decided: dt.date, quantity: float = 10.0, arm: str = "") -> OrderIntent:
    return entry_order(
        "main", "rsi", symbol, decision_session=decided, session=FRIDAY, signed_quantity=quantity, stop_pct=2.0,
        target_pct=4.0, max_sessions=5, arm=arm,
    )  # fmt: skip


def made(*rows: dict[str, Any], rules: tuple[Rule, ...] = (Rule(),), limits: Limits = LIMITS, **given: Any) -> Decisions:
    """Decide on Thursday with $100,000 and every price at $100, unless given."""
    options = {name: given.pop(name) for name in ("accept", "probability", "arms", "moment") if name in given}
    prices = {each["symbol"]: each["close"] for each in rows} | given.pop("prices", {})
    state = {"positions": [], "open_orders": [], "cash_usd": CASH} | given
    holdings = Holdings("main", prices=prices, **state)
    return decide(THURSDAY, pd.DataFrame(rows), cast("tuple[Strategy, ...]", rules), holdings, limits, **options)


def sizes(decisions: Decisions) -> dict[str, float]:
    return {order.symbol: float(order.quantity) for order in decisions.intents if order.leg is Leg.ENTRY}


def reasons(decisions: Decisions) -> dict[str, str]:
    return {refusal.symbol: refusal.reason for refusal in decisions.refusals}


def exits(decisions: Decisions) -> list[str]:
    return [order.symbol for order in decisions.intents if order.leg is Leg.EXIT]


def test_an_entry_risks_a_quarter_percent_of_equity_at_its_stop() -> None:
    (order,) = made(row("AAA")).intents

    assert (order.side, order.quantity) == (Side.BUY, 125), "$250 at risk over $2 a share"
    assert (order.decision_session, order.session) == (THURSDAY, FRIDAY)
    assert (order.stop_pct, order.target_pct, order.max_sessions, order.origin) == (2.0, 4.0, 5, Origin.SIGNAL)


def test_a_short_is_sold_in_the_size_of_a_long() -> None:
    (order,) = made(row("AAA", entry=-1)).intents

    assert (order.side, order.quantity) == (Side.SELL, 125)


@pytest.mark.parametrize("stop_pct", [0.1, math.nan], ids=["a tight stop", "no stop"])
def test_no_position_is_larger_than_its_share_of_equity(stop_pct: float) -> None:
    assert sizes(made(row("AAA", stop_pct=stop_pct))) == {"AAA": 400}, "40 % of $100,000"


def test_what_is_left_of_the_exposure_limit_sizes_the_last_entry_and_refuses_the_next() -> None:
    three = [row(symbol, stop_pct=0.1) for symbol in ("AAA", "BBB", "CCC", "DDD")]

    decisions = made(*three, limits=Limits(max_positions=9))

    assert sizes(decisions) == {"AAA": 400, "BBB": 400, "CCC": 200}, "40, 40 and the remaining 20 %"
    assert reasons(decisions) == {"DDD": "no_capital"}


def test_positions_and_entries_ordered_before_take_up_the_places() -> None:
    decisions = made(
        row("AAA"), row("BBB"),
        positions=[held("OLD")], open_orders=[ordered("NEW", THURSDAY - dt.timedelta(days=1))],
        prices={"OLD": 100.0, "NEW": 100.0},
    )  # fmt: skip

    assert sizes(decisions) == {"AAA": pytest.approx(125 * 1.01)}, "one place of three is free; equity is $101,000"
    assert reasons(decisions) == {"BBB": "max_positions"}


def test_a_position_that_leaves_at_the_next_open_still_takes_up_its_place() -> None:
    decisions = made(row("AAA"), row("OLD", entry=0, exit_long=True), positions=[held("OLD")], limits=Limits(max_positions=1))

    assert (exits(decisions), sizes(decisions), reasons(decisions)) == (["OLD"], {}, {"AAA": "max_positions"})


def test_an_exit_is_never_joined_by_an_entry_at_the_same_open() -> None:
    decisions = made(row("AAA", entry=1, exit_long=True), positions=[held("AAA")])

    assert (exits(decisions), sizes(decisions), reasons(decisions)) == (["AAA"], {}, {"AAA": "held"})


def test_each_strategy_may_hold_the_symbol_once() -> None:
    decisions = made(row("AAA"), row("AAA", strategy="gap"), rules=(Rule(), Rule("gap")), positions=[held("AAA")])

    assert [order.strategy for order in decisions.intents] == ["gap"]
    assert [(each.strategy, each.reason) for each in decisions.refusals] == [("rsi", "held")]


def test_the_time_limit_counts_the_entry_session_and_a_rule_exit_waits_for_no_limit() -> None:
    monday = dt.date(2018, 12, 24)  # a half day; Tuesday is a holiday: Monday, Wednesday, Thursday
    waits = made(row("AAA", entry=0), positions=[held("AAA", entered=monday, max_sessions=4)])
    leaves = made(row("AAA", entry=0), positions=[held("AAA", entered=monday, max_sessions=3)])

    assert (exits(waits), exits(leaves)) == ([], ["AAA"])
    assert [(order.side, order.quantity, order.session) for order in leaves.intents] == [(Side.SELL, 10, FRIDAY)]


def test_an_exit_at_the_close_is_for_the_session_itself() -> None:
    decisions = made(row("AAA", entry=0, exit_long=True), rules=(Rule(exit="close"),), positions=[held("AAA")])

    assert [order.session for order in decisions.intents] == [THURSDAY]


def test_a_short_leaves_by_its_own_rule() -> None:
    short = held("AAA", quantity=-10)

    assert exits(made(row("AAA", entry=0, exit_long=True), positions=[short])) == []
    assert exits(made(row("AAA", entry=0, exit_short=True), positions=[short])) == ["AAA"]


def test_no_bar_no_decision_and_an_exit_on_its_way_is_not_ordered_again() -> None:
    leaving = exit_order(held("AAA"), decision_session=dt.date(2018, 12, 26), session=THURSDAY)
    decisions = made(
        row("AAA", entry=0, exit_long=True),
        positions=[held("AAA"), held("GONE")],
        open_orders=[leaving],
        prices={"GONE": 100.0},
    )

    assert decisions == Decisions((), ())


def test_the_filter_refuses_by_name_what_it_rejects_and_what_it_has_no_answer_to() -> None:
    decisions = made(row("AAA"), row("BBB"), row("CCC"), accept={("rsi", "AAA"): True, ("rsi", "BBB"): False})

    assert sizes(decisions) == {"AAA": 125}
    assert reasons(decisions) == {"BBB": "filter", "CCC": "no_prediction"}


def test_the_most_probable_comes_first_and_one_without_a_probability_last() -> None:
    rows = [row("AAA", strength=9.0), row("BBB"), row("CCC")]
    probability = {("rsi", "BBB"): 0.6, ("rsi", "CCC"): 0.7}

    assert reasons(made(*rows, limits=Limits(max_positions=2), probability=probability)) == {"AAA": "max_positions"}
    assert reasons(made(*rows, limits=Limits(max_positions=1))) == {"BBB": "max_positions", "CCC": "max_positions"}, (
        "by strength"
    )


def test_intents_stand_in_the_order_of_strategy_and_symbol_behind_the_exits() -> None:
    decisions = made(row("CCC"), row("AAA", strength=0.1), row("OLD", entry=0, exit_long=True), positions=[held("OLD")])

    assert [order.symbol for order in decisions.intents] == ["OLD", "AAA", "CCC"]


def test_the_arm_of_an_ab_test_is_part_of_the_orders_id() -> None:
    (plain,), (armed,) = made(row("AAA")).intents, made(row("AAA"), arms={("rsi", "AAA"): "ab-3"}).intents

    assert (plain.arm, armed.arm) == ("", "ab-3")
    assert plain.client_order_id != armed.client_order_id
    assert made(row("AAA")).intents == (plain,), "the same decision has the same id"


def test_deciding_again_gives_the_same_answer_with_the_first_ones_orders_open() -> None:
    first = made(row("AAA"), row("BBB"))

    assert made(row("AAA"), row("BBB"), open_orders=list(first.intents)) == first


def test_a_drawdown_at_its_limit_enters_nothing() -> None:
    limits = Limits(max_drawdown_pct=5.0)

    assert reasons(made(row("AAA"), limits=limits, peak_usd=CASH / 0.95)) == {"AAA": "max_drawdown"}
    assert sizes(made(row("AAA"), limits=limits, peak_usd=CASH / 0.96)) == {"AAA": 125}


def test_strategies_that_enter_at_the_open_decide_then_and_at_the_opens_price() -> None:
    rows = [row("AAA", strategy="gap", open=50.0), row("BBB")]
    rules = (Rule(), Rule("gap", entry="open"))

    at_open, at_close = made(*rows, rules=rules, moment="open"), made(*rows, rules=rules)

    assert [(order.symbol, order.quantity, order.session) for order in at_open.intents] == [("AAA", 250, THURSDAY)]
    assert [order.symbol for order in at_close.intents] == ["BBB"]


def test_another_sessions_signals_a_later_position_and_a_missing_price_stop_the_decision() -> None:
    with pytest.raises(StopTrading, match="signals of another session"):
        made(row("AAA", session=pd.Timestamp(FRIDAY)))
    with pytest.raises(StopTrading, match="OLD was entered later"):
        made(row("AAA"), positions=[held("OLD", entered=FRIDAY)])
    with pytest.raises(DataError, match="No price for OLD"):
        made(row("AAA"), positions=[held("OLD")])


PRICE = st.floats(1.0, 500.0)
ROW = st.tuples(
    st.sampled_from([-1, 0, 1]), PRICE, st.floats(0.05, 20.0) | st.just(math.nan), st.floats(0, 1) | st.just(math.nan)
)


@given(
    rows=st.lists(ROW, min_size=1, max_size=8),
    positions=st.lists(st.tuples(st.integers(-50, 50).filter(bool), PRICE), max_size=4),
    limits=st.builds(
        Limits,
        risk_per_trade_pct=st.floats(0.05, 5.0),
        max_position_pct=st.floats(1.0, 100.0),
        max_positions=st.integers(1, 6),
        max_exposure_pct=st.floats(5.0, 100.0),
    ),
)
def test_no_decision_takes_exposure_positions_or_a_position_over_its_limit(
    rows: list[tuple[int, float, float, float]], positions: list[tuple[int, float]], limits: Limits
) -> None:
    signals = [
        row(f"S{i}", entry, close=close, stop_pct=stop, strength=strength)
        for i, (entry, close, stop, strength) in enumerate(rows)
    ]
    book = [held(f"H{i}", quantity) for i, (quantity, _) in enumerate(positions)]
    prices = {f"H{i}": price for i, (_, price) in enumerate(positions)}

    decisions = made(*signals, positions=book, prices=prices, limits=limits)

    equity = CASH + sum(quantity * price for quantity, price in positions)
    before = sum(abs(quantity) * price for quantity, price in positions)
    closes = {each["symbol"]: each["close"] for each in signals}
    notionals = [quantity * closes[symbol] for symbol, quantity in sizes(decisions).items()]
    slack = 1e-6 * equity
    assert len(book) + len(notionals) <= max(limits.max_positions, len(book))
    assert before + sum(notionals) <= max(before, equity * limits.max_exposure_pct / 100) + slack
    assert all(0 < notional <= equity * limits.max_position_pct / 100 + slack for notional in notionals)
    wanted = {each["symbol"] for each in signals if each["entry"]}
    assert sizes(decisions).keys() | reasons(decisions).keys() == wanted
    assert not sizes(decisions).keys() & reasons(decisions).keys()


NO_NUMBERS = (math.nan, math.inf, -math.inf, 1.7976931348623157e308)


@given(
    cash=st.sampled_from([CASH, *NO_NUMBERS, Decimal("NaN"), Decimal("Infinity")]),
    price=st.sampled_from([100.0, *NO_NUMBERS]),
    peak=st.sampled_from([None, CASH, *NO_NUMBERS]),
)
def test_without_a_readable_equity_exits_go_and_nothing_is_entered(cash: Any, price: float, peak: float | None) -> None:
    leaving = row("BBB", entry=0, exit_long=True)

    decisions = made(
        row("AAA"), leaving, positions=[held("BBB"), held("CCC")], cash_usd=cash, prices={"CCC": price}, peak_usd=peak
    )

    assert [order.symbol for order in decisions.intents if order.leg is Leg.EXIT] == ["BBB"]
    if cash != CASH or price != 100.0:
        assert (sizes(decisions), reasons(decisions)) == ({}, {"AAA": "unreadable_equity"})
    elif peak in {None, CASH}:
        assert sizes(decisions) == {"AAA": 127.5}  # 0.25 % of 102,000 over $2 a share
