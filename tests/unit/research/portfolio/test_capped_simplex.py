"""The projection against two independent oracles, and its promises to the last bit."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from core.errors import ConfigError, DataError
from research.portfolio.capped_simplex import capped_simplex
from tests.properties import examples

Problem = tuple[list[float], list[float], list[float], float]


@st.composite
def problems(draw: st.DrawFn, most: int = 8, reach: float = 1e6) -> Problem:
    """Weights of any sign, bounds of zero or more of their own for each element, and a sum that they can reach."""
    n = draw(st.integers(1, most))
    money = st.floats(0, reach)
    weights = draw(st.lists(st.floats(-reach, reach), min_size=n, max_size=n))
    low = draw(st.lists(money, min_size=n, max_size=n))
    high = [start + more for start, more in zip(low, draw(st.lists(money, min_size=n, max_size=n)), strict=True)]
    least, most_usd = math.fsum(low), math.fsum(high)
    total = min(max(least + draw(st.floats(0, 1)) * (most_usd - least), least), most_usd)
    return weights, low, high, total


def nearest_by_brute_force(weights: list[float], low: list[float], high: list[float], total: float) -> list[float]:
    """Try every set of elements at a bound; the free ones share what is left equally beside their weights (Lagrange)."""
    w, lows, highs = (np.array(values) for values in (weights, low, high))
    best, best_distance = None, math.inf
    for where in itertools.product((-1, 0, 1), repeat=len(w)):
        at = np.array(where)
        x = np.where(at < 0, lows, highs)
        free = at == 0
        if free.any():
            x[free] = w[free] + (total - x[~free].sum() - w[free].sum()) / free.sum()
        slack = 1e-9 * max(1.0, total)
        inside = np.all((lows - slack <= x) & (x <= highs + slack)) and abs(x.sum() - total) <= slack
        distance = float(((x - w) ** 2).sum())
        if inside and distance < best_distance:
            best, best_distance = x, distance
    assert best is not None
    return [float(value) for value in best]


@settings(max_examples=examples(500), deadline=None)
@given(problems())
def test_bounds_and_sum_hold_exactly(problem: Problem) -> None:
    weights, low, high, total = problem

    x = capped_simplex(weights, low, high, total)

    assert all(start <= value <= end for start, value, end in zip(low, x, high, strict=True))
    assert abs(math.fsum(x) - total) <= math.ulp(total)
    if all(end - start > 1e-9 * end for start, end in zip(low, high, strict=True)):
        assert math.fsum(x) == total


def test_without_room_the_last_digit_of_a_sum_can_be_out_of_reach() -> None:
    total = 0.8244581673819787  # 0.3 has two binary digits more than this: no double is what is missing

    x = capped_simplex([0.0, 0.0], [0.3, 0.0], [0.3, 2.0], total)

    assert all(math.fsum([0.3, near]) != total for near in (x[1], math.nextafter(x[1], 0), math.nextafter(x[1], 1)))
    assert abs(math.fsum(x) - total) == math.ulp(total)


@settings(max_examples=examples(300), deadline=None)
@given(problems(most=5, reach=100))
def test_the_point_is_the_nearest_that_brute_force_finds(problem: Problem) -> None:
    weights, low, high, total = problem

    assert capped_simplex(*problem) == pytest.approx(nearest_by_brute_force(weights, low, high, total), abs=1e-6)


@settings(max_examples=examples(60), deadline=None)
@given(problems(most=6, reach=1))
def test_the_point_is_the_nearest_that_scipy_finds(problem: Problem) -> None:
    weights, low, high, total = problem
    assume(math.fsum(high) - math.fsum(low) > 1e-3)  # SLSQP needs room to move
    w = np.array(weights)
    found = minimize(
        lambda x: ((x - w) ** 2).sum(),
        np.array(low) + (np.array(high) - np.array(low)) * (total - sum(low)) / (sum(high) - sum(low)),
        jac=lambda x: 2 * (x - w),
        bounds=list(zip(low, high, strict=True)),
        constraints={"type": "eq", "fun": lambda x: x.sum() - total, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assume(found.success)

    ours = capped_simplex(weights, low, high, total)

    assert ((ours - w) ** 2).sum() <= found.fun + 1e-7
    assert ours == pytest.approx(found.x, abs=1e-3)


@settings(max_examples=examples(300), deadline=None)
@given(problems())
def test_projecting_twice_changes_nothing(problem: Problem) -> None:
    weights, low, high, total = problem
    once = capped_simplex(weights, low, high, total)

    again = capped_simplex(once, low, high, total)

    assert again == pytest.approx(once, rel=1e-15, abs=1e-15)
    if math.fsum(once) == total:
        assert again.tolist() == once.tolist()


@settings(max_examples=examples(300), deadline=None)
@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_the_elements_is_irrelevant(problem: Problem, random: object) -> None:
    weights, low, high, total = problem
    elements = list(zip(weights, low, high, strict=True))
    shuffled = elements.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    found = capped_simplex(weights, low, high, total)
    again = capped_simplex(*map(list, zip(*shuffled, strict=True)), total)

    # Elements that are the same in everything may change places.
    assert sorted(zip(shuffled, again, strict=True)) == sorted(zip(elements, found, strict=True))


@settings(deadline=None)
@given(problems(reach=1e3), st.floats(-1e3, 1e3))
def test_a_shift_of_all_weights_changes_nothing(problem: Problem, shift: float) -> None:
    weights, low, high, total = problem

    moved = capped_simplex([weight + shift for weight in weights], low, high, total)

    assert moved == pytest.approx(capped_simplex(weights, low, high, total), abs=1e-8)


@pytest.mark.parametrize(
    ("weights", "nearest"),
    [
        ([0.7, 0.2, 0.1], [0.4, 0.35, 0.25]),  # 0.7 meets 0.4 and 0.1 meets 0.25: 0.35 is left
        ([0.5, 0.3, 0.2], [0.4, 0.35, 0.25]),  # tau = -0.05
        ([1.0, 1.0, 1.0], [1 / 3, 1 / 3, 1 / 3]),
        ([-5.0, 1.0, 9.0], [0.25, 0.35, 0.4]),
        ([0.36, 0.34, 0.30], [0.36, 0.34, 0.30]),  # already there
    ],
)
def test_three_shares_of_250_to_400_of_1000(weights: list[float], nearest: list[float]) -> None:
    assert capped_simplex(weights, 0.25, 0.4).tolist() == pytest.approx(nearest)


def test_a_weight_out_of_all_proportion_does_not_wash_out_the_others() -> None:
    assert capped_simplex([1e300, -1e300, 0.0], 250, 400, 1000).tolist() == [400, 250, 350]
    assert capped_simplex([1e308, -1e308, -1e308], 250, 400, 1000).tolist() == [400, 300, 300]


def test_the_corners_are_met_exactly() -> None:
    assert capped_simplex([3.0, 1.0], 250, 400, 500).tolist() == [250, 250]
    assert capped_simplex([3.0, 1.0], 250, 400, 800).tolist() == [400, 400]
    assert capped_simplex([7.0], 0, 2, 1).tolist() == [1]


@pytest.mark.parametrize(
    ("low", "high", "total", "why"),
    [
        (0.4, 0.5, 1.0, "the least they sum to is 1.2 and the most 1.5; 1 is not between"),
        (0.1, 0.3, 1.0, "the least they sum to is 0.3 and the most 0.9; 1 is not between"),
        (0.5, 0.4, 1.0, "expected low <= high, found 0.5 > 0.4"),
        (0.0, math.inf, 1.0, "expected finite numbers"),
        (0.0, 1.0, math.nan, "expected finite numbers"),
    ],
)
def test_bounds_that_cannot_be_met_say_why(low: float, high: float, total: float, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        capped_simplex([1.0, 2.0, 3.0], low, high, total)


def test_nothing_cannot_be_shared() -> None:
    with pytest.raises(ConfigError, match="nothing to share among"):
        capped_simplex([], 0, 1)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_weight_that_is_no_number_is_refused(wrong: float) -> None:
    with pytest.raises(DataError, match="finite numbers"):
        capped_simplex([1.0, wrong], 0, 1)
