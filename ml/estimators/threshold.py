"""The acceptance threshold: the growth curve over probabilities, and the choice on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CURVE: Final = ["threshold", "accepted", "growth"]
STEPS: Final = 200  # thresholds of half a percent: a number that a person would write, apart from any one prediction
FEWEST: Final = 20  # accepted candidates under which a growth rate would be luck
NOTHING: Final = 1.0  # the threshold that accepts nothing
RUIN: Final = -0.99  # a short can lose more than everything, of which there is no logarithm


def growth_curve(probability: Array, net_return: Array, weight: Array, stake: float) -> pd.DataFrame:
    """Expected log growth of capital for each threshold.

    Each candidate that is accepted stakes the same part of the capital: growth is the weighted mean over **all** candidates of
    `log(1 + stake * net_return)` where `probability >= threshold`, and 0 elsewhere (Kelly 1956). A threshold of 1 accepts
    nothing and grows nothing.

    Parameters
    ----------
    probability, net_return, weight
        Of predictions out of sample, (samples,); returns are fractions, net of costs.
    stake
        Part of the capital in one trade, above 0 and at most 1.

    Returns
    -------
    pd.DataFrame
        Columns threshold (0 to 1), accepted (count), growth (a candidate).
    """
    order = np.argsort(probability, kind="stable")
    gain = weight * np.log1p(np.maximum(stake * net_return, RUIN))
    left = np.concatenate([np.cumsum(gain[order][::-1])[::-1], [0.0]])  # gains from each rank upwards
    threshold = np.arange(STEPS + 1) / STEPS
    first = np.searchsorted(probability[order], threshold, side="left")
    first[-1] = len(probability)
    return pd.DataFrame({"threshold": threshold, "accepted": len(probability) - first, "growth": left[first] / weight.sum()})


def choose_threshold(curve: pd.DataFrame) -> float:
    """The threshold of the highest growth, the lowest of several; 1, which accepts nothing, where none grows.

    Thresholds that accept fewer than `FEWEST` candidates are passed over.
    """
    open_to = curve[(curve["accepted"] >= FEWEST) & (curve["growth"] > 0)]
    return NOTHING if open_to.empty else float(open_to["threshold"].iloc[int(open_to["growth"].argmax())])
