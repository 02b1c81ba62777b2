"""Test a promised mean against live observations, at as many looks as wanted. Pure arrays; it loads nothing.

The backtest promises a mean `m0`, itself an estimate, from `n0` observations. After `n` live observations the difference
`m0 - mean` has the information `v = 1 / (1 / n + 1 / n0)`, counted in observations. Such estimates have independent increments
in information time (Jennison and Turnbull 1997), so that the score `s = v * (m0 - mean) / deviation` moves as a Brownian motion
in `v`, without drift while the promise is kept. Thereby the backtest's own error is part of the test: `v` never exceeds `n0`,
and against a short backtest no live record proves much.

By the reflection principle the score of a kept promise ever reaches `s` while `v <= V` with a probability of at most
`2 * (1 - Phi(s / sqrt(V)))`. This is the boundary of O'Brien and Fleming (1979), looked at continuously: a p-value that holds
for the highest score of all looks. V is the information that a year of the promised number of trades brings. Student's t stands
in for the normal Phi, with a degree of freedom less than the backtest has months, because the deviation is an estimate too.

A mean since the first day would hide a decay that begins late. Therefore a window of a year opens every half year, and the two
that are open share the level.

References
----------
- Cochran (1977), Sampling Techniques, 3rd edition, Wiley, section 6.4: the error of a ratio.
- Jennison, Turnbull (1989), Interim analyses: the repeated confidence interval approach, Journal of the Royal Statistical
  Society B 51(3).
- Jennison, Turnbull (1997), Group-sequential analysis incorporating covariate information, Journal of the American Statistical
  Association 92(440).
- O'Brien, Fleming (1979), A multiple testing procedure for clinical trials, Biometrics 35(3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from scipy.special import stdtr, stdtrit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Days = NDArray[np.int64]

WINDOW_SESSIONS: Final = 252
RESTART_SESSIONS: Final = 126
OPEN_WINDOWS: Final = WINDOW_SESSIONS // RESTART_SESSIONS
FEWEST: Final = 20  # observations from which a window is judged
BLOCK_SESSIONS: Final = 21  # a month
NOTHING: Final = 1e-12


@dataclass(frozen=True)
class Promise:
    """A mean and its error.

    Attributes
    ----------
    mean
        The backtest's.
    deviation
        Standard deviation of one observation; where observations come in clusters, of independent ones whose mean would have
        the same error.
    observations, blocks
        Their number in the backtest, and that of the months that hold them: with few, the deviation is uncertain itself.
    """

    mean: float
    deviation: float
    observations: int
    blocks: int

    @classmethod
    def of(cls, values: Array, days: Days, block_sessions: int = BLOCK_SESSIONS) -> Self | None:
        """Estimate from observations (n,) and the session number of each (n,); None without a spread, or of under two blocks.

        The error is that of a ratio over blocks of sessions (Cochran 1977): the squares of `sum - mean * count` of each. It
        is at least the error of independent observations.
        """
        if len(np.unique(days // block_sessions)) < 2:  # noqa: PLR2004  # one has no spread
            return None
        mean, plain = float(values.mean()), float(values.std(ddof=1))
        _, block = np.unique(days // block_sessions, return_inverse=True)
        sums = np.bincount(block, weights=values - mean)
        clustered = math.sqrt(float((sums**2).sum()) / len(values) * len(sums) / (len(sums) - 1))
        deviation = max(plain, clustered)
        return cls(mean, deviation, len(values), len(sums)) if deviation > NOTHING else None

    def information(self, count: Array | float) -> Array:
        """Return the information of so many live observations.

        >>> Promise(mean=0.01, deviation=0.03, observations=300, blocks=60).information(100.0).item()
        75.0
        """
        return np.asarray(1 / (1 / np.asarray(count) + 1 / self.observations), dtype=np.float64)


@dataclass(frozen=True)
class Reading:
    """A window's figure and p-value at the end of a session.

    Attributes
    ----------
    count, estimate
        Live observations in the window, and their mean.
    p_value
        Probability that any look at the window so far would show a deviation as large, were the promise kept; one-sided.
    margin
        By how much the estimate has to differ from the promise now for a p-value of the level asked.
    """

    count: int
    estimate: float
    p_value: float
    margin: float


def running_mean(values: Array) -> Array:
    """Return the mean of the first 1, 2, ... values."""
    return np.asarray(np.cumsum(values) / np.arange(1.0, len(values) + 1), dtype=np.float64)


def running_sharpe(values: Array) -> Array:
    """Return mean over standard deviation of the first 1, 2, ... values; NaN while they do not vary."""
    count, mean = np.arange(1.0, len(values) + 1), running_mean(values)
    squares = np.maximum(np.cumsum(values**2) - count * mean**2, 0.0)
    spread = np.sqrt(squares / np.maximum(count - 1, 1.0))
    ratios = np.full(len(values), np.nan)
    np.divide(mean, spread, out=ratios, where=spread > NOTHING)
    return ratios


def read_windows(  # the question and its terms
    values: Array,
    days: Days,
    today: int,
    promise: Promise,
    *,
    planned: float,
    level: float,
    above: bool = False,
    estimate: Callable[[Array], Array] = running_mean,
) -> Reading | None:
    """Return the window open today that speaks most clearly; None when none has enough observations.

    Its p-value is multiplied by the number of windows that share the level.

    Parameters
    ----------
    values, days
        (n,) live observations and the number of the session each became known in, rising; 0 is the first live session.
    planned
        Observations that a year is expected to bring; what comes beyond is left to the next window.
    level
        Of the p-value that `margin` refers to.
    above
        Test for live values above the promise instead of below it.
    """
    starts = [start for start in range(0, today + 1, RESTART_SESSIONS) if start > today - WINDOW_SESSIONS]
    found = []
    for start in starts:
        inside = (days >= start) & (days <= today)
        reading = _read(values[inside], days[inside], promise, planned, level / OPEN_WINDOWS, -1 if above else 1, estimate)
        if reading is not None:
            found.append(reading)
    return min(found, key=lambda reading: reading.p_value, default=None)


def _read(  # noqa: PLR0917  # passes on what `read_windows` was given
    values: Array, days: Days, promise: Promise, planned: float, level: float, sign: int, estimate: Callable[[Array], Array]
) -> Reading | None:
    """Read one window; a session's observations are looked at together, after its close."""
    last = np.flatnonzero(np.append(days[1:] != days[:-1], True)[: len(days)])  # the last row ends its session
    counts = last.astype(np.float64) + 1
    estimates = estimate(values)[last]
    most, freedom = float(promise.information(max(planned, FEWEST))), promise.blocks - 1
    information = promise.information(counts)
    looks = (counts >= FEWEST) & (information <= most) & np.isfinite(estimates)
    if not looks.any():
        return None
    scores = sign * information * (promise.mean - estimates) / promise.deviation
    highest = float(scores[looks].max())
    p_value = min(1.0, OPEN_WINDOWS * 2 * float(stdtr(freedom, -max(highest, 0.0) / math.sqrt(most))))
    final = int(np.flatnonzero(looks)[-1])
    margin = -float(stdtrit(freedom, level / 2)) * math.sqrt(most) * promise.deviation / float(information[final])
    return Reading(int(counts[final]), float(estimates[final]), p_value, margin)
