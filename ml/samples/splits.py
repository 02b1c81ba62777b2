"""Splits of labelled samples without leakage: purge and embargo.

The splitter follows scikit-learn's contract. No label interval of the training part touches one of the test part.
A sample's label interval goes from its decision to the moment at which its outcome is known, both included.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.errors import DataError
from core.sessions import calendar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

INTERVAL = ["event_timestamp", "label_end"]


class PurgedWalkForward:
    """Expanding walk-forward over time, purged and embargoed; follows scikit-learn's splitter contract.

    Time is cut into a first training block and `n_splits` test blocks of about equal numbers of samples. Fold k trains on all
    blocks before test block k and tests on it. A training sample whose label was not known `embargo_sessions` sessions before
    the first decision of the test block is left out (purged). Samples of one moment are never divided. López de Prado,
    Advances in Financial Machine Learning (2018), sections 7.4.1 and 7.4.2.

    Parameters
    ----------
    n_splits
        Test blocks.
    embargo_sessions
        XNYS sessions between the last training label and the first test decision.
    min_train_fraction
        Share of the samples in the first training block; as large as a test block unless given.
    """

    def __init__(self, n_splits: int = 5, embargo_sessions: int = 5, min_train_fraction: float | None = None) -> None:
        self.n_splits = n_splits
        self.embargo_sessions = embargo_sessions
        self.min_train_fraction = min_train_fraction

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ANN401, ARG002  # scikit-learn's contract
        """Number of folds."""
        return self.n_splits

    def split(
        self,
        X: pd.DataFrame,
        y: Any = None,  # noqa: ANN401, ARG002  # scikit-learn's contract
        groups: pd.DataFrame | None = None,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield training and test positions of each fold.

        Parameters
        ----------
        X
            Samples in any order; holds event_timestamp and label_end (UTC) unless `groups` does.
        groups
            Frame of event_timestamp and label_end, one row a sample.

        Raises
        ------
        DataError
            When there are fewer distinct moments than blocks, or a fold would have nothing to train on.
        """
        decided, known = _intervals(X, groups)
        moments = np.unique(decided)
        if len(moments) <= self.n_splits:
            raise DataError(
                f"Walk-forward: expected more than {self.n_splits} moments, found {len(moments)}. Load more history."
            )
        block = self._blocks(decided, moments)
        for k in range(1, self.n_splits + 1):
            test = np.flatnonzero(block == k)
            first = decided[test].min() if len(test) else moments[0]
            train = np.flatnonzero((block < k) & (known < _sessions_away(first, -self.embargo_sessions)))
            if len(train) == 0 or len(test) == 0:
                raise DataError(
                    f"Walk-forward: fold {k} has {len(train)} training and {len(test)} test samples. Use fewer folds."
                )
            yield train, test

    def _blocks(self, decided: NDArray[Any], moments: NDArray[Any]) -> NDArray[np.int64]:
        """Block of each sample; 0 is the first training block."""
        share = 1 / (self.n_splits + 1) if self.min_train_fraction is None else self.min_train_fraction
        return _blocks(decided, moments, self.n_splits, int(np.ceil(len(decided) * share)))


def _intervals(X: pd.DataFrame, groups: pd.DataFrame | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Decision and end of each sample's label, from `groups` if given, else from `X`."""
    interval = (X if groups is None else groups)[INTERVAL]
    return interval["event_timestamp"].to_numpy(), interval["label_end"].to_numpy()


def _blocks(decided: NDArray[Any], moments: NDArray[Any], blocks: int, start: int) -> NDArray[np.int64]:
    """Block of each sample: 0 for the earliest `start`, then 1 to `blocks` of about equal numbers; moments stay whole."""
    before = np.searchsorted(np.sort(decided), moments)  # samples before each moment
    of_moment = np.where(before < start, 0, 1 + (before - start) * blocks // max(len(decided) - start, 1))
    found: NDArray[np.int64] = of_moment[np.searchsorted(moments, decided)]
    return found


def _sessions_away(instant: Any, sessions: int) -> Any:  # noqa: ANN401  # numpy datetime
    """The close so many XNYS sessions after (before, where negative) the first close at or after `instant`."""
    closes = _closes()
    at = int(np.searchsorted(closes, pd.Timestamp(instant).tz_localize(None).to_datetime64()))
    found = pd.Timestamp(closes[min(max(at + sessions, 0), len(closes) - 1)])
    tz = pd.Timestamp(instant).tz
    return found.tz_localize(tz) if tz is not None else found.to_datetime64()


@cache
def _closes() -> NDArray[Any]:
    """Every XNYS close (UTC)."""
    closes: NDArray[Any] = calendar().closes.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    return closes
