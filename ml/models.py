"""The two estimators of the entry filter and how they become bytes. Owns their settings; it fits and stores nothing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

LOGISTIC, LIGHTGBM = "logistic", "lightgbm"


def make_models(seed: int) -> dict[str, Any]:
    """Unfitted estimators by name.

    Both take NaN: the logistic regression imputes medians of its training part, LightGBM has a branch for it. Few samples and
    weak signal call for strong regularisation; the values were chosen for that and tuned on nothing.
    """
    return {
        LOGISTIC: Pipeline(
            [
                ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
                ("scale", StandardScaler()),
                ("classify", LogisticRegression(C=0.1, max_iter=2000, random_state=seed)),
            ]
        ),
        LIGHTGBM: LGBMClassifier(
            n_estimators=100,
            learning_rate=0.03,
            num_leaves=7,
            min_child_samples=20,
            reg_lambda=10.0,
            subsample=0.8,
            subsample_freq=1,
            colsample_bytree=0.5,
            random_state=seed,
            deterministic=True,
            force_row_wise=True,
            n_jobs=1,
            verbose=-1,
        ),
    }


def model_bytes(estimator: Any) -> bytes:  # noqa: ANN401  # either estimator
    """Everything a fitted estimator has learnt, as bytes: the same data and seed give the same ones."""
    if isinstance(estimator, LGBMClassifier):
        return str(estimator.booster_.model_to_string()).encode()
    impute, scale, classify = (estimator.named_steps[name] for name in ("impute", "scale", "classify"))
    learnt = (impute.statistics_, scale.mean_, scale.scale_, classify.coef_, classify.intercept_)
    return json.dumps([[float(value).hex() for value in np.ravel(values)] for values in learnt]).encode()


def model_digest(estimator: Any) -> str:  # noqa: ANN401  # either estimator
    """SHA-256 of `model_bytes`."""
    return hashlib.sha256(model_bytes(estimator)).hexdigest()
