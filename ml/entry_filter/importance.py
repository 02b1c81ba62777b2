"""Feature importance of a model: its reliance on each feature, and the loss without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier

from ml.entry_filter.evaluate import auc
from ml.estimators.models import score
from ml.samples.dataset import inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml.entry_filter.fit import Fit

    Array = NDArray[np.float64]

REPEATS: Final = 3


def importances(fit: Fit, dataset: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Importances of each feature, most needed first.

    Returns
    -------
    pd.DataFrame
        feature; gain: LightGBM's total gain of its splits, or the size of a logistic coefficient of the scaled feature, as a
        share of all (0 to 1); permutation, permutation_std: loss of out-of-sample AUC when the feature is shuffled within each
        test block (Breiman 2001), mean and standard deviation of `REPEATS` shuffles. Features that say the same share theirs:
        one stands in for the other.
    """
    lost = _permuted(fit, dataset, seed)
    frame = pd.DataFrame(
        {
            "feature": list(inputs(dataset).columns),
            "gain": gain(fit.estimator),
            "permutation": lost.mean(axis=0),
            "permutation_std": lost.std(axis=0),
        }
    )
    return frame.sort_values("permutation", ascending=False, ignore_index=True)


def gain(estimator: Any) -> Array:  # noqa: ANN401  # a fitted logistic pipeline or LightGBM classifier
    """Share of each feature in what the model uses, (features,)."""
    if isinstance(estimator, LGBMClassifier):
        size = estimator.booster_.feature_importance("gain").astype(np.float64)
    else:
        size = np.abs(np.ravel(estimator.steps[-1][1].coef_))
    total = float(size.sum())
    found: Array = size / total if total > 0 else size
    return found


def _permuted(fit: Fit, dataset: pd.DataFrame, seed: int) -> Array:
    """Loss of pooled AUC, (repeats, features): every fold's own model on its own test block, one feature shuffled."""
    rng = np.random.default_rng(seed)
    tested = fit.out_of_sample.merge(dataset, on=["strategy", "symbol", "session"], suffixes=("", "_"), validate="one_to_one")
    blocks = [inputs(block) for _, block in tested.groupby("fold", sort=True)]
    shuffled = np.concatenate(
        [_shuffled_scores(learnt.estimator, block, rng) for learnt, block in zip(fit.folds, blocks, strict=True)], axis=2
    )
    win = fit.out_of_sample["win"].to_numpy()
    found: Array = fit.auc - np.array([[auc(win, one) for one in repeat] for repeat in shuffled])
    return found


def _shuffled_scores(estimator: Any, block: pd.DataFrame, rng: np.random.Generator) -> Array:  # noqa: ANN401
    """Probabilities of a test block with each feature shuffled in turn, (repeats, features, rows)."""
    rows, features = block.shape
    found = np.empty((REPEATS, features, rows))
    for repeat in range(REPEATS):
        copies = np.tile(block.to_numpy(), (features, 1, 1))
        for feature in range(features):
            rng.shuffle(copies[feature, :, feature])
        flat = pd.DataFrame(copies.reshape(-1, features), columns=block.columns)
        found[repeat] = score(estimator, flat).reshape(features, rows)
    return found
