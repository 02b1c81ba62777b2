"""What is learnt from a window comes from it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml.entry_filter.train import fit_entry_filter
from ml.entry_filter.window import TrainingTerms, inner_folds, learn
from ml.estimators.calibrate import Calibration
from ml.estimators.models import CONSTANT, LIGHTGBM, LOGISTIC, make_models, model_digest, score
from ml.estimators.tune import DEFAULTS, tune
from ml.samples.dataset import check_dataset, inputs
from tests.unit.ml.conftest import make_candidates

if TYPE_CHECKING:
    import pandas as pd

MODELS = make_models(7)


@pytest.fixture(scope="module")
def window() -> pd.DataFrame:
    return check_dataset(make_candidates(600, skill=1.0))


@pytest.mark.parametrize("name", [LOGISTIC, LIGHTGBM])
def test_a_skilled_model_is_calibrated_and_gets_a_threshold(window: pd.DataFrame, name: str) -> None:
    learnt = learn(name, MODELS[name], window, TrainingTerms())

    assert learnt.calibration.slope > 0.5
    assert learnt.payoffs["bollinger"].threshold is not None
    assert 0 < learnt.payoffs["bollinger"].threshold < 1
    assert learnt.curve.loc[learnt.curve["growth"].idxmax(), "threshold"] == learnt.payoffs["bollinger"].threshold
    accepted = learnt.payoffs["bollinger"].apply(score(learnt.estimator, inputs(window)))["accept"]
    assert window.loc[accepted, "net_return"].mean() > window["net_return"].mean()


def test_the_constant_rate_is_the_weighted_share_of_winners(window: pd.DataFrame) -> None:
    learnt = learn(CONSTANT, MODELS[CONSTANT], window, TrainingTerms())

    found = score(learnt.estimator, inputs(window))
    assert len(set(found)) == 1
    assert found[0] == pytest.approx(window["win"].mean(), abs=0.02)
    assert learnt.calibration == Calibration()


def test_a_short_past_calibrates_nothing_and_says_so() -> None:
    short = check_dataset(make_candidates(70))

    learnt = learn(LOGISTIC, MODELS[LOGISTIC], short, TrainingTerms())

    assert (learnt.calibration, learnt.payoffs["bollinger"].threshold) == (Calibration(), None)
    assert learnt.curve.empty
    assert inner_folds(short.head(3), 5) == []


def test_inner_folds_leave_out_a_training_part_of_one_kind(window: pd.DataFrame) -> None:
    late = window.assign(win=(np.arange(len(window)) > len(window) * 0.6).astype("int8"))

    assert len(inner_folds(late, 5)) == 1
    assert len(inner_folds(window, 5)) == 3


def test_a_search_tries_the_defaults_first_and_keeps_the_best() -> None:
    seen = []

    def loss(settings: dict[str, float]) -> float:
        seen.append(settings)
        return abs(np.log10(settings["classify__C"]) - 0.5)

    found = tune(LOGISTIC, loss, trials=15, seed=7)  # type: ignore[arg-type]

    assert seen[0] == DEFAULTS[LOGISTIC]
    assert len(seen) == 15
    assert found == min(seen, key=lambda settings: abs(np.log10(settings["classify__C"]) - 0.5))
    assert tune(LOGISTIC, loss, trials=0, seed=7) == tune(CONSTANT, loss, trials=5, seed=7) == {}  # type: ignore[arg-type]


def test_the_search_defaults_are_those_of_the_models() -> None:
    for name, settings in DEFAULTS.items():
        have = MODELS[name].get_params()
        assert {key: have[key] for key in settings} == settings


def test_a_tuned_training_is_repeatable_and_blind_to_the_test_part() -> None:
    dataset = make_candidates(260, skill=1.0)
    cut = dataset["session"].quantile(0.8)
    spoiled = dataset.assign(win=dataset["win"].where(dataset["session"] <= cut, 1 - dataset["win"]).astype("int8"))

    first, second, third = (fit_entry_filter(frame, folds=2, trials=3) for frame in (dataset, dataset, spoiled))

    for name, fit in first.models.items():
        assert model_digest(fit.estimator) == model_digest(second.models[name].estimator)
        assert fit.folds[0].settings == third.models[name].folds[0].settings
        assert fit.folds[0].payoffs == third.models[name].folds[0].payoffs
