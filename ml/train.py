"""Training of the entry filter: walk-forward for the judgement, all data for the model. Owns that order; it stores nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from sklearn.base import clone

from core.errors import DataError
from ml.dataset import check_dataset, inputs
from ml.evaluate import auc, auc_interval, fold_figures
from ml.models import LOGISTIC, make_models
from ml.predict import Payoff
from ml.splits import PurgedWalkForward

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEYS = ["symbol", "session", "win", "net_return"]


@dataclass(frozen=True)
class Fit:
    """One model: fitted on everything, judged out of sample.

    Attributes
    ----------
    estimator
        Fitted on all candidates.
    payoff
        Of all candidates.
    auc, auc_low, auc_high
        Of the pooled out-of-sample predictions, with a 95 % interval.
    fold_figures
        `ml.evaluate.fold_figures` of each test block, oldest first.
    out_of_sample
        symbol, session, win, net_return, fold, probability, predicted_return, accept, confidence.
    """

    name: str
    estimator: Any
    payoff: Payoff
    auc: float
    auc_low: float
    auc_high: float
    fold_figures: list[dict[str, float]]
    out_of_sample: pd.DataFrame


@dataclass(frozen=True)
class TrainResult:
    """Both models and the name of the better one; `settings` are the parameters of the training."""

    models: dict[str, Fit]
    chosen: str
    settings: dict[str, int]
    trained_through: str

    @property
    def out_of_sample(self) -> pd.DataFrame:
        """Out-of-sample predictions of the chosen model."""
        return self.models[self.chosen].out_of_sample


def train(dataset: pd.DataFrame, *, folds: int = 5, embargo_sessions: int = 5, seed: int = 7) -> TrainResult:
    """Judge both models walk-forward, then fit them on everything; the higher pooled AUC is chosen, logistic on a tie.

    Parameters
    ----------
    dataset
        CANDIDATES columns and FEATURES.

    Raises
    ------
    DataError
        When there is too little to learn from, or a fold's training part or all test parts hold winners or losers alone.
    """
    ordered = check_dataset(dataset)
    splitter = PurgedWalkForward(folds, embargo_sessions)
    fits = {name: _fit(name, model, ordered, splitter, seed) for name, model in make_models(seed).items()}
    chosen = max(fits, key=lambda name: (fits[name].auc, name == LOGISTIC))
    settings = {"folds": folds, "embargo_sessions": embargo_sessions, "seed": seed}
    return TrainResult(fits, chosen, settings, str(ordered["session"].iloc[-1].date()))


def score(estimator: Any, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: ANN401  # either estimator
    """Probability of a win, one element a row."""
    probability: NDArray[np.float64] = estimator.predict_proba(X)[:, 1]
    return probability


def _fit(name: str, model: Any, dataset: pd.DataFrame, splitter: PurgedWalkForward, seed: int) -> Fit:  # noqa: ANN401
    X, y = inputs(dataset), dataset["win"].to_numpy()
    parts = []
    for fold, (training, test) in enumerate(splitter.split(dataset)):
        if len(set(y[training])) < 2:  # noqa: PLR2004  # winners and losers
            raise DataError(f"Walk-forward: fold {fold + 1} would train on winners or losers alone. Use fewer folds.")
        fitted = clone(model).fit(X.iloc[training], y[training])
        judged = Payoff.of(dataset.iloc[training]).judge(score(fitted, X.iloc[test]))
        keys = dataset.iloc[test][KEYS].reset_index(drop=True)
        parts.append(pd.concat([keys.assign(fold=fold), judged], axis=1))
    pooled = pd.concat(parts, ignore_index=True)
    if pooled["win"].nunique() < 2:  # noqa: PLR2004
        raise DataError(f"Walk-forward: all {len(pooled)} tested candidates ended the same way. Load more history or symbols.")
    low, high = auc_interval(pooled, seed)
    return Fit(
        name=name,
        estimator=clone(model).fit(X, y),
        payoff=Payoff.of(dataset),
        auc=auc(pooled["win"].to_numpy(), pooled["probability"].to_numpy()),
        auc_low=low,
        auc_high=high,
        fold_figures=[fold_figures(part) for part in parts],
        out_of_sample=pooled,
    )
