"""Tests and intervals that keep blocks of sessions together.

References
----------
- Hansen (2005), A test for superior predictive ability, Journal of Business & Economic Statistics 23(4).
- Politis, Romano (1994), The stationary bootstrap, Journal of the American Statistical Association 89(428).
- Romano (1990), On the behavior of randomization tests without a group invariance assumption, JASA 85(411).
- Westfall, Young (1993), Resampling-based multiple testing, Wiley, section 2.3 (the largest statistic).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ROUNDING: Final = 1e-12


def sign_flip(gains: Array, block: int, resamples: int, seed: int) -> Array:
    """One-sided p-value of each column's gain, adjusted for the number of columns.

    If champion and challenger are equally good, exchanging their names changes nothing, so that each block's gains might as
    well have the other sign. The statistic is the sum of the blocks over the root of their sum of squares, which flipping
    leaves alone; it holds its level where gains are merely zero on average too, as blocks become many (Romano 1990). The
    columns' blocks are flipped together and the largest statistic is compared (Westfall and Young 1993).

    Parameters
    ----------
    gains
        (..., sessions, challengers).

    Returns
    -------
    Array
        (..., challengers); 1 where a challenger never differed.
    """
    blocks = np.add.reduceat(gains, np.arange(0, gains.shape[-2], block), axis=-2)
    scale = np.sqrt((blocks**2).sum(axis=-2, keepdims=True))
    scaled = np.divide(blocks, scale, out=np.zeros_like(blocks), where=scale > ROUNDING)
    observed = scaled.sum(axis=-2)
    drawn = np.tensordot(_signs(blocks.shape[-2], resamples, seed), scaled, axes=(1, -2)).max(axis=-1)
    reached = (drawn[..., None] >= observed - ROUNDING).sum(axis=0)
    exact = 2 ** blocks.shape[-2] <= resamples
    p_value: Array = reached / len(drawn) if exact else (1 + reached) / (1 + len(drawn))
    return np.where(scale[..., 0, :] > ROUNDING, p_value, 1.0)


def resample_weights(sessions: int, block: float, resamples: int, seed: int) -> Array:
    """Return the count of each session in each resample of the stationary bootstrap, (resamples, sessions)."""
    from arch.bootstrap import StationaryBootstrap

    drawn = StationaryBootstrap(block, np.arange(sessions), seed=seed)  # type: ignore[arg-type]  # 1 / length is all it uses
    return np.array([np.bincount(order, minlength=sessions) for (order,), _ in drawn.bootstrap(resamples)], dtype=np.float64)


def mean_interval(sums: Array, counts: Array, weights: Array, level: float) -> tuple[Array, Array]:
    """Percentile interval of `sums / counts`, both (..., sessions), under resampled sessions; NaN where there is nothing."""
    resampled_sums, resampled_counts = sums @ weights.T, counts @ weights.T
    shape = np.broadcast_shapes(resampled_sums.shape, resampled_counts.shape)
    means = np.divide(resampled_sums, resampled_counts, out=np.full(shape, np.nan), where=resampled_counts > 0)
    return bounds(means, level)


def bounds(draws: Array, level: float) -> tuple[Array, Array]:
    """The middle `level` of the draws on the last axis; NaN where any draw is undefined."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=-1)
    return low, high


def _signs(blocks: int, resamples: int, seed: int) -> Array:
    """Every pattern of signs where they are few enough, else some drawn at random; (patterns, blocks)."""
    if 2**blocks <= resamples:
        bits = (np.arange(2**blocks)[:, None] >> np.arange(blocks)) & 1
        return np.asarray(1 - 2 * bits, dtype=np.float64)
    drawn: Array = np.random.default_rng(seed).choice(np.array([-1.0, 1.0]), (resamples, blocks))
    return drawn
