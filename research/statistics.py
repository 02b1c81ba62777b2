"""Statistics of a backtest's figures: errors, intervals, deflation, overfitting.

One convention: every Sharpe ratio that goes in or comes out is annualised with `periods_a_year`, its standard error and its
variance over trials too; only `Moments.sharpe` is per period. Returns are simple, one a period, as fractions. Where a figure is
not defined (too few observations, one that is not finite, no variance) it is None, never zero or NaN.

References
----------
- Bailey, Borwein, Lopez de Prado, Zhu (2017), The probability of backtest overfitting, Journal of Computational Finance 20(4).
- Bailey, Lopez de Prado (2012), The Sharpe ratio efficient frontier, Journal of Risk 15(2).
- Bailey, Lopez de Prado (2014), The deflated Sharpe ratio, Journal of Portfolio Management 40(5).
- Lo (2002), The statistics of Sharpe ratios, Financial Analysts Journal 58(4).
- Mertens (2002), Comments on variance of the iid estimator in Lo (2002), working paper.
- Patton, Politis, White (2009), Correction to "Automatic block-length selection", Econometric Reviews 28(4).
- Politis, Romano (1994), The stationary bootstrap, Journal of the American Statistical Association 89(428).
- Wilson (1927), Probable inference, the law of succession, and statistical inference, Journal of the American Statistical
  Association 22(158).
"""

from __future__ import annotations

import math
from itertools import combinations, islice
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PERIODS_A_YEAR: Final = 252
SURVIVES: Final = 0.95  # deflated Sharpe ratio from which a result is taken for more than the luck of many trials
FEWEST_OBSERVATIONS: Final = 20  # the block length needs 15; an interval from fewer would be a guess
CHUNK: Final = 1 << 21  # numbers in one working array, 16 MB of them
NOTHING: Final = 1e-12  # a spread smaller than that is rounding


class Moments(NamedTuple):
    """Moments on which the distribution of the Sharpe ratio depends.

    Attributes
    ----------
    observations
        Number of returns.
    sharpe
        Mean over sample standard deviation, per period, not annualised.
    skewness, kurtosis
        Third and fourth standardised moments; a normal distribution has 0 and 3.
    """

    observations: int
    sharpe: float
    skewness: float = 0.0
    kurtosis: float = 3.0


class Interval(NamedTuple):
    """A confidence interval, both ends in the units of the figure."""

    low: float
    high: float


class Overfitting(NamedTuple):
    """Outcome of combinatorially symmetric cross-validation.

    Attributes
    ----------
    probability
        PBO: share of the splits in which the best configuration in sample was no better than the median out of sample.
    logits
        (splits,) log odds of its relative rank out of sample; 0 or less is at or under the median.
    slope
        Of its Sharpe ratio out of sample on that in sample; negative: the better it looked, the worse it did.
    probability_of_loss
        Share of the splits in which it lost money out of sample.
    configurations
        Those compared; ones that never traded are left out.
    """

    probability: float
    logits: Array
    slope: float | None
    probability_of_loss: float
    configurations: int


def moments(returns: Array) -> Moments | None:
    """Sample moments of returns (periods,), or None of fewer than three, of one that is not finite, and without variance."""
    values = np.asarray(returns, dtype=np.float64)
    if len(values) < 3 or not np.isfinite(values).all():  # noqa: PLR2004  # no skewness of two
        return None
    spread = float(values.std(ddof=1))
    if spread <= NOTHING:
        return None
    scaled = (values - values.mean()) / values.std()
    return Moments(len(values), float(values.mean()) / spread, float((scaled**3).mean()), float((scaled**4).mean()))


def sharpe_ratio(returns: Array, *, periods_a_year: float = PERIODS_A_YEAR) -> float | None:
    """Annualised Sharpe ratio of returns (periods,) against a riskless rate of zero."""
    found = moments(returns)
    return None if found is None else found.sharpe * math.sqrt(periods_a_year)


def sharpe_standard_error(returns: Array | Moments, *, periods_a_year: float = PERIODS_A_YEAR) -> float | None:
    """Standard error of the annualised Sharpe ratio, for independent returns of any distribution.

    `sqrt((1 - skewness * SR + (kurtosis - 1) / 4 * SR ** 2) / T)` per period (Mertens 2002), times the square root of
    `periods_a_year`. With normal returns it is `sqrt((1 + SR ** 2 / 2) / T)` (Lo 2002, eq. 9). It knows of no serial
    correlation; `sharpe_interval` does.
    """
    found = _moments_of(returns)
    return None if found is None else math.sqrt(_spread_squared(found) / found.observations * periods_a_year)


