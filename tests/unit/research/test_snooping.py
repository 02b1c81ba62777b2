"""Hansen's test against the library that has it a resample at a time, and on noise and planted skill."""

from __future__ import annotations

import numpy as np
import pytest
from arch.bootstrap import SPA

from core.errors import ConfigError, DataError
from research.snooping import SpaResult, superior


def noise(periods: int, columns: int, *, seed: int = 1, drift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(drift, 0.01, (periods, columns))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("block", [1, 8])
def test_p_values_are_those_of_arch_on_the_same_resamples(seed: int, block: int) -> None:
    returns = noise(200, 12, seed=seed, drift=-0.0005)
    returns[1:] += 0.2 * returns[:-1]
    differences = -returns
    unscaled = SPA(np.zeros(200), differences, block_size=block, reps=10, seed=7)
    unscaled.compute()
    scale = np.sqrt(unscaled._loss_diff_var)  # the library studentises nothing but its threshold
    oracle = SPA(np.zeros(200), differences / scale, block_size=block, reps=300, seed=7)
    oracle.compute()

    found = superior(returns, resamples=300, block=block, seed=7)

    assert found is not None
    if (returns.mean(axis=0) > 0).any():
        expected = [(1 + round(300 * float(p))) / 301 for p in oracle.pvalues]
        assert [found.lower, found.consistent, found.upper] == pytest.approx(expected)
    assert found.best == int(np.argmax((returns / scale).mean(axis=0)))


def test_many_columns_are_worked_through_in_parts_with_the_same_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    returns = noise(100, 40)
    whole = superior(returns, resamples=100, block=2)
    monkeypatch.setattr("research.snooping.CHUNK", 500)

    assert superior(returns, resamples=100, block=2) == whole


def test_on_noise_one_in_ten_p_values_is_under_a_tenth() -> None:
    found = [superior(noise(250, 20, seed=seed), resamples=100) for seed in range(150)]
    values = np.array([each.consistent for each in found if each is not None])

    assert len(values) == 150
    assert np.mean(values <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(values <= 0.5) == pytest.approx(0.5, abs=0.12)


def test_planted_skill_among_many_is_found() -> None:
    returns = noise(1000, 50)
    returns[:, 31] += 0.002

    assert superior(returns) == SpaResult(1 / 1001, 1 / 1001, 1 / 1001, best=31)


def test_the_same_skill_is_none_against_a_benchmark_that_has_it_too() -> None:
    returns = noise(1000, 50, drift=0.002)
    benchmark = noise(1000, 1, seed=2, drift=0.002)[:, 0]
    alone, against = superior(returns), superior(returns, benchmark)

    assert alone is not None
    assert against is not None
    assert alone.consistent < 0.01
    assert against.consistent > 0.1


def test_when_nothing_beat_the_benchmark_the_p_value_is_one() -> None:
    found = superior(noise(200, 5, drift=-0.01))

    assert found is not None
    assert found[:3] == (1.0, 1.0, 1.0)


def test_hopeless_columns_hardly_raise_the_p_value_and_the_three_are_in_order() -> None:
    good = noise(500, 1, drift=0.0012)
    crowd = np.column_stack([good, noise(500, 100, seed=3, drift=-0.02)])
    alone, crowded = superior(good, block=1), superior(crowd, block=1)

    assert alone is not None
    assert crowded is not None
    assert crowded.lower <= crowded.consistent < crowded.upper
    assert crowded.consistent == alone.consistent


def test_nothing_to_compare_is_none() -> None:
    assert superior(np.zeros((100, 3))) is None
    assert superior(noise(19, 3)) is None
    assert superior(noise(20, 3)) is not None
    assert superior(np.tile(noise(100, 1), 2), noise(100, 1)[:, 0]) is None, "the benchmark itself"


def test_bad_input_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 or more periods, found 0"):
        superior(noise(100, 3), block=0)
    with pytest.raises(DataError, match=r"expected one return a period \(100\), found shape \(99,\)"):
        superior(noise(100, 3), np.zeros(99))
    with pytest.raises(DataError, match="100 not finite"):
        superior(noise(100, 1), np.full(100, np.nan))
