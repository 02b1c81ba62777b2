"""Hansen's test of superior predictive ability: the best of many against a benchmark, corrected for all the others.

References
----------
- Hansen (2005), A test for superior predictive ability, Journal of Business & Economic Statistics 23(4).
- Politis, Romano (1994), The stationary bootstrap, Journal of the American Statistical Association 89(428).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.errors import ConfigError, DataError
from research.statistics import CHUNK, FEWEST_OBSERVATIONS, NOTHING, block_length, moves, returns_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

COLUMNS_ASKED: Final = 32  # for the length of the blocks


class SpaResult(NamedTuple):
    """Outcome of Hansen's test.

    Attributes
    ----------
    lower, consistent, upper
        P-values in rising order; `consistent` is the one to quote.
    best
        Column that did best for its standard error.
    """

    lower: float
    consistent: float
    upper: float
    best: int


def superior(
    returns: Array, benchmark: Array | None = None, *, resamples: int = 1000, block: float | None = None, seed: int = 7
) -> SpaResult | None:
    """Test the best of many configurations against a benchmark, corrected for all of them (Hansen 2005).

    The statistic is the largest of the mean differences, each over its own standard error; its distribution when nothing is
    better than the benchmark comes from the stationary bootstrap. `arch.bootstrap.SPA` on the differences over their standard
    errors gives the same p-values, a resample at a time; here all resamples of a column are one matrix product, for
    10,000 columns. Its own `studentize` sets no scale: the columns must be scaled before it.

    Parameters
    ----------
    returns
        (periods, configurations); larger is better.
    benchmark
        (periods,); None is doing nothing, a return of zero.
    block
        Mean length of the blocks, 1 or more; None = mean of the columns' automatic lengths. The square root of the number of
        periods, usual elsewhere, is too long for daily returns: on noise it found something at 5 % in 10 to 18 % of the cases.

    Returns
    -------
    SpaResult | None
        P-values `(1 + exceedances) / (1 + resamples)`, so that none is zero; 1 when nothing beat the benchmark at all. None
        when no configuration moves against the benchmark, or for fewer than 20 periods.
    """
    against = _against(returns, benchmark)
    moved = np.flatnonzero(moves(against))
    periods = len(against)
    if periods < FEWEST_OBSERVATIONS or not len(moved):
        return None
    length = _typical_block(against[:, moved]) if block is None else block
    if length < 1:
        raise ConfigError(f"Mean length of the blocks: expected 1 or more periods, found {block}.")
    weights = _resample_weights(periods, length, resamples, seed)
    observed, best = -math.inf, -1
    highest = np.full((3, resamples), -math.inf)
    for columns in np.array_split(moved, math.ceil(len(moved) * max(periods, resamples) / CHUNK)):
        scaled = against[:, columns] / _long_run_deviation(against[:, columns], length)
        mean = scaled.mean(axis=0)
        if mean.max() > observed:
            observed, best = float(mean.max()), int(columns[mean.argmax()])
        drawn = weights @ scaled
        for row, centre in enumerate(_centres(mean, periods)):
            np.maximum(highest[row], (drawn - centre).max(axis=1), out=highest[row])
    if observed <= 0:  # the statistic is floored at zero (Hansen 2005, eq. 1), and so is every draw
        return SpaResult(1.0, 1.0, 1.0, best)
    lower, consistent, upper = ((1 + int(draws.sum())) / (1 + resamples) for draws in highest >= observed)
    return SpaResult(lower, consistent, upper, best)


def _against(returns: Array, benchmark: Array | None) -> Array:
    found = returns_matrix(returns)
    if benchmark is None:
        return found
    if np.shape(benchmark) != found.shape[:1]:
        raise DataError(f"Benchmark: expected one return a period ({len(found)}), found shape {np.shape(benchmark)}.")
    return returns_matrix(found - np.asarray(benchmark, dtype=np.float64)[:, None])


def _typical_block(values: Array) -> float:
    """Mean of the automatic block lengths of the columns, of some of them spread evenly when they are many."""
    some = np.unique(np.linspace(0, values.shape[1] - 1, COLUMNS_ASKED).astype(np.int64))
    return float(np.mean([block_length(values[:, column]) for column in some]))


def _resample_weights(periods: int, length: float, resamples: int, seed: int) -> Array:
    """Share of each period in each resample, (resamples, periods): a resample's mean is its row times the values."""
    from arch.bootstrap import StationaryBootstrap

    drawn = StationaryBootstrap(length, np.arange(periods), seed=seed)  # type: ignore[arg-type]  # 1 / length is all it uses
    return np.array([np.bincount(order, minlength=periods) for (order,), _ in drawn.bootstrap(resamples)]) / periods


def _long_run_deviation(values: Array, length: float) -> Array:
    """Standard deviation, times the root of the number of periods, of each column's mean under the stationary bootstrap.

    Autocovariances under the bootstrap's own weights (Politis and Romano 1994, lemma 1), by Fourier transform.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    periods, stay = len(values), 1 - 1 / length
    lag = np.arange(1, periods)
    share = lag / periods
    weight = np.concatenate([[1.0], 2 * ((1 - share) * stay**lag + share * stay ** (periods - lag))])
    wide = next_fast_len(2 * periods, real=True)
    spectrum = np.abs(rfft(values - values.mean(axis=0), wide, axis=0)) ** 2
    covariance = irfft(spectrum, wide, axis=0)[:periods] / periods
    found: Array = np.sqrt(np.maximum(weight @ covariance, NOTHING * covariance[0]))  # rounding may leave less than nothing
    return found


def _centres(mean: Array, periods: int) -> tuple[Array, Array, Array]:
    """Return the centres of the resamples' means, each (columns,), for the lower, the consistent and the upper p-value.

    One that is clearly worse than the benchmark stays as bad as it is (Hansen 2005, section 3.2); the means have unit variance.
    """
    clearly = mean < -math.sqrt(2 * math.log(math.log(periods)) / periods)
    return np.maximum(mean, 0.0), np.where(clearly, 0.0, mean), mean
