"""Sharpe ratios and what qualifies them: published examples, a slow reading of CSCV, intervals that cover what they claim."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.errors import ConfigError, DataError
from research.statistics import (
    Moments,
    block_length,
    deepest_fall,
    deflated_sharpe,
    drawdown_interval,
    expected_best_sharpe,
    mean_interval,
    moments,
    overfitting,
    probabilistic_sharpe,
    profit_factor_interval,
    quantile_shares,
    share_interval,
    sharpe_interval,
    sharpe_ratio,
    sharpe_standard_error,
)
from tests.properties import examples

FIVE_YEARS = Moments(1250, 2.5 / 250**0.5, skewness=-3.0, kurtosis=10.0)  # Bailey and Lopez de Prado 2014, numerical example
HEDGE_FUND = Moments(24, 0.458, skewness=-2.448, kurtosis=10.164)  # Bailey and Lopez de Prado 2012, two years of months


def noise(periods: int, columns: int = 1, *, seed: int = 1, drift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(drift, 0.01, (periods, columns))


# ---- published numbers


@pytest.mark.parametrize(("trials", "published"), [(100, 0.9004), (46, 0.9505)])
def test_the_deflated_sharpe_ratio_is_that_of_the_papers_example(trials: int, published: float) -> None:
    assert deflated_sharpe(FIVE_YEARS, trials, 0.5, periods_a_year=250) == pytest.approx(published, abs=5e-5)


def test_with_normal_returns_88_trials_deflate_as_much_as_46_did() -> None:
    normal = FIVE_YEARS._replace(skewness=0.0, kurtosis=3.0)

    assert deflated_sharpe(normal, 88, 0.5, periods_a_year=250) == pytest.approx(0.9505, abs=5e-5)


def test_the_best_of_a_hundred_worthless_trials_shows_what_the_paper_says() -> None:
    assert expected_best_sharpe(100, 0.5) / 250**0.5 == pytest.approx(0.1132, abs=5e-5)


def test_the_best_of_ten_normal_draws_is_at_1_57_and_that_of_45_in_five_years_at_1() -> None:
    assert expected_best_sharpe(10, 1.0) == pytest.approx(1.57, abs=0.005)  # Bailey et al. 2014, Pseudo-mathematics
    assert expected_best_sharpe(45, 1 / 5) == pytest.approx(1.0, abs=0.001)


def test_the_best_of_trials_is_about_the_best_of_as_many_normal_draws() -> None:
    drawn = np.random.default_rng(3).normal(0, 2.0, (20_000, 60)).max(axis=1)

    assert expected_best_sharpe(60, 4.0) == pytest.approx(drawn.mean(), rel=0.02)


def test_the_probabilistic_sharpe_ratio_is_that_of_the_papers_hedge_fund() -> None:
    normal = HEDGE_FUND._replace(skewness=0.0, kurtosis=3.0)

    assert probabilistic_sharpe(normal, periods_a_year=12) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(HEDGE_FUND, periods_a_year=12) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(("sharpe", "periods", "published"), [(0.5, 12, 0.306), (1.5, 60, 0.188), (3.0, 500, 0.105)])
def test_standard_errors_are_those_of_los_table(sharpe: float, periods: int, published: float) -> None:
    assert sharpe_standard_error(Moments(periods, sharpe), periods_a_year=1) == pytest.approx(published, abs=5e-4)


def test_the_standard_error_is_the_spread_of_the_estimate_over_many_skewed_samples() -> None:
    draws = np.random.default_rng(5).exponential(0.01, (4000, 500)) - 0.009
    estimates = draws.mean(axis=1) / draws.std(axis=1, ddof=1)
    true = Moments(500, 0.1, skewness=2.0, kurtosis=9.0)

    assert sharpe_standard_error(true, periods_a_year=1) == pytest.approx(estimates.std(), rel=0.05)


# ---- by hand


def test_moments_by_hand() -> None:
    found = moments(np.array([0.0, 0.0, 0.0, 0.04]))

    assert found == pytest.approx(Moments(4, 0.5, 2 / 3**0.5, 7 / 3))


def test_the_sharpe_ratio_is_annualised_by_the_periods_of_a_year() -> None:
    returns = np.array([0.0, 0.0, 0.0, 0.04])

    assert sharpe_ratio(returns) == pytest.approx(0.5 * 252**0.5)
    assert sharpe_ratio(returns, periods_a_year=12) == pytest.approx(0.5 * 12**0.5)


def test_a_benchmark_at_the_observed_ratio_is_beaten_with_probability_one_half() -> None:
    returns = noise(500, drift=0.001)[:, 0]

    assert probabilistic_sharpe(returns, sharpe_ratio(returns) or 0.0) == pytest.approx(0.5)


def test_one_trial_deflates_nothing() -> None:
    assert expected_best_sharpe(1, 4.0) == 0.0
    assert deflated_sharpe(FIVE_YEARS, 1, 4.0) == probabilistic_sharpe(FIVE_YEARS)


# ---- undefined


@pytest.mark.parametrize(
    "returns", [[], [0.01, 0.02], [0.0] * 50, [0.01] * 50, [0.01, math.nan, 0.02, 0.0], [math.inf, 0.0, 0.1]], ids=str
)
def test_what_is_not_defined_is_none(returns: list[float]) -> None:
    values = np.array(returns, dtype=np.float64)

    assert moments(values) is None
    assert sharpe_ratio(values) is None
    assert sharpe_standard_error(values) is None
    assert probabilistic_sharpe(values) is None
    assert deflated_sharpe(values, 10, 0.1) is None
    assert sharpe_interval(values) is None


def test_a_ratio_that_can_have_no_error_has_no_probability() -> None:
    """Two values only: with such a mean the spread of the ratio is zero to first order."""
    assert probabilistic_sharpe(Moments(100, 2.0, skewness=2.0, kurtosis=4.0)) is None


def test_nineteen_values_have_no_interval_and_twenty_have_one() -> None:
    values = noise(20)[:, 0]

    assert mean_interval(values[:19]) is None
    assert mean_interval(values) is not None


def test_less_than_two_configurations_that_traded_cannot_be_overfitted() -> None:
    still, moving = np.zeros((100, 3)), noise(100)

    assert overfitting(np.empty((0, 0))) is None
    assert overfitting(np.column_stack([still, moving])) is None
    assert overfitting(noise(31, 5), blocks=16) is None
    assert overfitting(noise(32, 5), blocks=16) is not None


@pytest.mark.parametrize(("trials", "variance"), [(0, 1.0), (5, -1.0), (5, math.nan)])
def test_impossible_trials_are_refused(trials: int, variance: float) -> None:
    with pytest.raises(ConfigError, match=f"found {trials} and {variance}"):
        expected_best_sharpe(trials, variance)


@pytest.mark.parametrize("blocks", [0, 3, -2])
def test_an_uneven_number_of_blocks_is_refused(blocks: int) -> None:
    with pytest.raises(ConfigError, match=f"even number.*found {blocks}"):
        overfitting(noise(100, 3), blocks=blocks)


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_a_level_in_percent_is_refused(level: float) -> None:
    with pytest.raises(ConfigError, match=r"0\.95 is usual"):
        mean_interval(noise(50)[:, 0], level=level)


def test_a_matrix_with_holes_is_refused() -> None:
    returns = noise(100, 3)
    returns[5, 1] = np.nan

    with pytest.raises(DataError, match="1 not finite"):
        overfitting(returns)
    with pytest.raises(DataError, match="shape"):
        overfitting(returns[:, 0])


# ---- invariants

SAMPLES = arrays(np.float64, st.integers(5, 60), elements=st.floats(-0.25, 0.25, width=32)).filter(lambda a: a.std() > 1e-4)


@given(returns=SAMPLES, factor=st.floats(0.01, 50))
def test_leverage_leaves_the_sharpe_ratio_and_its_error(returns: np.ndarray, factor: float) -> None:
    assert sharpe_ratio(returns * factor) == pytest.approx(sharpe_ratio(returns), rel=1e-6, abs=1e-9)
    assert sharpe_standard_error(returns * factor) == pytest.approx(sharpe_standard_error(returns), rel=1e-6, abs=1e-6)


@given(returns=SAMPLES)
def test_the_other_side_of_a_trade_has_the_opposite_ratio(returns: np.ndarray) -> None:
    assert sharpe_ratio(-returns) == pytest.approx(-(sharpe_ratio(returns) or 0.0), abs=1e-9)


@given(returns=SAMPLES, low=st.floats(-3, 3), more=st.floats(0, 3))
def test_a_higher_benchmark_is_never_more_probably_beaten(returns: np.ndarray, low: float, more: float) -> None:
    easy, hard = probabilistic_sharpe(returns, low), probabilistic_sharpe(returns, low + more)

    assert (easy is None) == (hard is None)
    assert easy is None or hard is None or 0 <= hard <= easy <= 1


@given(trials=st.integers(1, 100_000), more=st.integers(0, 100_000), variance=st.floats(0, 4))
def test_more_trials_never_deflate_less(trials: int, more: int, variance: float) -> None:
    assert 0 <= expected_best_sharpe(trials, variance) <= expected_best_sharpe(trials + more, variance)


@given(st.integers(2, 6), st.integers(0, 1000), st.sampled_from([2, 4, 6]), st.integers(0, 11))
@settings(max_examples=examples(40), deadline=None)
def test_cross_validation_equals_a_slow_reading_of_the_paper(columns: int, seed: int, blocks: int, spare: int) -> None:
    returns = noise(60 + spare, columns, seed=seed)
    returns[:40, 0] = 0.0  # one that stood still in some of the blocks

    fast, (logits, pairs) = overfitting(returns, blocks), slow_reading(returns, blocks)

    assert fast is not None
    assert fast.slope == pytest.approx(np.polyfit(*np.array(pairs).T, 1)[0], rel=1e-6, abs=1e-9)
    assert np.sort(fast.logits) == pytest.approx(np.sort(logits))
    assert fast.probability == pytest.approx(np.mean(np.array(logits) <= 1e-12))
    assert len(logits) == math.comb(blocks, blocks // 2)


def slow_reading(returns: np.ndarray, blocks: int) -> tuple[list[float], list[tuple[float, float]]]:
    """Bailey et al. 2017, section 3: every half of the blocks in sample, the rest out of it."""
    edges = [len(returns) * b // blocks for b in range(blocks + 1)]
    parts = [returns[low:high] for low, high in pairwise(edges)]
    logits, pairs = [], []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = ratios(np.concatenate([parts[b] for b in chosen]))
        outside = ratios(np.concatenate([parts[b] for b in range(blocks) if b not in chosen]))
        best = int(np.argmax(inside))
        rank = sum(other < outside[best] for other in outside) + (sum(other == outside[best] for other in outside) + 1) / 2
        relative = rank / (len(outside) + 1)
        logits.append(math.log(relative / (1 - relative)))
        pairs.append((inside[best], outside[best]))
    return logits, pairs


def ratios(half: np.ndarray) -> list[float]:
    return [0.0 if column.std() == 0 else float(column.mean() / column.std(ddof=1)) for column in half.T]


# ---- overfitting


def test_the_best_of_pure_noise_is_overfitted_half_of_the_time() -> None:
    found = [overfitting(noise(640, 30, seed=seed), blocks=8) for seed in range(25)]
    probabilities = [each.probability for each in found if each is not None]

    assert len(probabilities) == 25
    assert np.mean(probabilities) == pytest.approx(0.5, abs=0.1)


def test_a_configuration_that_is_truly_better_is_not_overfitted() -> None:
    returns = noise(1000, 30)
    returns[:, 7] += 0.003  # an annual Sharpe ratio of nearly five

    found = overfitting(returns)

    assert found is not None
    assert found.probability < 0.01
    assert found.probability_of_loss < 0.01
    assert len(found.logits) == 12_870


def test_one_that_always_leads_has_the_highest_rank_in_every_split() -> None:
    base = noise(80)[:, 0]
    found = overfitting(np.column_stack([base, base + 0.01, base - 0.01]), blocks=4)

    assert found is not None
    assert found.logits == pytest.approx([math.log(3)] * 6)  # rank 3 of 3: 3/4 to 1/4
    assert (found.probability, found.configurations) == (0.0, 3)


def test_configurations_that_are_all_alike_leave_the_best_at_the_median() -> None:
    found = overfitting(np.tile(noise(80), 4), blocks=4)

    assert found is not None
    assert found.logits == pytest.approx([0.0] * 6, abs=1e-12)
    assert found.probability == 1.0


def test_two_that_lead_in_turn_lose_out_of_sample() -> None:
    """Each earns in its own half of the time and loses in the other: the best of a half is the worst of the other."""
    wiggle = np.tile([0.01, -0.01], 20)
    returns = np.column_stack([np.where(np.arange(40) < 20, 0.005, -0.005), np.where(np.arange(40) < 20, -0.005, 0.005)])

    found = overfitting(returns + wiggle[:, None], blocks=2)

    assert found is not None
    assert (found.probability, found.probability_of_loss) == (1.0, 1.0)


def test_configurations_that_never_traded_do_not_change_the_outcome() -> None:
    returns = noise(200, 6)
    with_still = np.insert(returns, [2, 4], 0.0, axis=1)

    plain, more = overfitting(returns, 4), overfitting(with_still, 4)

    assert plain is not None
    assert more is not None
    assert (plain.probability, plain.configurations) == (more.probability, more.configurations)


# ---- intervals


def test_an_interval_of_80_per_cent_holds_the_true_ratio_about_80_times_in_a_hundred() -> None:
    true = 0.05 * 252**0.5
    found = [sharpe_interval(noise(400, seed=seed, drift=0.0005)[:, 0], level=0.8, resamples=200) for seed in range(200)]

    held = np.mean([each.low <= true <= each.high for each in found if each is not None])

    assert held == pytest.approx(0.8, abs=0.08)


def test_returns_that_carry_on_have_a_wider_interval_than_the_same_returns_shuffled() -> None:
    rng = np.random.default_rng(4)
    steady = np.convolve(rng.normal(0, 0.01, 1029), np.ones(30) / 30, mode="valid")
    shuffled = rng.permutation(steady)

    wide, narrow = mean_interval(steady), mean_interval(shuffled)

    assert block_length(steady) > 5 * block_length(shuffled)
    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_the_interval_of_independent_values_is_the_textbooks() -> None:
    values = noise(2000, seed=9)[:, 0]
    found = mean_interval(values, resamples=2000)
    textbook = 1.96 * values.std() / 2000**0.5

    assert found is not None
    assert found.low == pytest.approx(values.mean() - textbook, abs=0.1 * textbook)
    assert found.high == pytest.approx(values.mean() + textbook, abs=0.1 * textbook)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = noise(100)[:, 0]

    assert sharpe_interval(values, seed=1) == sharpe_interval(values, seed=1)
    assert sharpe_interval(values, seed=1) != sharpe_interval(values, seed=2)


# ---- shares, quantiles, falls and factors


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (29, 29, 0.8830, 1.0)],
)
def test_the_interval_of_a_share_is_that_of_newcombes_table(successes: int, trials: int, low: float, high: float) -> None:
    found = share_interval(successes, trials)  # Newcombe 1998, Statistics in Medicine 17, table I, method 3
    assert found == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_too_few_observations_have_no_interval() -> None:
    assert share_interval(19, 19) is None
    assert quantile_shares(0, 0.99) is None
    assert quantile_shares(200, 0.99) is None, "the end would lie beyond the largest"
    assert drawdown_interval(noise(19).ravel()) is None
    assert profit_factor_interval(np.ones(30)) is None


def test_the_ranks_around_a_quantile_cover_it_as_often_as_claimed() -> None:
    draws = np.sort(np.random.default_rng(2).exponential(size=(4000, 1000)), axis=1)
    shares = quantile_shares(1000, 0.9)
    assert shares is not None
    low, high = (draws[:, round(share * 1000) - 1] for share in shares)
    truth = -math.log(0.1)
    assert 0.94 < ((low <= truth) & (truth <= high)).mean() < 0.97


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-0.5, 0.5)))
def test_the_deepest_fall_is_that_of_every_pair_of_closes(returns: np.ndarray) -> None:
    path = [1.0, *np.cumprod(1 + returns)]
    slow = max(1 - later / max(path[: i + 1]) for i, later in enumerate(path))
    assert deepest_fall(returns) == pytest.approx(slow)


def test_intervals_of_falls_and_factors_hold_the_figure_of_the_record() -> None:
    returns = noise(1000, drift=0.0002).ravel()
    fall, factor = drawdown_interval(returns), profit_factor_interval(returns)
    assert fall is not None
    assert factor is not None
    assert 0 < fall.low < deepest_fall(returns) < fall.high < 1
    assert factor.low < returns[returns > 0].sum() / -returns[returns < 0].sum() < factor.high
