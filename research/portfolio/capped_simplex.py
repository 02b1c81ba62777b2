"""Projection on the capped simplex: the nearest shares that respect bounds and a sum."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

from core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def capped_simplex(weights: ArrayLike, low: ArrayLike, high: ArrayLike, total: float = 1.0) -> NDArray[np.float64]:
    """The nearest point to `weights` with every element in its bounds and a given sum.

    The Euclidean projection onto {x: low <= x <= high, sum x = total} is `clip(weights - tau, low, high)` for the one tau at
    which it sums to `total` (Wang and Lu 2015, "Projection onto the capped simplex", arXiv:1503.01002, equation 3 and what
    follows, here with bounds of their own for each element). The sum falls in tau, linearly between the values at which an
    element meets a bound: sorted, these are searched by halving, and tau is solved for on the one piece, without iteration.

    Bounds hold exactly. So does the sum, added without rounding (`math.fsum`), when bounds are zero or more and each element
    has room between its own: the smallest take up the residue. Without room (low = high) the last digit of the sum can be out
    of reach. Each element depends on its own weight and bounds and on the others as a set, not on their order.

    Parameters
    ----------
    weights
        Shape (n,), finite, of any sign and scale.
    low, high
        Scalars or shape (n,).

    Raises
    ------
    ConfigError
        When no such point exists.
    DataError
        When a weight is not finite.

    Examples
    --------
    >>> capped_simplex([0.7, 0.2, 0.1], 0.25, 0.4).tolist()
    [0.4, 0.35, 0.25]
    """
    w = np.asarray(weights, dtype=np.float64)
    lows, highs = (np.broadcast_to(np.asarray(bound, dtype=np.float64), w.shape) for bound in (low, high))
    _check_bounds(w, lows, highs, total)
    if np.all((lows <= w) & (w <= highs)) and math.fsum(w) == total:
        return w.copy()
    near = _near(w, lows, highs)
    x = _at_tau(near, lows, highs, total)
    if math.fsum(x) == total:
        return x
    order = np.lexsort((highs, lows, near, np.abs(x)))  # by what an element is, not by where it stands
    return _with_sum(x, lows, highs, total, order)


def _check_bounds(w: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], total: float) -> None:
    if w.ndim != 1 or not np.isfinite(w).all():
        raise DataError(f"Weights: expected a row of finite numbers, found {w.tolist()}.")
    if not len(w):
        raise ConfigError("Weights: expected one or more, found none: there is nothing to share among.")
    if not (np.isfinite(low).all() and np.isfinite(high).all() and math.isfinite(total)):
        raise ConfigError("Bounds: expected finite numbers, found one that is not.")
    if np.any(low > high):
        i = int(np.argmax(low > high))
        raise ConfigError(f"Bounds: expected low <= high, found {low[i]:g} > {high[i]:g}.")
    least, most = math.fsum(low), math.fsum(high)
    if not least <= total <= most:
        raise ConfigError(
            f"Bounds of {len(w)}: the least they sum to is {least:g} and the most {most:g}; {total:g} is not between."
            " Change a bound, or how many there are."
        )


def _near(w: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights moved together, with the same projection.

    A common shift changes nothing; and of two weights further apart than the bounds reach, the larger is at its upper or the
    smaller at its lower bound, whatever the gap. So no weight is so large that a bound vanishes beside it.
    """
    reach = float(high.max() - low.min())
    order = np.argsort(w, kind="stable")
    with np.errstate(over="ignore"):  # an infinite gap is cut like any other
        gaps = np.minimum(np.diff(w[order]), reach)
    near = np.empty_like(w)
    near[order] = np.concatenate([[0.0], np.cumsum(gaps)])
    return near


def _at_tau(w: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], total: float) -> NDArray[np.float64]:
    breaks = np.unique(np.concatenate([w - high, w - low]))
    piece = bisect_left(breaks, -total, key=lambda tau: -math.fsum(np.clip(w - tau, low, high)))
    if piece == 0:
        return high.copy()
    if piece == len(breaks):
        return low.copy()
    above, under = w - high <= breaks[piece - 1], w - low >= breaks[piece]
    free = above & under
    x = np.where(under, high, low)  # those that meet no bound on this piece follow
    if free.any():
        rest = total - math.fsum(x[~free])
        mean = math.fsum(w[free]) / free.sum()
        x[free] = np.clip(w[free] - mean + rest / free.sum(), low[free], high[free])
    return x


def _with_sum(
    x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], total: float, order: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Let the elements take up what rounding left over, the smallest first, since its last digit is the finest.

    They can fail to: when a last digit is as coarse as that of the total, half a digit too much rounds away from the total on
    either side. Then the largest moves by its last digit first.
    """
    largest = order[-1]
    for aside in (x[largest], math.nextafter(x[largest], math.inf), math.nextafter(x[largest], -math.inf)):
        exact = x.copy()
        exact[largest] = min(max(aside, low[largest]), high[largest])
        for i in order:
            exact[i] = min(max(math.fsum([total, *-np.delete(exact, i)]), low[i]), high[i])
            if math.fsum(exact) == total:
                return exact
    return x
