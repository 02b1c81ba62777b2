"""Value at risk against numbers done by hand, scipy's quantiles and the covariance formula."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trading import var

ONE_TO_HUNDRED = np.arange(-50.0, 50.0)  # losses of 50, 49, ... on the worst days


def test_the_historical_figure_is_the_fifth_worst_of_a_hundred_days() -> None:
    assert var.historical_usd(ONE_TO_HUNDRED) == 46.0


def test_the_historical_figure_does_not_depend_on_the_order_of_days() -> None:
    assert var.historical_usd(np.random.default_rng(1).permutation(ONE_TO_HUNDRED)) == 46.0


def test_the_parametric_figure_by_hand() -> None:
    made = np.array([10.0, -10.0] * 10)  # mean 0, sample variance 2000 / 19
    assert var.parametric_usd(made) == pytest.approx(1.6448536269514722 * (2000 / 19) ** 0.5, rel=1e-12)


def test_under_twenty_sessions_both_are_undefined() -> None:
    assert var.historical_usd(ONE_TO_HUNDRED[:19]) is None
    assert var.parametric_usd(ONE_TO_HUNDRED[:19]) is None


def test_a_window_of_gains_alone_gives_a_negative_loss() -> None:
    assert var.historical_usd(np.linspace(1.0, 2.0, 40)) == pytest.approx(-(1 + 1 / 39))


@given(st.lists(st.floats(-1e6, 1e6), min_size=20, max_size=400), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_historical_figure_is_scipys_empirical_quantile(made: list[float], confidence: float) -> None:
    share = 1 - confidence - 1e-12  # a rank that is whole stays whole in floats
    expected = -stats.quantile(np.array(made), share, method="inverted_cdf")
    assert var.historical_usd(np.array(made), confidence) == pytest.approx(float(expected), abs=0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=20, max_size=400), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_parametric_figure_is_scipys_normal_quantile(made: list[float], confidence: float) -> None:
    expected = stats.norm.ppf(confidence) * stats.tstd(made) - np.mean(made)
    assert var.parametric_usd(np.array(made), confidence) == pytest.approx(float(expected), rel=1e-9, abs=1e-6)


def test_of_a_portfolio_it_is_the_covariance_formula() -> None:
    rng = np.random.default_rng(3)
    returns = pd.DataFrame(rng.multivariate_normal([0, 0], [[1e-4, 5e-5], [5e-5, 4e-4]], 500), columns=["A", "B"])
    exposures = {"A": 60_000.0, "B": -20_000.0}
    weights = np.array([60_000.0, -20_000.0])

    made = var.pnl(returns, exposures)

    mean = float(weights @ returns.mean().to_numpy())
    deviation = float(np.sqrt(weights @ np.cov(returns.to_numpy().T) @ weights))
    assert var.parametric_usd(made) == pytest.approx(stats.norm.ppf(0.95) * deviation - mean, rel=1e-12)


def test_a_hedge_is_worth_less_than_its_parts() -> None:
    rng = np.random.default_rng(4)
    moves = rng.normal(0, 0.01, 250)
    returns = pd.DataFrame({"A": moves, "B": moves})
    hedged = var.historical_usd(var.pnl(returns, {"A": 1000.0, "B": -1000.0}))
    assert hedged == pytest.approx(0.0, abs=1e-12)  # some processors round products before they add them, others do not


def test_sessions_in_which_a_symbol_held_has_no_return_are_left_out() -> None:
    returns = pd.DataFrame({"A": [0.1, 0.2, np.nan], "B": [np.nan, 0.1, 0.1], "C": [np.nan] * 3})
    assert var.pnl(returns, {"A": 10.0, "B": 100.0}).tolist() == [12.0]
