"""The fast ways to a next-day prediction against the models themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from core.errors import ConfigError
from core.frames import FEATURES
from ml.next_day.next_day import BOOSTING, BUY, HOLD, LIGHTGBM, SELL, NextDay, Signals, make_regressors
from ml.tracking.next_day_log import RegisteredNextDay
from serving.boosting import as_booster
from serving.next_day_scorer import NextDayScorer
from tests.unit.ml.entry_filter.test_scorer import rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNALS = Signals(0.002, -0.002)
RESIDUALS = np.quantile(np.random.default_rng(5).standard_t(4, 5000), np.linspace(0, 1, 201))


def learnt(kind: str, features: tuple[str, ...] = FEATURES) -> Any:
    rng = np.random.default_rng(3)
    X = pd.DataFrame(rng.normal(size=(4000, len(features))), columns=list(features))
    X = X.mask(rng.random(X.shape) < 0.05)
    return make_regressors(7)[kind].fit(X, 0.01 * X[features[0]].fillna(0) + rng.normal(0, 0.02, len(X)))


def registered(estimator: Any, features: tuple[str, ...] = FEATURES) -> RegisteredNextDay:
    stored = getattr(estimator, "booster_", estimator)  # of LightGBM, what comes back from the registry is the booster
    return RegisteredNextDay("next-day-return", "1", NextDay(stored, RESIDUALS, 0.013, features), "2018-12-28")


@pytest.mark.parametrize("kind", [LIGHTGBM, BOOSTING])
@pytest.mark.parametrize("features", [FEATURES, tuple(reversed(FEATURES))])
def test_the_fast_prediction_is_the_models_own(kind: str, features: tuple[str, ...]) -> None:
    model = registered(learnt(kind, features), features)
    values = rows()
    scorer = NextDayScorer(model, SIGNALS)
    quick, slow = [scorer.score(row.tolist()) for row in values], scorer.score_all(values)

    assert scorer.fast
    assert {one.signal for one in slow} == {BUY, SELL, HOLD}
    assert [one.signal for one in quick] == [one.signal for one in slow]
    for name in ("predicted_return", "low", "high", "confidence"):
        found, expected = ([getattr(one, name) for one in said] for said in (quick, slow))
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12, err_msg=name)


def test_scikit_learns_trees_written_for_lightgbm_give_the_same_bits_on_their_thresholds() -> None:
    fitted = learnt(BOOSTING)
    booster, row = as_booster(fitted), rows(3)[2]
    at = []
    for (tree,) in fitted._predictors:
        for node in tree.nodes[tree.nodes["is_leaf"] == 0]:
            at.append(row.copy())
            at[-1][node["feature_idx"]] = node["num_threshold"]
    frame = pd.DataFrame(np.array(at), columns=list(FEATURES))

    assert len(at) > 500
    np.testing.assert_array_equal(booster.predict(frame.to_numpy()), fitted.predict(frame))


def test_a_tree_without_a_split_is_its_leaf() -> None:
    frame = pd.DataFrame(rows(60), columns=list(FEATURES))
    fitted = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=60).fit(frame, np.linspace(-1, 1, 60))

    assert as_booster(fitted).predict(frame.to_numpy()).tolist() == fitted.predict(frame).tolist()


def test_a_model_that_splits_on_categories_is_not_rewritten() -> None:
    frame = pd.DataFrame({"a": np.tile([0, 1, 2], 100), "b": np.arange(300.0)})
    fitted = HistGradientBoostingRegressor(categorical_features=["a"], min_samples_leaf=5).fit(frame, frame["a"] == 1)

    assert as_booster(fitted) is None


def test_signal_interval_and_confidence_follow_from_the_residuals() -> None:
    class Fixed:
        def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
            return X["rsi_14"].fillna(0).to_numpy() / 100

    model = NextDay(Fixed(), np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), 0.01)
    scorer = NextDayScorer(RegisteredNextDay("n", "1", model, ""), Signals(0.01, -0.01))
    unknown = [float("nan")] * len(FEATURES)
    unknown[FEATURES.index("rsi_14")] = 1.5

    said = scorer.score(unknown)

    assert not scorer.fast, "a model of another kind answers by itself"
    assert said.signal == BUY
    assert said.confidence == pytest.approx(4 / 5), "of five residuals only -2 takes 1.5 % under zero"
    assert (said.low, said.high) == pytest.approx((0.015 - 0.018, 0.015 + 0.018)), "an unknown volatility is a typical one"


def test_a_fast_way_that_disagrees_is_not_taken() -> None:
    class Shifted:
        def __init__(self, booster: Any) -> None:
            self._booster, self._handle, self.best_iteration = booster, booster._handle, booster.best_iteration

        def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
            return np.asarray(self._booster.predict(X)) + 1e-6

    model = registered(learnt(LIGHTGBM))
    shifted = replace(model, model=replace(model.model, estimator=Shifted(model.model.estimator)))
    scorer = NextDayScorer(shifted, SIGNALS)

    assert not scorer.fast
    row = rows(3)[2].tolist()
    assert scorer.score(row).predicted_return == NextDayScorer(model, SIGNALS).score(row).predicted_return + 1e-6


def test_a_model_that_answers_nonsense_is_refused() -> None:
    class Broken:
        def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
            return np.full(len(X), np.nan)

    with pytest.raises(ConfigError, match="expected returns, found nan"):
        NextDayScorer(RegisteredNextDay("n", "7", NextDay(Broken(), RESIDUALS, 0.01), ""), SIGNALS)