def probabilistic_sharpe(
    returns: Array | Moments, benchmark_sharpe: float = 0.0, *, periods_a_year: float = PERIODS_A_YEAR
) -> float | None:
    """Probability that the true Sharpe ratio is above `benchmark_sharpe`, annualised (Bailey and Lopez de Prado 2012, eq. 11).

    `Phi((SR - SR*) * sqrt(T - 1) / sqrt(1 - skewness * SR + (kurtosis - 1) / 4 * SR ** 2))`, both ratios per period.
    """
    from scipy.stats import norm

    found = _moments_of(returns)
    if found is None:
        return None
    error = math.sqrt(_spread_squared(found) / (found.observations - 1))
    if error <= NOTHING:  # returns of two values only can have none
        return None
    return float(norm.cdf((found.sharpe - benchmark_sharpe / math.sqrt(periods_a_year)) / error))


def expected_best_sharpe(trials: int, sharpe_variance: float) -> float:
    """Sharpe ratio that the best of so many worthless trials shows on average (Bailey and Lopez de Prado 2014, eq. 1).

    `sqrt(V) * ((1 - g) * z(1 - 1 / N) + g * z(1 - 1 / (N * e)))` with Euler's constant g and the normal quantile z, an
    approximation for independent trials. One trial is no choice: 0.

    Parameters
    ----------
    trials
        Trials among which the best was chosen, 1 or more.
    sharpe_variance
        Variance of their Sharpe ratios; annualised ones give an annualised result.
    """
    from scipy.stats import norm

    if trials < 1 or not sharpe_variance >= 0:
        raise ConfigError(f"Trials: expected 1 or more and a variance of 0 or more, found {trials} and {sharpe_variance}.")
    if trials == 1:
        return 0.0
    best = (1 - np.euler_gamma) * norm.ppf(1 - 1 / trials) + np.euler_gamma * norm.ppf(1 - 1 / (trials * math.e))
    return math.sqrt(sharpe_variance) * float(best)


def deflated_sharpe(
    returns: Array | Moments, trials: int, sharpe_variance: float, *, periods_a_year: float = PERIODS_A_YEAR
) -> float | None:
    """Probability that the true Sharpe ratio is above zero although it is the best of `trials` (2014, eq. 2).

    The probabilistic Sharpe ratio against `expected_best_sharpe`; `sharpe_variance` is that of annualised ratios.
    """
    return probabilistic_sharpe(returns, expected_best_sharpe(trials, sharpe_variance), periods_a_year=periods_a_year)


def sharpe_interval(
    returns: Array, *, level: float = 0.95, resamples: int = 1000, seed: int = 7, periods_a_year: float = PERIODS_A_YEAR
) -> Interval | None:
    """Confidence interval of the annualised Sharpe ratio by the stationary bootstrap; see `mean_interval` for its terms."""
    yearly = math.sqrt(periods_a_year)

    def figure(sample: Array) -> float:
        spread = sample.std(ddof=1)
        return float(sample.mean() / spread * yearly) if spread > NOTHING else 0.0  # a resample of nothing but still days

    return _interval(np.asarray(returns, dtype=np.float64), figure, level, resamples, seed)


def mean_interval(values: Array, *, level: float = 0.95, resamples: int = 1000, seed: int = 7) -> Interval | None:
    """Confidence interval of a mean by the stationary bootstrap (Politis and Romano 1994), percentile method.

    Blocks of random length are drawn, so that the order of time within them stays; their mean length is the one of Politis and
    White (2004) as corrected in 2009. None for fewer than 20 values.

    Parameters
    ----------
    values
        (observations,) in the order of time: profits of trades, say.
    level
        Share of such intervals that hold the true figure, above 0 and under 1.
    """
    return _interval(np.asarray(values, dtype=np.float64), lambda sample: float(sample.mean()), level, resamples, seed)


def drawdown_interval(returns: Array, *, level: float = 0.95, resamples: int = 1000, seed: int = 7) -> Interval | None:
    """Interval of the deepest fall, a fraction of 0 or more, over alike histories of as many periods; see `mean_interval`."""
    return _interval(np.asarray(returns, dtype=np.float64), deepest_fall, level, resamples, seed)


