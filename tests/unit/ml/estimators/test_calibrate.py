"""Calibration: what it corrects, that it is never upside down, and that it disappears in the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ml.estimators.calibrate import SLOPE_SPREAD, Calibration, calibration_error, fit_calibration, fold_in, reliability
from ml.estimators.models import LIGHTGBM, LOGISTIC, fit_model, make_models, score
from ml.samples.dataset import inputs

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def outcomes(slope: float, intercept: float, count: int = 4000) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Raw probabilities, and outcomes of which the true log odds are a line of the raw ones."""
    rng = np.random.default_rng(5)
    raw = rng.normal(scale=1.5, size=count)
    return expit(raw), (rng.random(count) < expit(slope * raw + intercept)).astype("int8")


def test_it_finds_the_line_that_scikit_learn_finds() -> None:
    raw, win = outcomes(0.5, -0.7)
    weight = np.ones(len(raw))

    found = fit_calibration(raw, win, weight)

    assert (found.slope, found.intercept) == pytest.approx((0.5, -0.7), abs=0.1)
    ours = np.log(raw / (1 - raw))[:, None]
    peer = LogisticRegression(C=SLOPE_SPREAD**2, tol=1e-10)
    shifted = peer.fit(ours, win)  # its prior is around 0 and ours around 1: with thousands of samples they agree
    assert found.slope == pytest.approx(shifted.coef_[0, 0], abs=0.02)
    assert calibration_error(found.apply(raw), win) < 0.5 * calibration_error(raw, win)


def test_a_sample_of_weight_two_counts_like_two() -> None:
    raw, win = outcomes(0.8, 0.2, 200)
    twice = fit_calibration(np.tile(raw, 2), np.tile(win, 2), np.ones(400))

    heavy = fit_calibration(raw, win, np.full(200, 2.0))

    assert (heavy.slope, heavy.intercept) == pytest.approx((twice.slope, twice.intercept), abs=1e-4)


def test_a_model_that_was_wrong_is_silenced_and_not_turned_around() -> None:
    raw, win = outcomes(-1.0, 0.0)

    found = fit_calibration(raw, win, np.ones(len(raw)))

    assert found.slope == 0
    assert found.apply(np.array([0.1, 0.9])) == pytest.approx([win.mean()] * 2, abs=1e-3)


def test_few_predictions_hardly_move_it() -> None:
    found = fit_calibration(np.array([0.45, 0.5, 0.5, 0.55]), np.array([1, 0, 1, 0], dtype=np.int8), np.ones(4))

    assert 0.9 < found.slope < 1
    assert Calibration().apply(np.array([0.3])) == pytest.approx([0.3])


@pytest.mark.parametrize("name", [LOGISTIC, LIGHTGBM])
@pytest.mark.parametrize("constant", [False, True])
def test_folded_into_the_model_it_gives_the_same_probabilities(noise: pd.DataFrame, name: str, constant: bool) -> None:
    X = inputs(noise) * (0 if constant else 1)
    fitted = fit_model(make_models(7)[name], X, noise["win"].to_numpy(), np.ones(len(X)))
    before = score(fitted, X)
    calibration = Calibration(0.4, -0.9)

    folded = fold_in(fitted, calibration)

    np.testing.assert_allclose(score(folded, X), calibration.apply(before), rtol=1e-12)
    np.testing.assert_array_equal(score(fitted, X), before, err_msg="the model that was given is not changed")


def test_the_calibration_error_is_the_mean_gap_between_said_and_seen() -> None:
    said = np.array([0.2] * 10 + [0.6] * 10)
    seen = np.array([1] * 4 + [0] * 6 + [1] * 6 + [0] * 4, dtype=np.int8)

    assert calibration_error(said, seen, bins=2) == pytest.approx((0.2 + 0.0) / 2)
    assert calibration_error(np.array([0.5]), np.array([1], dtype=np.int8)) == 0.5


def test_reliability_has_the_rate_of_each_tenth_with_its_interval() -> None:
    said = np.repeat([0.9, 0.1], 100)
    seen = np.array([1] * 90 + [0] * 10 + [0] * 100, dtype=np.float64)
    bins = reliability(said, seen)

    assert len(bins) == 10
    assert [each.n for each in bins] == [20] * 10
    assert (bins[0].low, bins[0].high, bins[0].predicted, bins[0].realised) == pytest.approx((0.1, 0.1, 0.1, 0.0))
    assert bins[0].realised_low == 0.0
    assert bins[0].realised_high == pytest.approx(0.161, abs=0.001)
    assert sum(each.n * each.realised for each in bins) == 90


def test_few_predictions_make_fewer_bins_and_too_few_have_no_interval() -> None:
    said = np.linspace(0, 1, 45)

    assert [each.n for each in reliability(said, said > 0.5)] == [23, 22]  # type: ignore[arg-type]
    (only,) = reliability(said[:7], np.ones(7))
    assert (only.n, only.realised, only.realised_low, only.realised_high) == (7, 1.0, None, None)
    assert reliability(np.array([]), np.array([])) == []
