"""Sample weights by the uniqueness of labels: the count of concurrent labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.errors import DataError
from core.sessions import calendar, calendar_name

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def average_uniqueness(begin: NDArray[np.int64], end: NDArray[np.int64]) -> Array:
    """Average uniqueness of labels over bars that they share (López de Prado 2018, sections 4.3 and 4.4).

    A bar that c labels span gives 1 / c to each of them; a label's uniqueness is the mean of what its bars give. Computed from
    running sums, in time that grows with labels plus bars and not with their product.

    Parameters
    ----------
    begin, end
        First bar of each label and the bar after its last, (labels,), 0 or more.

    Returns
    -------
    Array
        (labels,), above 0 and at most 1.

    Raises
    ------
    DataError
        When a label spans no bar.

    >>> average_uniqueness(np.array([1, 2, 6]), np.array([4, 5, 7])).round(3).tolist()
    [0.667, 0.667, 1.0]
    """
    if not len(begin):
        return np.empty(0)
    if (end <= begin).any():
        raise DataError(f"Uniqueness: expected labels of one bar or more, found {int((end <= begin).sum())} that span none.")
    steps = np.zeros(int(end.max()) + 1, dtype=np.int64)
    np.add.at(steps, begin, 1)
    np.subtract.at(steps, end, 1)
    concurrent = np.cumsum(steps)[:-1]
    given = np.concatenate([[0.0], np.cumsum(1 / np.maximum(concurrent, 1))])
    found: Array = (given[end] - given[begin]) / (end - begin)
    return found


def sample_weights(candidates: pd.DataFrame) -> Array:
    """Weights for fitting: average uniqueness among the labels of the same symbol, scaled to a mean of 1.

    A label's bars are the sessions after its decision up to the one in which its trade ended. Labels of different symbols share
    no return and are not counted against each other; that they share the market's move is the business of the intervals, which
    resample whole sessions.

    Parameters
    ----------
    candidates
        Columns symbol, event_timestamp, label_end. Pass the training part alone: a label of the test part says nothing here.
    """
    weight = np.empty(len(candidates))
    for symbol in candidates["symbol"].unique():
        rows = np.flatnonzero(candidates["symbol"] == symbol)
        closes = calendar(calendar_name(str(symbol))).closes
        decided, known = candidates["event_timestamp"].iloc[rows], candidates["label_end"].iloc[rows]
        begin, end = closes.searchsorted(decided, side="right"), closes.searchsorted(known, side="right")
        weight[rows] = average_uniqueness(begin - begin.min(), end - begin.min())
    found: Array = weight / weight.mean()
    return found
