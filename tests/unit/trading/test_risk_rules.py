"""The rules of the director's profile, each by its smallest example: a stop, the loss at it, the day of a loss, correlation."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.orders import entry_order
from trading.risk import Limits
from trading.risk_manager import CORRELATION_WARNING, Review, RiskManager, RiskRules
from trading.risk_situation import Line, Situation

if TYPE_CHECKING:
    from core.models import OrderIntent

WIDE = Limits(max_position_pct=100.0, max_positions=100, max_exposure_pct=100.0)


def order(symbol: str = "AAA", quantity: float = 100.0, strategy: str = "bollinger", stop_pct: float = 2.0) -> OrderIntent:
    return entry_order(
        "main", strategy, symbol, decision_session=dt.date(2018, 12, 27), session=dt.date(2018, 12, 28),
        signed_quantity=quantity, stop_pct=stop_pct, target_pct=3.0, max_sessions=5,
    )  # fmt: skip


def review(rules: RiskRules, *orders: OrderIntent, lines: tuple[Line, ...] = (), **known: Any) -> Review:
    usual: dict[str, Any] = {
        "equity_usd": 100_000.0,
        "base_usd": 100_000.0,
        "prices": {"AAA": 100.0, "BBB": 100.0, "CCC": 100.0},
        "lines": lines,
    }
    return RiskManager(WIDE, rules).review(orders, Situation(**usual | known))


def kept(found: Review) -> list[float]:
    return [float(each.quantity) for each in found.orders]


def rules_of(found: Review) -> list[str]:
    return [each.rule for each in found.findings]


def test_an_entry_without_a_stop_is_refused_by_that_name_where_one_is_required() -> None:
    bare = order(stop_pct=math.nan)
    refused = review(RiskRules(stop_required=True), bare, order("BBB"))

    assert [each.symbol for each in refused.orders] == ["BBB"]
    assert [(each.rule, each.refused) for each in refused.findings] == [("no_stop", True)]
    assert review(RiskRules(), bare).orders == (bare,)


@pytest.mark.parametrize(
    ("stop_pct", "left"),
    [(2.0, 500.0), (10.0, 100.0), (40.0, 25.0)],  # 1 % of 100,000 over a stop of 2, 10 and 40 $ a share
)
def test_an_entry_is_cut_to_the_loss_it_may_make_at_its_stop(stop_pct: float, left: float) -> None:
    rules = RiskRules(max_loss_at_risk_pct=1.0)

    cut = review(rules, order(quantity=900.0, stop_pct=stop_pct))

    assert (kept(cut), rules_of(cut)) == ([left], ["loss_at_risk"])
    assert cut.findings[0].found == pytest.approx(900 * stop_pct / 1000)
    assert rules_of(review(rules, order(quantity=left, stop_pct=stop_pct))) == []
    assert kept(review(rules, order(quantity=-900.0, stop_pct=stop_pct))) == [left], "a short loses as much at its stop"


def test_a_loss_that_is_not_known_is_refused() -> None:
    found = review(RiskRules(max_loss_at_risk_pct=1.0), order(stop_pct=math.nan))
    assert (found.orders, rules_of(found), found.findings[0].details()["found"]) == ((), ["loss_at_risk"], None)


@given(
    price=st.floats(0.01, 100_000),
    stop_pct=st.floats(0.01, 99),
    equity=st.floats(1, 1e9),
    quantity=st.floats(0.001, 1e6).map(lambda value: round(value, 6)),
    limit=st.floats(0.01, 100),
    scale=st.none() | st.floats(100, 500),
)
def test_no_entry_loses_more_than_the_limit_at_its_stop(
    price: float, stop_pct: float, equity: float, quantity: float, limit: float, scale: float | None
) -> None:
    rules = RiskRules(max_loss_at_risk_pct=limit, scale_low_pct=scale)

    found = review(
        rules, order(quantity=quantity, stop_pct=stop_pct), equity_usd=equity, base_usd=equity, prices={"AAA": price}
    )

    for each in found.orders:
        assert float(each.quantity) * price * stop_pct / 100 <= equity * limit / 100 * (1 + 2e-9)
    if kept(found) != [quantity]:
        assert found.findings


@pytest.mark.parametrize(
    ("losses", "left"),
    [
        ({("rsi", "AAA"): 0}, []),  # another strategy's
        ({("bollinger", "AAA"): 0}, []),
        ({("rsi", "AAA"): 1, ("bollinger", "AAA"): 4}, [100.0]),
        ({("rsi", "BBB"): 0}, [100.0]),
        ({}, [100.0]),
    ],
)
def test_nobody_enters_a_symbol_again_on_the_day_of_a_loss(losses: dict[tuple[str, str], int], left: list[float]) -> None:
    found = review(RiskRules(rest_after_loss=True), order(), sessions_since_loss=losses)

    assert kept(found) == left
    assert rules_of(found) == ([] if left else ["loss_day"])
    assert kept(review(RiskRules(), order(), sessions_since_loss=losses)) == [100.0]


def test_a_correlated_entry_is_warned_of_and_goes_on() -> None:
    moves, noise = (np.random.default_rng(seed).normal(0, 0.01, 60) for seed in (0, 1))
    returns = pd.DataFrame({"AAA": moves, "BBB": moves, "CCC": noise})
    held, rules = (Line("rsi", "BBB", 5_000.0),), RiskRules(warn_correlation=0.7)

    warned = review(rules, order(), lines=held, returns=returns)

    assert kept(warned) == [100.0]
    assert [(each.rule, each.refused) for each in warned.findings] == [(CORRELATION_WARNING, False)]
    assert warned.findings[0].found == pytest.approx(1.0)
    for quiet in (order("CCC"), order(quantity=-100.0)):
        assert review(rules, quiet, lines=held, returns=returns).findings == ()
    assert review(rules, order(), returns=returns).findings == (), "nothing is held"
    unknown = review(rules, order(), lines=held)
    assert (kept(unknown), unknown.findings[0].found) == ([100.0], None)


def test_an_entry_that_is_refused_is_not_warned_of_as_well() -> None:
    moves = pd.DataFrame(dict.fromkeys(("AAA", "BBB"), np.random.default_rng(0).normal(0, 0.01, 60)))
    rules = RiskRules(warn_correlation=0.7, max_correlation=0.9)
    assert rules_of(review(rules, order(), lines=(Line("rsi", "BBB", 5_000.0),), returns=moves)) == ["correlation"]
    full = RiskRules(warn_correlation=0.7, max_symbol_pct=1.0)
    lines = (Line("rsi", "BBB", 5_000.0), Line("rsi", "AAA", 1_000.0))
    assert rules_of(review(full, order(), lines=lines, returns=moves)) == ["max_symbol"]


def test_in_one_evening_the_second_entry_is_held_against_the_first() -> None:
    moves = pd.DataFrame(dict.fromkeys(("AAA", "BBB"), np.random.default_rng(0).normal(0, 0.01, 60)))
    found = review(RiskRules(warn_correlation=0.7), order("AAA"), order("BBB"), returns=moves)
    assert (kept(found), [each.order.symbol for each in found.findings]) == ([100.0, 100.0], ["BBB"])
