"""The training frame: candidates with their features. Owns its shape and its fingerprint; it loads nothing."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from core.errors import DataError
from core.frames import CANDIDATES, FEATURES

MIN_CANDIDATES = 60


def check_dataset(dataset: pd.DataFrame, minimum: int = MIN_CANDIDATES) -> pd.DataFrame:
    """Return the dataset in the order of time, or say why nothing can be learnt from it.

    Parameters
    ----------
    dataset
        CANDIDATES columns, one row a symbol and session, and FEATURES (NaN allowed, infinite not).

    Raises
    ------
    DataError
        When columns are missing, a row is there twice, a feature is infinite, candidates are few or all ended the same way.
    """
    missing = [name for name in (*CANDIDATES.columns, *FEATURES) if name not in dataset]
    if missing:
        raise DataError(
            f"Training: expected candidates with features, found no column {missing[0]!r}. Run `cli featurize` first."
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
    return dataset.sort_values(["event_timestamp", "symbol"], kind="stable", ignore_index=True)


def inputs(frame: pd.DataFrame) -> pd.DataFrame:
    """The model's inputs: FEATURES as floats, in that order."""
    return frame[list(FEATURES)].astype("float64")


def fingerprint(dataset: pd.DataFrame) -> str:
    """SHA-256 of keys, labels and features: the same candidates with the same values give the same text."""
    ordered = dataset.sort_values(["event_timestamp", "symbol"], kind="stable", ignore_index=True)
    rows = pd.util.hash_pandas_object(ordered[[*CANDIDATES.columns, *FEATURES]], index=False).to_numpy()
    return hashlib.sha256(rows.tobytes()).hexdigest()
