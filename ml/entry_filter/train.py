"""Training of the entry filter: walk-forward for the evaluation, all data for the model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss

from core.errors import DataError
from ml.entry_filter.evaluate import auc, auc_interval, fold_figures
from ml.entry_filter.fit import Fit
from ml.entry_filter.predict import apply_payoffs
from ml.entry_filter.window import TrainingTerms, learn
from ml.estimators.calibrate import calibration_error
from ml.estimators.models import CONSTANT, LOGISTIC, make_models, score
from ml.samples.dataset import check_dataset, inputs
from ml.samples.splits import PurgedWalkForward

KEYS = ["strategy", "symbol", "session", "event_timestamp", "win", "net_return"]


@dataclass(frozen=True)
class TrainResult:
    """The models that may be chosen, the better one's name, and the constant rate that they have to beat.

    `settings` are the parameters of the training.
    """

    models: dict[str, Fit]
    chosen: str
    settings: dict[str, float]
    trained_through: str
    baseline: Fit | None = field(default=None)

    @property
    def out_of_sample(self) -> pd.DataFrame:
        """Out-of-sample predictions of the chosen model."""
        return self.models[self.chosen].out_of_sample


def fit_entry_filter(
    dataset: pd.DataFrame,
    *,
    folds: int = 5,
    embargo_sessions: int = 5,
    seed: int = 7,
    stake: float = 0.4,
    trials: int = 0,
) -> TrainResult:
    """Judge the models walk-forward, then fit them on everything; the higher pooled AUC is chosen, logistic on a tie.

    Parameters
    ----------
    dataset
        CANDIDATES columns and FEATURES.
    stake, trials
        See `ml.entry_filter.window.TrainingTerms`.

    Raises
    ------
    DataError
        When there is too little to learn from, or a fold's training part or all test parts hold winners or losers alone.
    """
    ordered = check_dataset(dataset)
    terms = TrainingTerms(embargo_sessions, seed, stake, trials)
    splitter = PurgedWalkForward(folds, embargo_sessions)
    fits = {name: _fit(name, model, ordered, splitter, terms) for name, model in make_models(seed).items()}
    baseline = fits.pop(CONSTANT)
    chosen = max(fits, key=lambda name: (fits[name].auc, name == LOGISTIC))
    settings = {"folds": folds, **asdict(terms)}
    return TrainResult(fits, chosen, settings, str(ordered["session"].iloc[-1].date()), baseline)


def _fit(name: str, model: Any, dataset: pd.DataFrame, splitter: PurgedWalkForward, terms: TrainingTerms) -> Fit:  # noqa: ANN401
    X, y = inputs(dataset), dataset["win"].to_numpy()
    parts, windows, sizes = [], [], []
    for fold, (training, test) in enumerate(splitter.split(dataset)):
        if len(set(y[training])) < 2:  # noqa: PLR2004  # winners and losers
            raise DataError(f"Walk-forward: fold {fold + 1} would train on winners or losers alone. Use fewer folds.")
        learnt = learn(name, model, dataset.iloc[training], terms)
        keys = dataset.iloc[test][KEYS].reset_index(drop=True)
        judged = apply_payoffs(learnt.payoffs, keys["strategy"], score(learnt.estimator, X.iloc[test]))
        parts.append(pd.concat([keys.assign(fold=fold), judged], axis=1))
        windows.append(learnt)
        sizes.append(float(len(training)))
    pooled = pd.concat(parts, ignore_index=True)
    if pooled["win"].nunique() < 2:  # noqa: PLR2004
        raise DataError(f"Walk-forward: all {len(pooled)} tested candidates ended the same way. Load more history or symbols.")
    win, probability = pooled["win"].to_numpy(), pooled["probability"].to_numpy()
    low, high = auc_interval(pooled, terms.seed)
    final = learn(name, model, dataset, terms)
    return Fit(
        name=name,
        estimator=final.estimator,
        payoffs=final.payoffs,
        auc=auc(win, probability),
        auc_low=low,
        auc_high=high,
        log_loss=float(log_loss(win, np.clip(probability, 1e-12, 1 - 1e-12))),
        calibration_error=calibration_error(probability, win),
        fold_figures=[{"trained_on": size, **fold_figures(part)} for size, part in zip(sizes, parts, strict=True)],
        out_of_sample=pooled,
        window=final,
        folds=windows,
    )
