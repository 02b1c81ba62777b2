"""Calibration of probabilities: Platt scaling, learnt on past folds.

A calibrated logistic regression is a logistic regression with other coefficients, and calibrated trees are trees with other
leaves. The calibration is therefore folded into the model, and whoever loads it needs to know nothing of it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from lightgbm import LGBMClassifier
from scipy.optimize import minimize
from scipy.special import expit, logit

from research.statistics import FEWEST_OBSERVATIONS, share_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SLOPE_SPREAD: Final = 0.5  # standard deviation of the prior on the slope, around 1
BINS: Final = 10
CERTAIN: Final = 1e-12


@dataclass(frozen=True)
class Calibration:
    """`logit(calibrated) = slope * logit(raw) + intercept`; a slope of 0 says that the model knows nothing."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, probability: Array) -> Array:
        """Calibrated probabilities."""
        found: Array = expit(self.slope * _logit(probability) + self.intercept)
        return found


class ReliabilityBin(NamedTuple):
    """Predictions of about the same probability: range, number, mean, and the rate that came true with its interval."""

    low: float
    high: float
    n: int
    predicted: float
    realised: float
    realised_low: float | None
    realised_high: float | None


def fit_calibration(probability: Array, win: NDArray[np.int8], weight: Array) -> Calibration:
    """Platt's sigmoid (1999) by weighted maximum likelihood, the slope drawn towards 1 and never negative.

    Few predictions could not tell a slope from noise, hence the prior: normal around 1, standard deviation 0.5. A model whose
    past predictions were worse than none ends near a slope of 0, never upside down.

    Parameters
    ----------
    probability, win, weight
        Of predictions made on data that the model was not fitted on, (samples,).
    """
    x, y = _logit(probability), win.astype(np.float64)

    def loss(at: Array) -> tuple[float, Array]:
        value = at[0] * x + at[1]
        off = weight * (expit(value) - y)
        pull = (at[0] - 1) / SLOPE_SPREAD**2
        total = weight @ (np.logaddexp(0, value) - y * value) + pull * (at[0] - 1) / 2
        return float(total), np.array([off @ x + pull, off.sum()])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)])
    return Calibration(float(found.x[0]), float(found.x[1]))


def fold_in(estimator: Any, calibration: Calibration) -> Any:  # noqa: ANN401  # either estimator
    """A copy of a fitted logistic pipeline or LightGBM classifier whose probabilities are calibrated."""
    calibrated = copy.deepcopy(estimator)
    if isinstance(calibrated, LGBMClassifier):
        _scale_leaves(calibrated.booster_, calibration)
    else:
        classify = calibrated.steps[-1][1]
        classify.coef_ = classify.coef_ * calibration.slope
        classify.intercept_ = classify.intercept_ * calibration.slope + calibration.intercept
    return calibrated


def calibration_error(probability: Array, win: NDArray[np.int8], bins: int = BINS) -> float:
    """Expected calibration error: mean gap between predicted and realised rate over bins of equal size (Naeini et al. 2015)."""
    parts = np.array_split(np.argsort(probability, kind="stable"), min(bins, len(probability)))
    gaps = [abs(float(probability[part].mean() - win[part].mean())) * len(part) for part in parts]
    return sum(gaps) / len(probability)


def reliability(probability: Array, win: Array, bins: int = BINS) -> list[ReliabilityBin]:
    """Return predicted against realised rates over bins of equal size, in the order of the probability.

    There are fewer bins where each would hold fewer predictions than an interval takes. The interval is Wilson's, 95 %.

    Parameters
    ----------
    win
        (predictions,) 1 where the outcome came true, else 0.
    """
    many = max(min(bins, len(probability) // FEWEST_OBSERVATIONS), 1)
    parts = np.array_split(np.argsort(probability, kind="stable"), many) if len(probability) else []
    found = []
    for part in parts:
        said, won = probability[part], int(win[part].sum())
        ends = share_interval(won, len(part))
        low, high = (None, None) if ends is None else ends
        found.append(
            ReliabilityBin(float(said.min()), float(said.max()), len(part), float(said.mean()), won / len(part), low, high)
        )
    return found


def _logit(probability: Array) -> Array:
    found: Array = logit(np.clip(probability, CERTAIN, 1 - CERTAIN))
    return found


def _scale_leaves(booster: Any, calibration: Calibration) -> None:  # noqa: ANN401  # untyped library
    """Scale every leaf by the slope, and add the intercept to those of the first tree: each row passes one of them."""
    for tree, about in enumerate(booster.dump_model()["tree_info"]):
        shift = calibration.intercept if tree == 0 else 0.0
        for leaf in range(about["num_leaves"]):
            booster.set_leaf_output(tree, leaf, booster.get_leaf_output(tree, leaf) * calibration.slope + shift)
