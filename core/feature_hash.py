"""The digest of a feature vector: the same where it was served and where it is recomputed."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

NAN: Final = float("nan")
LENGTH: Final = 16  # hexadecimal digits: two of 10^8 vectors share a digest with probability 0.0003


def feature_set(names: Sequence[str]) -> str:
    """Return the digest of feature names in their order.

    >>> feature_set(["rsi_14", "vix"]) == feature_set(["vix", "rsi_14"])
    False
    """
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:LENGTH]


def feature_hash(values: Sequence[float]) -> str:
    """Return the digest of a vector's float64 bits; every NaN is one NaN, and -0.0 is 0.0.

    >>> feature_hash([0.5, float("nan"), 0.0]) == feature_hash([0.5, -float("nan"), -0.0])
    True
    """
    bits = struct.pack(f"<{len(values)}d", *[NAN if value != value else value + 0.0 for value in values])  # noqa: PLR0124
    return hashlib.sha256(bits).hexdigest()[:LENGTH]
