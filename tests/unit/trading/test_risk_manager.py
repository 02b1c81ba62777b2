"""Every rule of the risk manager at its limit, with numbers a person can check; and no sequence of orders breaks one."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from core.models import MOST_USD, Leg, OrderIntent, Position
from trading.orders import entry_order, exit_order
from trading.risk import Limits, allocate
from trading.risk_manager import RiskManager, RiskRules
from trading.risk_situation import Line, Situation, lines_of

DAY, NEXT = dt.date(2018, 12, 27), dt.date(2018, 12, 28)
WIDE = Limits(max_position_pct=100.0, max_positions=100, max_exposure_pct=100.0)
PRICES = dict.fromkeys(("AAA", "BBB", "CCC", "DDD"), 100.0)


def order(symbol: str = "AAA", quantity: float = 100.0, strategy: str = "bollinger") -> OrderIntent:
    return entry_order(
        "main",
        strategy,
        symbol,
        decision_session=DAY,
        session=NEXT,
        signed_quantity=quantity,
        stop_pct=2.0,
        target_pct=3.0,
        max_sessions=5,
    )


def situation(*lines: Line, **known: Any) -> Situation:
    usual: dict[str, Any] = {"equity_usd": 100_000.0, "base_usd": 100_000.0, "prices": PRICES, "lines": lines}
    return Situation(**(usual | known))


def judged(rules: RiskRules, found: Situation, *orders: OrderIntent, limits: Limits = WIDE) -> tuple[list[float], list[str]]:
    """Quantities that go on, and the rules that spoke."""
    review = RiskManager(limits, rules).review(orders, found)
    return [float(kept.quantity) for kept in review.orders], [finding.rule for finding in review.findings]


def test_without_rules_an_order_within_the_limits_goes_on_untouched() -> None:
    asked = order()
    review = RiskManager(WIDE).review([asked], situation())
    assert review.orders == (asked,)
    assert review.findings == ()


@pytest.mark.parametrize(
    ("limits", "lines", "left", "rule"),
    [
        (Limits(max_position_pct=8.0), (), [80.0], "max_position"),
        (Limits(max_exposure_pct=50.0), (Line("bollinger", "BBB", -45_000.0),), [50.0], "max_exposure"),
        (Limits(max_exposure_pct=50.0), (Line("bollinger", "BBB", 55_000.0),), [], "max_exposure"),
        (Limits(max_positions=1), (Line("bollinger", "BBB", 1.0),), [], "max_positions"),
    ],
)
def test_the_shared_limits_are_held_once_more(limits: Limits, lines: tuple[Line, ...], left: list[float], rule: str) -> None:
    assert judged(RiskRules(), situation(*lines), order(), limits=limits) == (left, [rule])


@pytest.mark.parametrize(
    ("rules", "lines", "asked", "left", "rule"),
    [
        (RiskRules(max_symbol_pct=15.0), (Line("rsi", "AAA", 8_000.0),), order(), [70.0], "max_symbol"),
        (RiskRules(max_symbol_pct=15.0), (Line("rsi", "AAA", -15_000.0),), order(), [], "max_symbol"),
        (RiskRules(max_net_pct=20.0), (Line("rsi", "BBB", 15_000.0),), order(), [50.0], "max_net"),
        (RiskRules(max_net_pct=20.0), (Line("rsi", "BBB", -15_000.0),), order(quantity=-100.0), [50.0], "max_net"),
    ],
)
def test_a_size_over_its_cap_is_cut_to_what_is_left(
    rules: RiskRules, lines: tuple[Line, ...], asked: OrderIntent, left: list[float], rule: str
) -> None:
    assert judged(rules, situation(*lines), asked) == (left, [rule])


def test_shorts_make_room_for_longs_in_net_exposure() -> None:
    assert judged(RiskRules(max_net_pct=5.0), situation(Line("rsi", "BBB", -8_000.0)), order()) == ([100.0], [])


def test_one_strategy_enters_so_often_a_day_and_another_may_still() -> None:
    rules = RiskRules(max_entries_a_day=2)
    asked = [order("AAA"), order("BBB"), order("CCC", strategy="rsi")]
    found = situation(entries={"bollinger": 1})
    assert judged(rules, found, *asked) == ([100.0, 100.0], ["max_entries_a_day"])


def test_what_is_judged_first_takes_the_room() -> None:
    strength = {"AAA": 0.1, "BBB": 0.9}
    manager = RiskManager(WIDE, RiskRules(max_entries_a_day=1))
    review = manager.review([order("AAA"), order("BBB")], situation(), first=lambda each: strength[each.symbol])
    assert [kept.symbol for kept in review.orders] == ["BBB"]


@pytest.mark.parametrize(("since", "left"), [(0, []), (2, []), (3, [100.0]), (None, [100.0])])
def test_after_a_loss_the_strategy_leaves_the_symbol_alone(since: int | None, left: list[float]) -> None:
    losses = {} if since is None else {("bollinger", "AAA"): since}
    assert judged(RiskRules(cool_down_sessions=3), situation(sessions_since_loss=losses), order())[0] == left


def test_the_pause_is_that_strategys_and_that_symbols() -> None:
    found = situation(sessions_since_loss={("rsi", "AAA"): 0, ("bollinger", "BBB"): 0})
    assert judged(RiskRules(cool_down_sessions=3), found, order("AAA")) == ([100.0], [])


def test_a_symbol_that_moves_with_one_held_is_refused_and_its_hedge_is_not() -> None:
    moves = np.random.default_rng(0).normal(0, 0.01, 60)
    noise = np.random.default_rng(1).normal(0, 0.01, 60)
    found = situation(Line("rsi", "BBB", 5_000.0), returns=pd.DataFrame({"AAA": moves, "BBB": moves, "CCC": noise}))
    rules = RiskRules(max_correlation=0.7)

    review = RiskManager(WIDE, rules).review([order()], found)

    assert review.orders == ()
    assert review.findings[0].found == pytest.approx(1.0)
    assert judged(rules, found, order(quantity=-100.0)) == ([100.0], [])
    assert judged(rules, found, order("CCC")) == ([100.0], [])


def test_a_correlation_or_volume_that_nobody_knows_refuses() -> None:
    few = pd.DataFrame({"AAA": [0.1] * 19, "BBB": [0.2] * 19})
    held = Line("rsi", "BBB", 5_000.0)
    for found in (situation(held), situation(held, returns=few)):
        review = RiskManager(WIDE, RiskRules(max_correlation=0.7)).review([order()], found)
        assert review.orders == ()
        assert review.findings[0].details()["found"] is None
    assert judged(RiskRules(max_volume_pct=1.0), situation(), order()) == ([], ["liquidity"])
    assert judged(RiskRules(max_volume_pct=1.0), situation(volume={"AAA": 0.0}), order()) == ([], ["liquidity"])


def test_an_order_takes_its_share_of_the_average_volume_and_no_more() -> None:
    assert judged(RiskRules(max_volume_pct=1.0), situation(volume={"AAA": 6_000.0}), order()) == ([60.0], ["liquidity"])


@pytest.mark.parametrize(
    ("equity", "left"),
    [(100_000.0, 100.0), (150_000.0, 100.0), (200_000.0, 75.0), (60_000.0, 100.0), (40_000.0, 125.0)],
)
def test_sizes_compound_within_their_bounds(equity: float, left: float) -> None:
    rules = RiskRules(scale_low_pct=50.0, scale_high_pct=150.0)
    kept, said = judged(rules, situation(equity_usd=equity), order())
    assert kept == [left]
    assert said == ([] if left == 100.0 else ["scaling"])


def test_the_lower_bound_of_scaling_breaks_no_cap() -> None:
    rules, found = RiskRules(scale_low_pct=100.0), situation(equity_usd=50_000.0)
    assert judged(rules, found, order(quantity=200.0), limits=Limits(max_position_pct=40.0))[0] == [200.0]


def test_bounds_of_scaling_that_cross_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected low <= high"):
        RiskRules(scale_low_pct=150.0, scale_high_pct=50.0)


def test_each_rule_in_the_way_leaves_its_numbers() -> None:
    found = situation(Line("rsi", "AAA", 8_000.0), volume={"AAA": 6_000.0})
    review = RiskManager(WIDE, RiskRules(max_symbol_pct=15.0, max_volume_pct=1.0)).review([order()], found)

    assert [finding.details() for finding in review.findings] == [
        {
            "rule": "max_symbol",
            "limit": 15.0,
            "found": 18.0,
            "unit": "% of equity",
            "asked": "100.0",
            "allowed": "60.0",
            "client_order_id": order().client_order_id,
        },
        {
            "rule": "liquidity",
            "limit": 1.0,
            "found": pytest.approx(100 / 60),
            "unit": "% of average volume",
            "asked": "100.0",
            "allowed": "60.0",
            "client_order_id": order().client_order_id,
        },
    ]


def test_exits_pass_whatever_the_limits() -> None:
    held = Position("main", "bollinger", "AAA", Decimal(10), DAY, Decimal(100), None, None, 5, "x")
    leaving = exit_order(held, decision_session=DAY, session=NEXT)
    review = RiskManager(Limits(max_positions=1)).review([leaving], situation(*[Line("a", "BBB", 99_000.0)] * 5))
    assert review.orders == (leaving,)


def test_lines_are_positions_and_entries_and_no_exits() -> None:
    held = Position("main", "bollinger", "AAA", Decimal(-10), DAY, Decimal(90), None, None, 5, "x")
    orders = [order("BBB", 5.0), exit_order(held, decision_session=DAY, session=NEXT)]
    assert lines_of([held], orders, PRICES) == (Line("bollinger", "AAA", -1000.0), Line("bollinger", "BBB", 500.0))


sizes = st.floats(0.001, 3000).map(lambda value: round(value, 6))
orders_in = st.lists(
    st.tuples(st.sampled_from(list(PRICES)), sizes, st.booleans(), st.sampled_from(["bollinger", "rsi"])), max_size=12
)
percent = st.none() | st.floats(0.5, 100)


@st.composite
def rule_sets(draw: st.DrawFn) -> RiskRules:
    low, high = sorted([draw(st.floats(1, 300)), draw(st.floats(1, 300))])
    bounded = draw(st.booleans())
    return RiskRules(
        max_symbol_pct=draw(percent),
        max_net_pct=draw(percent),
        max_entries_a_day=draw(st.none() | st.integers(1, 5)),
        max_volume_pct=draw(percent),
        max_loss_at_risk_pct=draw(percent),
        warn_correlation=draw(st.none() | st.floats(-1, 1)),
        scale_low_pct=low if bounded else None,
        scale_high_pct=high if bounded else None,
    )


@given(
    asked=orders_in,
    rules=rule_sets(),
    equity=st.floats(-1000, 1e6),
    positions=st.integers(1, 6),
    caps=st.tuples(st.floats(1, 100), st.floats(1, 100)),
    strength=st.lists(st.floats(0, 1), min_size=12, max_size=12),
)
def test_no_list_of_orders_breaks_a_limit(
    asked: list[tuple[str, float, bool, str]],
    rules: RiskRules,
    equity: float,
    positions: int,
    caps: tuple[float, float],
    strength: list[float],
) -> None:
    """Whatever is asked in whatever order, what goes on keeps to every cap, and each order cut or refused has its row."""
    limits = Limits(max_position_pct=caps[0], max_positions=positions, max_exposure_pct=caps[1])
    orders = [
        replace(order(symbol, size if long else -size, strategy), client_order_id=str(i))
        for i, (symbol, size, long, strategy) in enumerate(asked)
    ]
    found = situation(equity_usd=equity, volume=dict.fromkeys(PRICES, 5_000.0))

    review = RiskManager(limits, rules).review(orders, found, first=lambda each: strength[int(each.client_order_id)])

    after = found
    for kept in review.orders:
        after = after.after(kept)
        assert kept.quantity > 0
    slack = 1e-6 + max(equity, 0.0) * 1e-9
    room = max(equity, 0.0) / 100
    assert len(after.lines) <= positions
    assert after.gross_usd <= room * caps[1] + slack
    assert all(abs(line.usd) <= room * caps[0] + slack for line in after.lines)
    for symbol in PRICES:
        gross = sum(abs(line.usd) for line in after.lines if line.symbol == symbol)
        assert rules.max_symbol_pct is None or gross <= room * rules.max_symbol_pct + slack
    assert rules.max_net_pct is None or abs(after.net_usd) <= room * rules.max_net_pct + slack
    assert all(count <= (rules.max_entries_a_day or 99) for count in after.entries.values())
    most = 5_000.0 * (rules.max_volume_pct or 1e9) / 100
    assert all(float(kept.quantity) <= most * (1 + 1e-9) for kept in review.orders)
    assert all(
        float(kept.quantity) * PRICES[kept.symbol] * 0.02 <= room * (rules.max_loss_at_risk_pct or 1e9) + slack
        for kept in review.orders
    )
    going = {kept.client_order_id: kept.quantity for kept in review.orders}
    spoken = {finding.order.client_order_id for finding in review.findings}
    assert {each.client_order_id for each in orders if going.get(each.client_order_id) != each.quantity} <= spoken


@settings(deadline=None)  # the kernel compiles on first use
@given(
    entries=st.lists(st.tuples(st.sampled_from([1, -1]), st.floats(1, 500), st.floats(0.1, 20)), min_size=1, max_size=8),
    equity=st.floats(1_000, 1e6),
    used=st.floats(0, 1),
    held=st.integers(0, 3),
)
def test_what_the_shared_rule_allows_the_manager_never_touches(
    entries: list[tuple[int, float, float]], equity: float, used: float, held: int
) -> None:
    """The parity of the daily path and the backtest rests on this."""
    limits = Limits()
    side, price, stop = (np.array(column, dtype=float) for column in zip(*entries, strict=True))
    exposure = used * equity
    signed, _ = allocate(side, price, stop, np.zeros(len(side)), equity, exposure, held, equity, limits.terms())
    names = [f"S{i}" for i in range(len(side))]
    prices = dict(zip(names, price.tolist(), strict=True))
    orders = [order(name, float(shares)) for name, shares in zip(names, signed, strict=True) if shares]
    lines = tuple(Line("bollinger", f"H{i}", exposure / held) for i in range(held)) or (
        (Line("bollinger", "H", exposure),) if exposure else ()
    )
    if len(lines) != held:
        return

    review = RiskManager(limits).review(orders, Situation(equity, equity, prices, lines))

    assert review.orders == tuple(orders)
    assert review.findings == ()


@given(
    equity=st.one_of(
        st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1.0, MOST_USD, 1.7976931348623157e308]), st.floats(max_value=0)
    ),
    base=st.floats(1, 1e6),
    used=st.floats(-1e6, 1e6),
    low=st.none() | st.floats(1, 100),
    high=st.none() | st.floats(100, 500),
)
def test_on_an_equity_that_is_no_amount_exits_go_and_entries_do_not(
    equity: float, base: float, used: float, low: float | None, high: float | None
) -> None:
    leaving = replace(order(), client_order_id="leaving", leg=Leg.EXIT)
    rules = RiskRules(scale_low_pct=low, scale_high_pct=high)

    review = RiskManager(WIDE, rules).review(
        [order(), leaving], situation(Line("bollinger", "BBB", used), equity_usd=equity, base_usd=base)
    )

    assert review.orders == (leaving,)
    assert review.findings


@pytest.mark.parametrize("price", [math.nan, math.inf, 0.0, -1.0])
def test_at_a_price_that_is_none_nothing_is_entered(price: float) -> None:
    assert judged(RiskRules(), situation(prices=PRICES | {"AAA": price}), order()) == ([], ["unreadable_equity"])
