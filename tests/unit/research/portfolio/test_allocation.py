"""Capital shared among sleeves: weights by hand, bounds and sums exact, and what the portfolio would have done."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, DataError
from research.portfolio.allocation import Method, allocate_capital, deepest_fall, held
from tests.properties import examples

METHODS = get_args(Method)


def alternating(**spreads: float) -> pd.DataFrame:
    """Returns that go up and down by as much: their sample standard deviation is `spread * sqrt(4 / 3)` of four."""
    return pd.DataFrame({name: [spread, -spread, spread, -spread] for name, spread in spreads.items()})


def profits(**values: float | None) -> pd.Series:
    return pd.Series(values, dtype=np.float64)


# --- weights ---


def test_weight_is_profit_for_each_unit_of_volatility() -> None:
    # 0.02/0.02 : 0.03/0.02 : 0.01/0.02 = 1 : 1.5 : 0.5, so thirds of 1000 are 333, 500, 167.
    result = allocate_capital(alternating(a=0.02, b=0.02, c=0.02), profits(a=0.02, b=0.03, c=0.01), low_usd=0, high_usd=1000)

    assert result.usd.to_dict() == pytest.approx({"b": 500, "a": 1000 / 3, "c": 500 / 3})
    assert result.weights.to_dict() == pytest.approx({"b": 0.5, "a": 1 / 3, "c": 1 / 6})
    assert result.usd.index.tolist() == ["b", "a", "c"]  # best profit first
    assert (result.cash_usd, result.message) == (0, "")


def test_the_bounds_move_the_shares_to_the_nearest_that_fit() -> None:
    # As above 500, 333, 167; 500 falls to 400 and 167 rises to 250, which leaves 350.
    result = allocate_capital(alternating(a=0.02, b=0.02, c=0.02), profits(a=0.02, b=0.03, c=0.01))

    assert result.usd.to_dict() == pytest.approx({"b": 400, "a": 350, "c": 250})


def test_inverse_volatility_and_equal_ignore_the_profit() -> None:
    returns, profit = alternating(calm=0.01, wild=0.03), profits(calm=0.001, wild=0.05)

    calm = allocate_capital(returns, profit, method="inverse_volatility", low_usd=0, high_usd=1000)
    equal = allocate_capital(returns, profit, method="equal", low_usd=0, high_usd=1000)

    assert calm.usd.to_dict() == pytest.approx({"wild": 250, "calm": 750})
    assert equal.usd.to_dict() == {"wild": 500, "calm": 500}


def test_the_best_three_are_held_and_the_others_named() -> None:
    result = allocate_capital(alternating(a=0.01, b=0.01, c=0.01, d=0.01), profits(a=0.04, b=0.01, c=0.03, d=0.02))

    assert result.usd.index.tolist() == ["a", "c", "d"]
    assert result.message == "Left out, as at most 3 are held: b."


def test_what_the_upper_bounds_leave_stays_cash() -> None:
    result = allocate_capital(alternating(a=0.01, b=0.01), profits(a=0.01, b=0.02))

    assert result.usd.to_dict() == {"b": 400, "a": 400}
    assert result.cash_usd == 200
    assert result.message == "2 sleeves of at most 400.00 USD: 200.00 of 1,000.00 USD stay cash."


def test_what_cannot_be_weighed_is_left_out_and_named() -> None:
    returns = alternating(good=0.01, loser=0.01, flat=0.0, unknown=0.01)
    profit = profits(good=0.02, loser=-0.01, flat=0.01, unknown=None)

    by_profit = allocate_capital(returns, profit)
    by_volatility = allocate_capital(returns, profit, method="inverse_volatility")
    equal = allocate_capital(returns, profit, method="equal", at_most=4)

    assert by_profit.usd.to_dict() == {"good": 400}
    assert "Left out, without volatility (never moved, or under two returns): flat." in by_profit.message
    assert "Left out, with no profit a trade: loser (-1.00%), unknown (undefined)." in by_profit.message
    assert by_volatility.usd.index.tolist() == ["good", "loser", "unknown"]
    assert "Held, since inverse_volatility asks for no profit, with no profit a trade: loser" in by_volatility.message
    assert equal.usd.index.tolist() == ["good", "flat", "loser", "unknown"]


def test_when_nothing_can_be_weighed_it_says_why() -> None:
    with pytest.raises(ConfigError, match=r"found none of 2. Left out, with no profit a trade: b \(0.00%\), a \(-1.00%\)"):
        allocate_capital(alternating(a=0.01, b=0.01), profits(a=-0.01, b=0.0))


# --- invariants ---


@settings(max_examples=examples(200), deadline=None)
@given(
    st.lists(st.tuples(st.floats(1e-4, 0.5), st.floats(1e-4, 0.2)), min_size=1, max_size=6),
    st.sampled_from(METHODS),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_bounds_and_sum_hold_exactly_and_order_is_irrelevant(
    sleeves: list[tuple[float, float]], method: Method, at_most: int, random: object
) -> None:
    spreads = {f"s{i}": spread for i, (_, spread) in enumerate(sleeves)}
    profit = pd.Series({f"s{i}": gain for i, (gain, _) in enumerate(sleeves)})
    returns = alternating(**spreads)
    order = list(spreads)
    random.shuffle(order)  # type: ignore[attr-defined]

    result = allocate_capital(returns, profit, method=method, at_most=at_most)
    shuffled = allocate_capital(returns[order], profit[order[::-1]], method=method, at_most=at_most)

    assert ((result.usd >= 250) & (result.usd <= 400)).all()
    assert math.fsum([*result.usd, result.cash_usd]) == 1000
    assert len(result.usd) == min(at_most, len(sleeves), 4)
    pd.testing.assert_series_equal(result.usd, shuffled.usd, check_exact=True)
    assert (result.sharpe, result.max_drawdown) == (shuffled.sharpe, shuffled.max_drawdown)


@pytest.mark.parametrize("method", METHODS)
def test_capital_and_bounds_in_other_units_give_the_same_weights(method: Method) -> None:
    returns, profit = alternating(a=0.013, b=0.021, c=0.034), profits(a=0.011, b=0.017, c=0.023)

    small = allocate_capital(returns, profit, method=method)
    large = allocate_capital(returns, profit, method=method, capital_usd=1e6, low_usd=250_000, high_usd=400_000)

    assert large.weights.to_numpy() == pytest.approx(small.weights.to_numpy())


# --- what cannot be ---


def test_a_lower_bound_that_capital_cannot_pay_says_what_would_fit() -> None:
    returns, profit = alternating(a=0.01, b=0.01, c=0.01), profits(a=0.1, b=0.1, c=0.1)

    with pytest.raises(
        ConfigError, match=r"3 sleeves of at least 350.00 USD need 1,050.00 USD; the capital is 1,000.00."
    ) as few:
        allocate_capital(returns, profit, low_usd=350)
    assert str(few.value).endswith("Lower low_usd to 333.33 or less, or at_most to 2.")

    with pytest.raises(ConfigError, match=r"Lower low_usd to 100.00 or less\.$"):
        allocate_capital(returns[["a"]], profit[["a"]], capital_usd=100)


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"method": "kelly"}, "method: expected one of risk_parity_profit_weighted, inverse_volatility, equal; found 'kelly'"),
        ({"capital_usd": 0.0}, "capital_usd: expected above 0, found 0"),
        ({"capital_usd": math.nan}, "capital_usd: expected above 0, found nan"),
        ({"low_usd": 500.0}, "expected 0 <= low <= high with high above 0, found 500.0 and 400.0"),
        ({"low_usd": -1.0}, "expected 0 <= low <= high"),
        ({"low_usd": 0.0, "high_usd": 0.0}, "with high above 0"),
        ({"at_most": 0}, "at_most: expected 1 or more, found 0"),
    ],
)
def test_terms_that_make_no_sense_are_refused(terms: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        allocate_capital(alternating(a=0.01), profits(a=0.01), **terms)  # type: ignore[arg-type]


def test_a_sleeve_without_returns_suggests_the_nearest() -> None:
    with pytest.raises(DataError, match=r"found none of 'rsi@SPX'. Did you mean rsi@SPY\?"):
        allocate_capital(alternating(**{"rsi@SPY": 0.01}), profits(**{"rsi@SPX": 0.01}))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0, -2.0])
def test_returns_that_no_account_can_have_are_refused(wrong: float) -> None:
    with pytest.raises(DataError, match="Returns of a: expected fractions above -1"):
        allocate_capital(pd.DataFrame({"a": [0.1, wrong]}), profits(a=0.01))


def test_a_label_given_twice_is_refused() -> None:
    with pytest.raises(DataError, match="each label once, found a twice"):
        allocate_capital(alternating(a=0.01), pd.Series([0.1, 0.2], index=["a", "a"]))


# --- what the portfolio would have done ---


def test_sleeves_are_separate_accounts_and_cash_earns_nothing() -> None:
    returns = pd.DataFrame({"a": [0.1, 0.1], "b": [-0.5, 1.0]})

    path = held(returns, pd.Series({"a": 400.0, "b": 400.0}), cash_usd=200)

    # a: 400, 440, 484. b: 400, 200, 400. Rebalanced to halves it would have been otherwise.
    assert path.tolist() == pytest.approx([1000, 840, 1084])


def test_the_figures_of_a_portfolio_are_those_by_hand() -> None:
    returns = pd.DataFrame({"a": [0.1, -0.1], "b": [0.0, 0.0]})

    result = allocate_capital(returns, profits(a=0.02, b=0.01), method="equal", low_usd=0, high_usd=500, sessions_a_year=2)

    # 1000, 1050, 995: returns of 5 % and -5.238 %.
    one, two = 0.05, 995 / 1050 - 1
    spread = abs(one - two) / math.sqrt(2)
    assert result.expected_return == pytest.approx(-0.005)  # two sessions are the year
    assert result.volatility == pytest.approx(spread * math.sqrt(2))
    assert result.sharpe == pytest.approx((one + two) / 2 / spread * math.sqrt(2))
    assert result.max_drawdown == pytest.approx(two)


def test_the_first_fall_counts_from_the_starting_capital() -> None:
    assert deepest_fall(pd.Series([100.0, 80.0, 90.0])) == pytest.approx(-0.2)
    assert deepest_fall(pd.Series([100.0, 101.0])) == 0


def test_figures_that_are_not_defined_are_none() -> None:
    flat = allocate_capital(alternating(a=0.0), profits(a=0.01), method="equal")
    nothing = allocate_capital(alternating(a=0.0).iloc[:0], profits(a=0.01), method="equal")
    single = allocate_capital(alternating(a=0.1).iloc[:1], profits(a=0.01), method="equal")

    assert (flat.expected_return, flat.volatility, flat.sharpe, flat.max_drawdown) == (0, None, None, 0)
    assert (nothing.expected_return, nothing.volatility, nothing.sharpe, nothing.max_drawdown) == (None, None, None, None)
    assert (single.volatility, single.sharpe) == (None, None)
