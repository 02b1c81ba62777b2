"""Walk-forward splits that leak nothing. Owns the purge and the embargo; it fits no model."""

from __future__ import annotations

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
        interval = X[INTERVAL] if groups is None else groups[INTERVAL]
        decided, known = interval["event_timestamp"].to_numpy(), interval["label_end"].to_numpy()
        moments = np.unique(decided)
        if len(moments) <= self.n_splits:
            raise DataError(
                f"Walk-forward: expected more than {self.n_splits} moments, found {len(moments)}. Load more history."
            )
        block = self._blocks(decided, moments)
        for k in range(1, self.n_splits + 1):
            test = np.flatnonzero(block == k)
            first = decided[test].min() if len(test) else moments[0]
            train = np.flatnonzero((block < k) & (known < self._cutoff(first)))
            if len(train) == 0 or len(test) == 0:
                raise DataError(
                    f"Walk-forward: fold {k} has {len(train)} training and {len(test)} test samples. Use fewer folds."
                )
            yield train, test

    def _blocks(self, decided: NDArray[Any], moments: NDArray[Any]) -> NDArray[np.int64]:
        """Block of each sample, such that blocks hold about as many samples each and moments stay whole."""
        before = np.searchsorted(np.sort(decided), moments)  # samples before each moment
        share = 1 / (self.n_splits + 1) if self.min_train_fraction is None else self.min_train_fraction
        start = int(np.ceil(len(decided) * share))
        of_moment = np.where(before < start, 0, 1 + (before - start) * self.n_splits // max(len(decided) - start, 1))
        blocks: NDArray[np.int64] = of_moment[np.searchsorted(moments, decided)]
        return blocks

    def _cutoff(self, first_decision: Any) -> Any:  # noqa: ANN401  # numpy datetime
        """The close that lies the embargo before the first test decision: labels must be known before it."""
        closes = calendar().closes.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        at = np.searchsorted(closes, pd.Timestamp(first_decision).tz_localize(None).to_datetime64())
        cutoff = pd.Timestamp(closes[max(at - self.embargo_sessions, 0)])
        tz = pd.Timestamp(first_decision).tz
        return cutoff.tz_localize(tz) if tz is not None else cutoff.to_datetime64()
