"""Columns for charts: sums at each session, few enough points, and null for what is no number."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Numbers = list[float | None]
Floats = NDArray[np.float64]
Sessions = NDArray[np.datetime64]


def thinned(count: int, most: int) -> NDArray[np.int64]:
    """Return the places of at most `most` of `count` points, evenly apart, the first and the last among them.

    >>> thinned(5, 9).tolist(), thinned(9, 3).tolist(), thinned(0, 3).tolist()
    ([0, 1, 2, 3, 4], [0, 4, 8], [])
    """
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).round().astype(np.int64)


def numbers(values: Floats | None, at: NDArray[np.int64]) -> Numbers:
    """Return the values at some places, null where one is no number or there are none at all."""
    if values is None:
        return [None] * len(at)
    picked = values[at]
    if np.isfinite(picked).all():
        return list(picked.tolist())
    return [value if math.isfinite(value) else None for value in picked.tolist()]


def on_sessions(values: Floats, days: Sessions, sessions: Sessions) -> Floats:
    """Return the sum of the values of each session; a day between two counts to the later one, one after the last to none."""
    summed = np.zeros((len(sessions), *values.shape[1:]))
    at = np.searchsorted(sessions, days)
    inside = at < len(sessions)
    np.add.at(summed, at[inside], values[inside])
    return summed


def since_first(cash: Floats, days: Sessions, sessions: Sessions) -> Floats:
    """Return the cash that moved after the first session, up to each.

    >>> days = np.array(["2024-01-02", "2024-01-03", "2024-01-04"], "datetime64[D]")
    >>> since_first(np.array([9.0, 50.0]), days[[0, 2]], days).tolist()
    [0.0, 0.0, 50.0]
    """
    moved = on_sessions(cash, days, sessions)
    moved[:1] = 0.0
    return np.asarray(np.cumsum(moved), dtype=np.float64)
