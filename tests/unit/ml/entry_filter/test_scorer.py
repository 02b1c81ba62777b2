"""The fast ways to a judgement against the models themselves."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from core.frames import FEATURES
from ml.entry_filter.predict import EntryFilter, Payoff
from ml.entry_filter.scorer import Scorer
from ml.tracking.registry import BoosterScore, EstimatorScore

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAYOFF = Payoff(0.02, -0.01)


MARKS = ("strategy_bollinger", "strategy_rsi")


def training_data(features: tuple[str, ...] = FEATURES) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    rng = np.random.default_rng(3)
    X = pd.DataFrame(rng.normal(size=(400, len(features))), columns=list(features))
    X = X.mask(rng.random(X.shape) < 0.05)
    return X, (X["rsi_14"].fillna(0) + rng.normal(size=400) > 0).astype(int).to_numpy()


def boosted(features: tuple[str, ...] = FEATURES) -> tuple[EntryFilter, Any]:
    fitted = LGBMClassifier(n_estimators=40, num_leaves=7, n_jobs=1, verbose=-1).fit(*training_data(features))
    return EntryFilter(
        "entry-filter", "1", BoosterScore(fitted.booster_), {"bollinger": PAYOFF}, features, "2018-12-28"
    ), fitted


def logistic(features: tuple[str, ...] = FEATURES) -> tuple[EntryFilter, Any]:
    steps = [
        ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
        ("scale", StandardScaler()),
        ("classify", LogisticRegression(C=0.1)),
    ]
    fitted = Pipeline(steps).fit(*training_data(features))
    return EntryFilter("entry-filter", "1", EstimatorScore(fitted), {"bollinger": PAYOFF}, features, "2018-12-28"), fitted


def rows(count: int = 500) -> NDArray[np.float64]:
    rng = np.random.default_rng(11)
    values = rng.normal(0, 3, (count, len(FEATURES)))
    values[rng.random(values.shape) < 0.1] = np.nan
    values[0], values[1] = np.nan, 1e6
    return values


@pytest.mark.parametrize("make", [boosted, logistic])
@pytest.mark.parametrize("features", [FEATURES, tuple(reversed(FEATURES)), FEATURES[:7]])
def test_the_fast_probability_is_scikit_learns_to_a_trillionth(make: Any, features: tuple[str, ...]) -> None:
    model, fitted = make(features)
    values = rows()
    expected = fitted.predict_proba(pd.DataFrame(values, columns=list(FEATURES))[list(features)])[:, 1]

    scorer = Scorer(model)
    found = [scorer.score(row.tolist(), "bollinger").probability for row in values]

    assert scorer.fast
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [boosted, logistic])
def test_the_whole_judgement_is_the_filters(make: Any) -> None:
    model, _ = make()
    values = rows()
    scorer = Scorer(model)

    assert [scorer.score(row.tolist(), "bollinger").accept for row in values] == [
        one.accept for one in scorer.score_all(values, "bollinger")
    ]
    np.testing.assert_allclose(
        [scorer.score(row.tolist(), "bollinger") for row in values], scorer.score_all(values, "bollinger"), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("make", [boosted, logistic])
def test_each_of_several_strategies_is_judged_by_its_own_mark_and_payoff(make: Any) -> None:
    model, fitted = make((*FEATURES, *MARKS))
    several = replace(model, features=FEATURES, payoffs={"rsi": Payoff(0.03, -0.02), "bollinger": PAYOFF})
    row = rows(3)[2]
    marks = pd.DataFrame([[*row, 1.0, 0.0], [*row, 0.0, 1.0]], columns=[*FEATURES, *MARKS])
    expected = fitted.predict_proba(marks)[:, 1]

    scorer = Scorer(several)
    found = [scorer.score(row.tolist(), name) for name in ("bollinger", "rsi")]

    assert scorer.fast
    np.testing.assert_allclose([one.probability for one in found], expected, rtol=0, atol=1e-12)
    assert found[1].predicted_return == pytest.approx(expected[1] * 0.03 - (1 - expected[1]) * 0.02)
    np.testing.assert_allclose(found[1], scorer.score_all(row[None], "rsi")[0], rtol=0, atol=1e-12)


def test_a_model_of_another_kind_answers_by_itself() -> None:
    model = EntryFilter("entry-filter", "1", lambda X: np.full(len(X), 0.6), {"bollinger": PAYOFF}, FEATURES, "2018-12-28")

    scorer = Scorer(model)

    assert not scorer.fast
    assert scorer.score([0.0] * len(FEATURES), "bollinger") == pytest.approx((0.6, 0.008, True, 0.2))


def test_a_fast_way_that_disagrees_with_the_model_is_not_taken() -> None:
    model, _ = logistic()

    class Shifted(EstimatorScore):
        def __call__(self, X: pd.DataFrame) -> NDArray[np.float64]:
            return np.asarray(super().__call__(X) * 0.999)

    shifted = replace(model, score=Shifted(model.score.estimator))  # type: ignore[attr-defined]
    scorer = Scorer(shifted)

    assert not scorer.fast
    row = [0.1] * len(FEATURES)
    assert scorer.score(row, "bollinger").probability == pytest.approx(
        0.999 * Scorer(model).score(row, "bollinger").probability, abs=1e-12
    )


def test_threads_that_share_a_booster_get_their_own_answers() -> None:
    scorer = Scorer(boosted()[0])
    values = [row.tolist() for row in rows(50)]
    expected = [scorer.score(row, "bollinger") for row in values]
    wrong: list[int] = []

    def check(place: int) -> None:
        wrong.extend(place for _ in range(200) if scorer.score(values[place], "bollinger") != expected[place])

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=check, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)

    assert wrong == []
