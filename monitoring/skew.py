"""Whether what was served is what the data give, number by number. Owns what counts as the same; it loads nothing."""

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
    """A served vector that recomputation does not give again, and the columns that differ."""

    symbol: str
    session: str
    columns: tuple[str, ...]


def differing(served: Array, recomputed: Array, names: Sequence[str]) -> tuple[str, ...]:
    """Names of the numbers that differ; NaN equals NaN alone."""
    apart = np.abs(served - recomputed) > SAME_WITHIN * np.maximum(1.0, np.abs(recomputed))
    found = np.where(np.isnan(served) | np.isnan(recomputed), np.isnan(served) != np.isnan(recomputed), apart)
    return tuple(name for name, differs in zip(names, found, strict=True) if differs)


def is_whole(features: Sequence[float], digest: str) -> bool:
    """Whether a stored vector still has the digest that it was stored with."""
    return feature_hash(features) == digest
