r"""Learning from one training window: a fitted, calibrated model and its threshold, without any test data.

    window -> weights -> inner walk-forward -> settings, calibration, threshold
                    \-> fit on the whole window -> calibrated model

Everything that is chosen is chosen on predictions of inner folds, each by a model that was fitted on the window's past. What
is said about the result must come from data after the window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from sklearn.metrics import log_loss

from core.errors import DataError
from ml.entry_filter.predict import Payoff
from ml.estimators.calibrate import Calibration, fit_calibration, fold_in
from ml.estimators.models import CONSTANT, fit_model, score
from ml.estimators.threshold import CURVE, NOTHING, choose_threshold, growth_curve
from ml.estimators.tune import tune
from ml.samples.dataset import inputs, strategies_of
from ml.samples.splits import PurgedWalkForward
from ml.samples.weights import sample_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

INNER_FOLDS: Final = 3
FEWEST_PREDICTIONS: Final = 60  # under which the past calibrates nothing


@dataclass(frozen=True)
class TrainingTerms:
    """Settings of the learning from a window.

    Attributes
    ----------
    embargo_sessions
        Of the inner walk-forward, as of the outer one.
    seed
        Of everything random.
    stake
        Part of the capital in one trade, for which the threshold maximises growth.
    trials
        Hyper-parameter sets tried on the inner folds; 0 keeps the defaults.
    """

    embargo_sessions: int = 5
    seed: int = 7
    stake: float = 0.4
    trials: int = 0


@dataclass(frozen=True)
class Window:
    """The model learnt from a training window.

    Attributes
    ----------
    estimator
        Fitted on the whole window, its calibration folded in.
    payoffs
        Of each strategy's candidates in the window, with its threshold.
    calibration
        The identity where the past was too short.
    settings
        Hyper-parameters that differ from the defaults.
    curve
        `ml.estimators.threshold.growth_curve` of each strategy's inner predictions, under its name; empty where the past was
        too short.
    loss
        Weighted log loss of the calibrated inner predictions, by which models can be compared inside the window; None where the
        past was too short.
    """

    estimator: Any
    payoffs: dict[str, Payoff]
    calibration: Calibration
    settings: dict[str, Any]
    curve: pd.DataFrame
    loss: float | None = None


def learn(name: str, model: Any, window: pd.DataFrame, terms: TrainingTerms) -> Window:  # noqa: ANN401  # an unfitted estimator
    """Learn from a window of candidates, in the order of time, and from nothing else."""
    folds = inner_folds(window, terms.embargo_sessions)

    def past_of(settings: Mapping[str, Any]) -> pd.DataFrame:
        return _predict_past(model, window, folds, settings)

    settings = tune(name, lambda tried: _weighted_loss(past_of(tried)), terms.trials, terms.seed) if folds else {}
    past = past_of(settings)
    estimator = fit_model(model, inputs(window), window["win"].to_numpy(), sample_weights(window), settings)
    payoffs = payoffs_of(window)
    if len(past) < FEWEST_PREDICTIONS or past["win"].nunique() < 2:  # noqa: PLR2004  # winners and losers
        return Window(estimator, payoffs, Calibration(), settings, pd.DataFrame(columns=["strategy", *CURVE]))
    raw, win, weight = (past[column].to_numpy() for column in ("probability", "win", "weight"))
    calibration = Calibration() if name == CONSTANT else fit_calibration(raw, win, weight)
    calibrated = past.assign(probability=calibration.apply(raw))
    curve = _growth(calibrated, terms.stake)
    if name != CONSTANT:
        estimator = fold_in(estimator, calibration)
    loss = _weighted_loss(calibrated)
    return Window(estimator, _with_thresholds(payoffs, curve), calibration, settings, curve, loss)


def payoffs_of(window: pd.DataFrame) -> dict[str, Payoff]:
    """Payoff of each strategy that the dataset holds; one with no winner or no loser yet borrows what all have.

    A strategy without a candidate in the window is unknown in it: its threshold accepts nothing.
    """
    pooled = Payoff.of(window)
    found = {}
    for name in strategies_of(window):
        rows = window[window["strategy"] == name]
        own = Payoff.of(rows)
        win, loss = (
            shared if math.isnan(mine) else mine
            for mine, shared in ((own.mean_win, pooled.mean_win), (own.mean_loss, pooled.mean_loss))
        )
        found[name] = Payoff(win, loss, None if len(rows) else NOTHING)
    return found


def _growth(past: pd.DataFrame, stake: float) -> pd.DataFrame:
    """Growth curves of the strategies that have enough inner predictions to choose a threshold on."""
    curves = []
    for name, rows in past.groupby("strategy"):
        if len(rows) >= FEWEST_PREDICTIONS:
            probability, net_return, weight = (rows[column].to_numpy() for column in ("probability", "net_return", "weight"))
            curves.append(growth_curve(probability, net_return, weight, stake).assign(strategy=name))
    return pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=["strategy", *CURVE])


def _with_thresholds(payoffs: dict[str, Payoff], curve: pd.DataFrame) -> dict[str, Payoff]:
    chosen = {str(name): choose_threshold(rows) for name, rows in curve.groupby("strategy")}
    return {name: replace(payoff, threshold=chosen.get(name, payoff.threshold)) for name, payoff in payoffs.items()}


def inner_folds(window: pd.DataFrame, embargo_sessions: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Purged walk-forward within a window; folds that would train on winners or losers alone are left out.

    None where the window is too short to be cut.
    """
    win = window["win"].to_numpy()
    try:
        parts = list(PurgedWalkForward(INNER_FOLDS, embargo_sessions).split(window))
    except DataError:
        return []
    return [(train, test) for train, test in parts if len(set(win[train])) > 1]


def _predict_past(
    model: Any,  # noqa: ANN401  # an unfitted estimator
    window: pd.DataFrame,
    folds: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
    settings: Mapping[str, Any],
) -> pd.DataFrame:
    """Predictions of the inner folds: columns strategy, probability, win, net_return, weight."""
    X, win = inputs(window), window["win"].to_numpy()
    parts = []
    for train, test in folds:
        fitted = fit_model(model, X.iloc[train], win[train], sample_weights(window.iloc[train]), settings)
        tested = window.iloc[test]
        parts.append(
            pd.DataFrame(
                {
                    "strategy": tested["strategy"].to_numpy(),
                    "probability": score(fitted, X.iloc[test]),
                    "win": win[test],
                    "net_return": tested["net_return"].to_numpy(),
                    "weight": sample_weights(tested),
                }
            )
        )
    columns = ["strategy", "probability", "win", "net_return", "weight"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _weighted_loss(past: pd.DataFrame) -> float:
    """Log loss of inner predictions, weighted like the fit."""
    return float(log_loss(past["win"], past["probability"], sample_weight=past["weight"], labels=[0, 1]))
