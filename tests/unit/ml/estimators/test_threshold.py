"""The threshold: a curve that a person can add up, and the choice on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.estimators.threshold import FEWEST, choose_threshold, growth_curve

if TYPE_CHECKING:
    import pandas as pd


def at(curve: pd.DataFrame, threshold: float) -> pd.Series[float]:
    return curve.loc[(curve["threshold"] - threshold).abs().idxmin()]


def test_growth_is_the_mean_log_return_of_what_is_accepted_over_all_candidates() -> None:
    curve = growth_curve(np.array([0.3, 0.6, 0.8, 0.4]), np.array([-0.02, 0.01, 0.03, -0.01]), np.ones(4), stake=0.5)

    assert at(curve, 0.0)["growth"] == pytest.approx(sum(math.log(1 + r / 2) for r in (-0.02, 0.01, 0.03, -0.01)) / 4)
    assert at(curve, 0.6)["growth"] == pytest.approx((math.log(1.005) + math.log(1.015)) / 4)
    assert at(curve, 0.605)["growth"] == pytest.approx(math.log(1.015) / 4)
    assert at(curve, 1.0).tolist() == [1.0, 0.0, 0.0]
    assert curve["accepted"].iloc[[0, 80, 120, 160]].tolist() == [4, 3, 2, 1]


def test_weights_weigh() -> None:
    curve = growth_curve(np.array([0.7, 0.7]), np.array([0.02, -0.01]), np.array([3.0, 1.0]), stake=1.0)

    assert at(curve, 0.5)["growth"] == pytest.approx((3 * math.log(1.02) + math.log(0.99)) / 4)


def test_the_highest_growth_is_chosen_and_nothing_where_none_grows() -> None:
    probability = np.repeat([0.2, 0.4, 0.6], 30)
    net_return = np.repeat([-0.01, 0.002, 0.01], 30)

    assert choose_threshold(growth_curve(probability, net_return, np.ones(90), 0.4)) == 0.205, "the lowest that refuses 0.2"
    assert choose_threshold(growth_curve(probability, -np.abs(net_return), np.ones(90), 0.4)) == 1.0


def test_a_few_lucky_trades_are_no_threshold() -> None:
    probability, net_return = np.repeat([0.4, 0.9], [40, FEWEST - 1]), np.repeat([-0.01, 0.05], [40, FEWEST - 1])

    assert choose_threshold(growth_curve(probability, net_return, np.ones(len(probability)), 0.1)) <= 0.4


def test_a_short_that_loses_more_than_all_is_ruin_and_no_error() -> None:
    curve = growth_curve(np.array([0.9]), np.array([-3.0]), np.ones(1), stake=1.0)

    assert at(curve, 0.5)["growth"] == pytest.approx(math.log(0.01))


@given(st.lists(st.tuples(st.floats(0, 0.999), st.floats(-0.5, 0.5)), min_size=1, max_size=60), st.floats(0.01, 1))
def test_the_curve_is_what_its_definition_says_at_every_threshold(rows: list[tuple[float, float]], stake: float) -> None:
    probability, net_return = (np.array(part) for part in zip(*rows, strict=True))

    curve = growth_curve(probability, net_return, np.ones(len(rows)), stake)

    for row in curve.itertuples():
        accepted = probability >= row.threshold
        assert row.accepted == accepted.sum()
        assert row.growth == pytest.approx(np.log1p(stake * net_return[accepted]).sum() / len(rows), abs=1e-12)
