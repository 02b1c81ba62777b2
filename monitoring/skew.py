"""Compare served features with recomputed ones, number by number. It loads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.feature_hash import feature_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SAME_WITHIN: Final = 1e-9  # relative above 1, absolute below: the arithmetic of another machine


class Mismatch(NamedTuple):
    """A served vector that differs from its recomputation, and the columns that differ."""

    symbol: str
    session: str
    columns: tuple[str, ...]


def differing(served: Array, recomputed: Array, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the numbers that differ; NaN equals NaN alone."""
    apart = np.abs(served - recomputed) > SAME_WITHIN * np.maximum(1.0, np.abs(recomputed))
    differs = np.where(np.isnan(served) | np.isnan(recomputed), np.isnan(served) != np.isnan(recomputed), apart)
    return tuple(name for name, apart_here in zip(names, differs, strict=True) if apart_here)


def is_whole(features: Sequence[float], digest: str) -> bool:
    """Return True when a stored vector still has the digest that it was stored with."""
    return feature_hash(features) == digest
