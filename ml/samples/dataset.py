"""The training frame: candidates with their features, its checks and its fingerprint."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.errors import DataError
from core.frames import CANDIDATES, FEATURES

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_CANDIDATES = 60
MARK = "strategy_"  # leads the columns that say which of several strategies a candidate is of
ORDER = ["event_timestamp", "symbol", "strategy"]


def check_dataset(dataset: pd.DataFrame, minimum: int = MIN_CANDIDATES) -> pd.DataFrame:
    """Return the dataset in the order of time, marked by strategy, or say why nothing can be learnt from it.

    Parameters
    ----------
    dataset
        CANDIDATES columns, one row a strategy, symbol and session, and FEATURES (NaN allowed, infinite not).

    Raises
    ------
    DataError
        When columns are missing, a row is there twice, a feature is infinite, candidates are few or all ended the same way.
    """
    missing = [name for name in (*CANDIDATES.columns, *FEATURES) if name not in dataset]
    if missing:
        raise DataError(
            f"Training: expected candidates with features, found no column {missing[0]!r}. Run `desk featurize` first."
        )
    CANDIDATES.check(dataset.sort_values(list(CANDIDATES.key), kind="stable"))
    endless = np.isinf(inputs(dataset)).sum()
    if endless.any():
        raise DataError(
            f"Training: expected finite features, found {int(endless.max())} infinite values of {endless.idxmax()!r}. "
            "Look at its bars: a price of zero does that."
        )
    if len(dataset) < minimum:
        raise DataError(f"Training: expected {minimum} candidates or more, found {len(dataset)}. Load more history or symbols.")
    if dataset["win"].nunique() < 2:  # noqa: PLR2004  # winners and losers
        raise DataError(f"Training: expected winners and losers, found {len(dataset)} of one kind. Load more history.")
    ordered = dataset.sort_values(ORDER, kind="stable", ignore_index=True)
    return marked(ordered, strategies_of(ordered))


def strategies_of(dataset: pd.DataFrame) -> tuple[str, ...]:
    """Names of the strategies that a dataset holds candidates of, or is marked with."""
    marks = tuple(sorted(name.removeprefix(MARK) for name in dataset.columns if name.startswith(MARK)))
    return marks or tuple(sorted(dataset["strategy"].unique()))


def marked(frame: pd.DataFrame, strategies: Sequence[str]) -> pd.DataFrame:
    """The frame with a column `strategy_NAME`, 1.0 or 0.0, for each of several strategies; one alone needs none.

    >>> marked(pd.DataFrame({"strategy": ["rsi", "gap"]}), ("gap", "rsi"))["strategy_rsi"].tolist()
    [1.0, 0.0]
    """
    if len(strategies) == 1:
        return frame
    return frame.assign(**{f"{MARK}{name}": (frame["strategy"] == name).astype("float64") for name in sorted(strategies)})


def inputs(frame: pd.DataFrame) -> pd.DataFrame:
    """The model's inputs as floats: FEATURES in that order, then the marks that the frame has."""
    marks = sorted(name for name in frame.columns if name.startswith(MARK))
    return frame[[*FEATURES, *marks]].astype("float64")


def fingerprint(dataset: pd.DataFrame) -> str:
    """SHA-256 of keys, labels and features: the same candidates with the same values give the same text."""
    ordered = dataset.sort_values(ORDER, kind="stable", ignore_index=True)
    rows = pd.util.hash_pandas_object(ordered[[*CANDIDATES.columns, *FEATURES]], index=False).to_numpy()
    return hashlib.sha256(rows.tobytes()).hexdigest()
