"""Hyper-parameters from the training window alone: the search spaces and the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.estimators.models import LIGHTGBM, LOGISTIC

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from optuna import Trial

# The first trial: what `make_models` sets, so that a search can only lose to the defaults by chance, never by omission.
DEFAULTS: dict[str, dict[str, Any]] = {
    LOGISTIC: {"classify__C": 0.1},
    LIGHTGBM: {
        "n_estimators": 100,
        "learning_rate": 0.03,
        "num_leaves": 7,
        "min_child_samples": 20,
        "reg_lambda": 10.0,
        "colsample_bytree": 0.5,
    },
}


def tune(name: str, loss: Callable[[Mapping[str, Any]], float], trials: int, seed: int) -> dict[str, Any]:
    """The settings of the lowest loss among `trials`; none, which keeps the defaults, for a budget of 0.

    Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), seeded and in one process: the same data and seed give
    the same settings.

    Parameters
    ----------
    name
        One of `ml.estimators.models`; a model without a space, like the constant rate, has nothing to tune.
    loss
        Of a set of settings, judged inside the training window.
    """
    if trials == 0 or name not in DEFAULTS:
        return {}
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(DEFAULTS[name])
    study.optimize(lambda trial: loss(suggest(name, trial)), n_trials=trials)
    return dict(study.best_params)


def suggest(name: str, trial: Trial) -> dict[str, Any]:
    """One set of settings of a model, wide enough to reach from heavy to light regularisation."""
    if name == LOGISTIC:
        return {"classify__C": trial.suggest_float("classify__C", 1e-3, 10.0, log=True)}
    return {
        "n_estimators": trial.suggest_int("n_estimators", 25, 300, step=25),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 3, 31),
        "min_child_samples": trial.suggest_int("min_child_samples", 5, 100, step=5),
        "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 100.0, log=True),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0, step=0.1),
    }
