"""The estimators of the entry filter, their settings, and their bytes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from lightgbm import LGBMClassifier
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from ml.estimators.stored_form import skops_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

LOGISTIC, LIGHTGBM, CONSTANT = "logistic", "lightgbm", "constant"
UNTOLD = {"random_state", "seed", "verbose", "n_jobs", "deterministic", "force_row_wise"}


def make_models(seed: int) -> dict[str, Any]:
    """Unfitted estimators by name: the two that may be chosen, and the constant rate of winners that they must beat.

    All take NaN: the logistic regression imputes medians of its training part, LightGBM has a branch for it. Few samples and
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
        CONSTANT: DummyClassifier(strategy="prior"),
    }


def fit_model(
    model: Any,  # noqa: ANN401  # any of `make_models`
    X: pd.DataFrame,
    y: NDArray[np.int8],
    weight: NDArray[np.float64],
    settings: Mapping[str, Any] | None = None,
) -> Any:  # noqa: ANN401
    """A fitted copy of a model with other settings: the one place that knows where each takes its sample weights."""
    fresh = clone(model).set_params(**(settings or {}))
    name = f"{fresh.steps[-1][0]}__sample_weight" if isinstance(fresh, Pipeline) else "sample_weight"
    return fresh.fit(X, y, **{name: weight})


def chosen_settings(estimator: Any) -> dict[str, Any]:  # noqa: ANN401  # any of `make_models` and `ml.next_day.next_day.make_regressors`
    """Parameters that differ from the defaults of their class, those of a pipeline's step as `step__name`.

    What changes no prediction, or stands in the training's own settings, is left out (`UNTOLD`).
    """
    if isinstance(estimator, Pipeline):
        return {f"{step}__{name}": value for step, part in estimator.steps for name, value in chosen_settings(part).items()}
    defaults = type(estimator)().get_params()
    found = {name: value for name, value in estimator.get_params().items() if name not in UNTOLD}
    return {
        name: value for name, value in found.items() if repr(value) != repr(defaults.get(name))
    }  # NaN equals nothing, not even itself


def score(estimator: Any, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: ANN401  # any fitted one
    """Probability of a win, one element a row."""
    probability: NDArray[np.float64] = estimator.predict_proba(X)[:, 1]
    return probability


def model_bytes(estimator: Any) -> bytes:  # noqa: ANN401  # any fitted one
    """The file that stores a fitted estimator: the same data, seed and library versions give the same bytes."""
    if isinstance(estimator, LGBMClassifier):
        return str(estimator.booster_.model_to_string()).encode()
    return skops_bytes(estimator)


def model_digest(estimator: Any) -> str:  # noqa: ANN401  # any fitted one
    """SHA-256 of `model_bytes`."""
    return hashlib.sha256(model_bytes(estimator)).hexdigest()
