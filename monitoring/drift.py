"""Measure the drift of recent values from those of the training. It loads nothing.

Sessions are autocorrelated, so that two months of VIX never look like ten years of it, and a textbook two-sample test of a
feature always rejects. Therefore the recent window is compared with windows of the same length within the training: it has
drifted when it lies farther from the whole than every one of those, and far enough to matter.

References
----------
- Kolmogorov (1933), Smirnov (1948): largest distance of two distribution functions.
- Siddiqi (2006), Credit Risk Scorecards, Wiley: the population stability index and its usual limits of 0.1 and 0.25.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BINS: Final = 10
FEWEST: Final = 20  # values a side
FEWEST_WINDOWS: Final = 10
LEAST_SHARE: Final = 0.001  # of a bin, so that an empty one is no infinity


@dataclass(frozen=True)
class Drift:
    """Drift of one feature, score or outcome, recent against training.

    Attributes
    ----------
    psi
        Population stability index; None for what has only a mean.
    statistic
        Kolmogorov-Smirnov distance, 0 to 1; of outcomes, difference of the means.
    p_value
        Two-sample test: share of windows, the recent one included, that are at least as far away. None with fewer than ten.
    """

    name: str
    psi: float | None
    statistic: float | None
    p_value: float | None
    reference_mean: float | None
    recent_mean: float | None
    reference_count: int
    recent_count: int
    alert: bool


def feature_drift(name: str, values: Array, window: NDArray[np.int64], limit: float) -> Drift:
    """Measure the drift of a distribution; NaN is a bin of its own.

    Parameters
    ----------
    values
        (rows,)
    window
        (rows,) window number of each row: 0 is the recent one, higher numbers belong to the training.
    limit
        Population stability index from which drift alerts.
    """
    recent, reference = values[window == 0], values[window > 0]
    finite = (reference[np.isfinite(reference)], recent[np.isfinite(recent)])
    usual, now = _mean(finite[0]), _mean(finite[1])
    if min(len(recent), len(reference)) < FEWEST:
        return Drift(name, None, None, None, usual, now, len(reference), len(recent), alert=False)
    edges = bin_edges(finite[0])
    whole = shares(reference, edges)
    index = psi(whole, shares(recent, edges))
    ordered = np.sort(finite[0])
    distance = _distance(ordered, finite[1])
    past = [values[window == number] for number in range(1, int(window.max()) + 1)]
    far = [psi(whole, shares(part, edges)) for part in past if len(part) >= FEWEST]
    p_value = _share_as_far([_distance(ordered, part[np.isfinite(part)]) for part in past if len(part) >= FEWEST], distance)
    beyond = len(far) >= FEWEST_WINDOWS and index > max(far)
    alert = bool(beyond and index >= limit)
    statistic = distance if math.isfinite(distance) else None
    return Drift(name, index, statistic, p_value, usual, now, len(reference), len(recent), alert=alert)


def outcome_drift(name: str, values: Array, window: NDArray[np.int64], least: float) -> Drift:
    """Measure the drift of a mean, such as a win rate; it alerts when farther away than every window, by at least `least`."""
    recent, reference = values[window == 0], values[window > 0]
    usual, now = _mean(reference), _mean(recent)
    if usual is None or now is None or min(len(recent), len(reference)) < FEWEST:
        return Drift(name, None, None, None, usual, now, len(reference), len(recent), alert=False)
    past = [values[window == number] for number in range(1, int(window.max()) + 1)]
    away = [abs(float(part.mean()) - usual) for part in past if len(part) >= FEWEST]
    p_value = _share_as_far(away, abs(now - usual))
    beyond = len(away) >= FEWEST_WINDOWS and abs(now - usual) > max(away)
    alert = bool(beyond and abs(now - usual) >= least)
    return Drift(name, None, now - usual, p_value, usual, now, len(reference), len(recent), alert=alert)


def bin_edges(reference: Array) -> Array:
    """Return the inner edges of ten bins with about equal counts; fewer where values repeat."""
    return np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1])) if len(reference) else np.empty(0)


def shares(values: Array, edges: Array) -> Array:
    """Return the share of the values in each bin, NaN last; none is zero."""
    place = np.where(np.isfinite(values), np.searchsorted(edges, values, side="left"), len(edges) + 1)
    share = np.maximum(np.bincount(place, minlength=len(edges) + 2) / max(len(values), 1), LEAST_SHARE)
    return np.asarray(share / share.sum(), dtype=np.float64)


def psi(reference: Array, recent: Array) -> float:
    """Compute the population stability index of two sets of shares: `sum((a - b) * log(a / b))`."""
    return float(((recent - reference) * np.log(recent / reference)).sum())


def windows_of(sessions: NDArray[np.datetime64], length: int, trained_through: np.datetime64) -> NDArray[np.int64]:
    """Return the window of each row: 0 the newest `length` sessions, then 1, 2, ... backwards through the training, -1 neither.

    Parameters
    ----------
    sessions
        (rows,) session of each row.
    trained_through
        Sessions after it, and before the recent ones, are neither.
    """
    days = np.unique(sessions)
    number = (len(days) - 1 - np.searchsorted(days, sessions)) // length
    outside = (number > 0) & (sessions > trained_through)
    return np.where(outside, -1, number).astype(np.int64)


def _mean(values: Array) -> float | None:
    return float(values.mean()) if len(values) else None


def _distance(ordered: Array, values: Array) -> float:
    """Compute the Kolmogorov-Smirnov distance to values in rising order; NaN without values.

    Between two of the values their distribution function stands still and the other rises, so the largest difference is at one
    of them, on it or right before it: a thousandth of the work of looking at every pooled value.
    """
    if not len(ordered) or not len(values):
        return math.nan
    points = np.sort(values)
    sides: tuple[Literal["left", "right"], ...] = ("left", "right")
    apart = [
        np.searchsorted(ordered, points, side) / len(ordered) - np.searchsorted(points, points, side) / len(points)
        for side in sides
    ]
    return float(np.abs(apart).max())


def _share_as_far(past: list[float], now: float) -> float | None:
    """Compute the rank p-value of the recent window among those of the training."""
    finite = [each for each in past if math.isfinite(each)]
    if len(finite) < FEWEST_WINDOWS or not math.isfinite(now):
        return None
    return (1 + sum(each >= now for each in finite)) / (1 + len(finite))
