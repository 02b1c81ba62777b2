"""Columns for charts: few enough points, and null for what is no number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Numbers = list[float | None]


def thinned(count: int, most: int) -> NDArray[np.int64]:
    """Return the places of at most `most` of `count` points, evenly apart, the first and the last among them.

    >>> thinned(5, 9).tolist(), thinned(9, 3).tolist(), thinned(0, 3).tolist()
    ([0, 1, 2, 3, 4], [0, 4, 8], [])
    """
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).round().astype(np.int64)


def numbers(values: NDArray[np.float64] | None, at: NDArray[np.int64]) -> Numbers:
    """Return the values at some places, null where one is no number or there are none at all."""
    if values is None:
        return [None] * len(at)
    picked = values[at]
    if np.isfinite(picked).all():
        return list(picked.tolist())
    return [value if math.isfinite(value) else None for value in picked.tolist()]