def deepest_fall(returns: Array) -> float:
    """Return the largest loss from a peak, the start included, as a fraction of 0 or more.

    Examples
    --------
    >>> round(deepest_fall(np.array([0.1, -0.1, 0.05, -0.1])), 4)
    0.1495
    """
    path = np.concatenate([[1.0], np.cumprod(1 + returns)])
    return float(1 - (path / np.maximum.accumulate(path)).min())


def profit_factor_interval(profits: Array, *, level: float = 0.95, resamples: int = 1000, seed: int = 7) -> Interval | None:
    """Interval of the sum won over the sum lost; see `mean_interval`. An end without a loss is infinite."""

    def share_won(sample: Array) -> float:  # the factor is f / (1 - f) of it, and the order of resamples stays
        moved = np.abs(sample).sum()
        return float(np.clip(sample, 0, None).sum() / moved) if moved > NOTHING else 0.5

    found = _interval(np.asarray(profits, dtype=np.float64), share_won, level, resamples, seed)
    return None if found is None else Interval(*(share / (1 - share) if share < 1 - NOTHING else math.inf for share in found))


def share_interval(successes: int, trials: int, *, level: float = 0.95) -> Interval | None:
    """Score interval of a share (Wilson 1927, as in Brown, Cai and DasGupta 2001, eq. 4); None for fewer than 20 trials.

    Examples
    --------
    >>> [round(end, 3) for end in share_interval(70, 100)]
    [0.604, 0.781]
    """
    from scipy.stats import norm

    if trials < FEWEST_OBSERVATIONS:
        return None
    z = float(norm.ppf((1 + level) / 2))
    share, weight = successes / trials, z**2 / trials
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    return Interval(max(middle - half, 0.0), min(middle + half, 1.0))


def quantile_shares(observations: int, quantile: float, *, level: float = 0.95) -> Interval | None:
    """Shares of the order statistics that bound a quantile, free of any distribution (binomial ranks); None for too few.

    Examples
    --------
    >>> [round(share, 4) for share in quantile_shares(10_000, 0.99)]
    [0.988, 0.992]
    """
    from scipy.stats import binom

    low, high = binom.ppf([(1 - level) / 2, (1 + level) / 2], observations, quantile)
    if observations == 0 or low < 1 or high + 1 > observations:
        return None
    return Interval(float(low) / observations, float(high + 1) / observations)


def block_length(values: Array) -> float:
    """Mean length of the stationary bootstrap's blocks for these values, 1 or more."""
    from arch.bootstrap import optimal_block_length

    with np.errstate(all="ignore"):
        best = float(optimal_block_length(values)["stationary"].iloc[0])
    return min(max(best, 1.0), len(values) / 3) if math.isfinite(best) else len(values) ** (1 / 3)


def overfitting(returns: Array, blocks: int = 16) -> Overfitting | None:
    """Probability of backtest overfitting by combinatorially symmetric cross-validation (Bailey et al. 2017, section 3).

    Time is cut into blocks; each half of the blocks is once in sample and the other half out of it. In each split the
    configuration with the best Sharpe ratio in sample is looked up out of sample. Halves are put together from each block's
    sums of returns and of squares, so that the cost hardly depends on the number of periods; a split and its mirror are
    computed together.

    Parameters
    ----------
    returns
        (periods, configurations). A configuration that did not move in a half earned a Sharpe ratio of zero there.
    blocks
        Even; 16 makes 12,870 splits. Blocks differ by one period where the periods do not divide.

    Returns
    -------
    Overfitting | None
        None for fewer than two configurations that traded, or fewer than two periods a block.
    """
    if blocks < 2 or blocks % 2:  # noqa: PLR2004
        raise ConfigError(f"Blocks of the cross-validation: expected an even number of 2 or more, found {blocks}.")
    found = returns_matrix(returns)
    traded = found[:, moves(found)]
    periods, configurations = traded.shape
    if configurations < 2 or periods < 2 * blocks:  # noqa: PLR2004
        return None
    ways = [_look_up(*pair) for here, there in _halves(traded, blocks) for pair in ((here, there), (there, here))]
    inside, outside, rank = (np.concatenate(part) for part in zip(*ways, strict=True))
    relative = rank / (configurations + 1)
    logits = np.log(relative / (1 - relative))
    varied = float(inside.std()) > NOTHING
    return Overfitting(
        probability=float((logits <= NOTHING).mean()),
        logits=logits,
        slope=float(np.polyfit(inside, outside, 1)[0]) if varied else None,  # a slope has no unit: both sides per period
        probability_of_loss=float((outside < 0).mean()),
        configurations=configurations,
    )


