"""Sign flips and resampled sessions against counts by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.samples.resampling import mean_interval, resample_weights, sign_flip
from tests.properties import examples


def test_few_blocks_are_flipped_in_every_way() -> None:
    gains = np.array([3.0, 1.0, 2.0, -1.0])[:, None]  # sum 5; of 16 patterns 7 and twice 5 reach it

    assert sign_flip(gains, 1, 2000, 7)[0] == pytest.approx(3 / 16)


def test_a_block_is_flipped_as_one() -> None:
    gains = np.array([3.0, -1.0, 2.0, 0.5])[:, None]

    assert sign_flip(gains, 2, 2000, 7)[0] == pytest.approx(1 / 4)


def test_a_challenger_that_never_differs_has_no_evidence() -> None:
    assert sign_flip(np.zeros((10, 1)), 2, 100, 7)[0] == 1.0


def test_many_experiments_at_once_are_judged_like_each_alone() -> None:
    gains = np.random.default_rng(1).normal(size=(5, 40, 2))

    together = sign_flip(gains, 3, 500, 7)

    np.testing.assert_allclose(together, [sign_flip(one, 3, 500, 7) for one in gains])


def test_the_best_of_two_is_held_against_the_better_of_two_flips() -> None:
    gains = np.array([[3.0, 1.0], [1.0, -2.0], [2.0, 1.0]])
    scaled = gains / np.sqrt((gains**2).sum(axis=0))
    draws = [max(np.array(signs) @ scaled) for signs in product([1, -1], repeat=3)]

    expected = [np.mean(np.array(draws) >= total - 1e-12) for total in scaled.sum(axis=0)]

    np.testing.assert_allclose(sign_flip(gains, 1, 2000, 7), expected)


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-6, 1e6), blocks=st.integers(2, 30))
def test_the_unit_of_the_gains_does_not_matter(seed: int, scale: float, blocks: int) -> None:
    gains = np.random.default_rng(seed).normal(size=(blocks, 1))

    np.testing.assert_allclose(sign_flip(gains * scale, 1, 300, 7), sign_flip(gains, 1, 300, 7))


def test_every_resample_has_as_many_sessions_as_there_are() -> None:
    weights = resample_weights(30, 3.0, 50, 7)

    assert weights.shape == (50, 30)
    np.testing.assert_array_equal(weights.sum(axis=1), 30)


def test_the_interval_of_a_constant_is_that_constant() -> None:
    low, high = mean_interval(np.full(30, 6.0), np.full(30, 3.0), resample_weights(30, 3.0, 50, 7), 0.95)

    assert (low, high) == pytest.approx((2.0, 2.0))


def test_the_interval_of_independent_sessions_is_the_textbook_one() -> None:
    sums = np.random.default_rng(4).normal(size=400)

    low, high = mean_interval(sums, np.ones(400), resample_weights(400, 1.0, 4000, 7), 0.95)

    error = sums.std(ddof=1) / 20
    assert (low, high) == pytest.approx((sums.mean() - 1.96 * error, sums.mean() + 1.96 * error), abs=0.15 * error)