def _moments_of(returns: Array | Moments) -> Moments | None:
    return returns if isinstance(returns, Moments) else moments(returns)


def _spread_squared(found: Moments) -> float:
    """Variance of the per-period Sharpe ratio, times the number of observations (Mertens 2002); zero at the least."""
    return max(1 - found.skewness * found.sharpe + (found.kurtosis - 1) / 4 * found.sharpe**2, 0.0)


def _interval(values: Array, figure: Callable[[Array], float], level: float, resamples: int, seed: int) -> Interval | None:
    from arch.bootstrap import StationaryBootstrap

    if not 0 < level < 1:
        raise ConfigError(f"Level of an interval: expected above 0 and under 1, found {level}. 0.95 is usual.")
    if len(values) < FEWEST_OBSERVATIONS or not np.isfinite(values).all() or values.std() <= NOTHING:
        return None
    drawn = StationaryBootstrap(block_length(values), values, seed=seed)  # type: ignore[arg-type]  # 1 / length is all it uses
    low, high = drawn.conf_int(
        lambda sample: np.array([figure(sample)]), reps=resamples, size=level, method="percentile"
    ).ravel()
    return Interval(float(low), float(high))


def returns_matrix(returns: Array) -> Array:
    """Returns as floats (periods, configurations), finite all of them; a DataError otherwise."""
    found = np.asarray(returns, dtype=np.float64)
    if found.ndim != 2:  # noqa: PLR2004
        raise DataError(f"Returns: expected an array (periods, configurations), found shape {found.shape}.")
    if not np.isfinite(found).all():
        wrong = int((~np.isfinite(found)).sum())
        raise DataError(f"Returns: expected finite ones, found {wrong} not finite. A day without a position returns 0.")
    return found


def moves(returns: Array) -> NDArray[np.bool_]:
    """Return True for each column of (periods, columns) that has variance."""
    found: NDArray[np.bool_] = np.ptp(returns, axis=0) > NOTHING if len(returns) else np.zeros(returns.shape[1], np.bool_)
    return found


def _halves(returns: Array, blocks: int) -> Iterator[tuple[Array, Array]]:
    """Sharpe ratios per period (splits, configurations) of halves and of their complements, some splits at a time.

    Every split once: the halves yielded first hold the first block.
    """
    scaled = (returns - returns.mean(axis=0)) / returns.std(axis=0)  # sums of squares of small numbers cancel less
    level = returns.mean(axis=0) / returns.std(axis=0)
    edges = np.linspace(0, len(returns), blocks + 1).astype(np.int64)
    size = np.diff(edges).astype(np.float64)
    total, squares = (np.add.reduceat(values, edges[:-1], axis=0) for values in (scaled, scaled**2))
    splits = combinations(range(1, blocks), blocks // 2 - 1)
    while chosen := list(islice(splits, max(1, CHUNK // returns.shape[1]))):
        inside = np.zeros((len(chosen), blocks))
        inside[:, 0] = 1
        np.put_along_axis(inside, np.array(chosen, dtype=np.int64), 1, axis=1)
        here, there = (_sharpes(half @ size, half @ total, half @ squares, level) for half in (inside, 1 - inside))
        yield here, there


def _sharpes(size: Array, total: Array, squares: Array, level: Array) -> Array:
    """Sharpe ratios from sums of deviations and of their squares (splits, configurations); 0 without variance."""
    mean = total / size[:, None]
    variance = (squares - total * mean) / (size[:, None] - 1)
    still = variance <= NOTHING
    found: Array = np.where(still, 0.0, (mean + level) / np.sqrt(np.where(still, 1.0, variance)))
    return found


def _look_up(inside: Array, outside: Array) -> tuple[Array, Array, Array]:
    """Of the configuration best inside: its Sharpe ratio inside, that outside, and its rank there, 1 the worst.

    Those that did equally well share the mean of their ranks.
    """
    rows, best = np.arange(len(inside)), inside.argmax(axis=1)
    there = outside[rows, best]
    below = (outside < there[:, None] - NOTHING).sum(axis=1)
    level = (outside <= there[:, None] + NOTHING).sum(axis=1) - below
    return inside[rows, best], there, below + (level + 1) / 2
