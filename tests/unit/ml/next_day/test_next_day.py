"""The next-day model: its target, its interval, and what it says of noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.errors import DataError
from core.frames import FEATURES
from core.sessions import closes_of, sessions_between
from ml.estimators.models import model_bytes
from ml.next_day.next_day import BUY, HOLD, SELL, NextDay, Signals, figures_of, fit_next_day, targets

SESSIONS = sessions_between(pd.Timestamp("2012-01-03").date(), pd.Timestamp("2013-12-31").date())


class Fixed:
    """Predicts what it is told."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def predict(self, _: pd.DataFrame) -> np.ndarray:
        return np.array(self.values)


def rows(skill: float, seed: int = 1) -> pd.DataFrame:
    """Three symbols; `skill` is how much `rsi_14` moves the next return, whose spread is its volatility."""
    rng = np.random.default_rng(seed)
    parts = []
    for symbol in ("AAA", "BBB", "CCC"):
        features = pd.DataFrame(rng.normal(size=(len(SESSIONS) - 1, len(FEATURES))), columns=list(FEATURES))
        features["volatility_20"] = np.where(rng.random(len(features)) < 0.5, 0.01, 0.03)
        target = features["volatility_20"] * (skill * features["rsi_14"] + rng.normal(size=len(features)))
        keys = {"symbol": symbol, "session": SESSIONS[:-1], "event_timestamp": closes_of(SESSIONS[:-1])}
        parts.append(pd.DataFrame({**keys, "label_end": closes_of(SESSIONS[1:]), "target": target}).join(features))
    return pd.concat(parts, ignore_index=True)


def test_the_target_is_the_return_of_the_very_next_session() -> None:
    bars = pd.DataFrame({"symbol": "AAA", "session": SESSIONS[[0, 1, 2, 4, 5]], "adj_close": [100.0, 102, 51, 60, 66]})

    found = targets(bars)

    assert found["session"].tolist() == SESSIONS[[0, 1, 4]].tolist(), "session 3 has no bar: the return of 2 is unknown"
    assert found["target"].tolist() == pytest.approx([0.02, -0.5, 0.1])
    assert found["event_timestamp"].iloc[0] == closes_of(SESSIONS[[0]])[0]
    assert found["label_end"].iloc[2] == closes_of(SESSIONS[[5]])[0]


def test_signals_and_confidence_follow_from_prediction_and_residuals() -> None:
    model = NextDay(Fixed(0.015, -0.015, 0.005), np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), typical_scale=0.01)
    features = pd.DataFrame({name: [0.01, 0.01, np.nan] for name in FEATURES})

    said = model.predict(features, Signals(0.01, -0.01))

    assert said["signal"].tolist() == [BUY, SELL, HOLD]
    assert said["confidence"].tolist() == pytest.approx([4 / 5, 4 / 5, 2 / 5]), "HOLD: -0.005 and 0.005 lie within one percent"
    assert said["low"].iloc[0] == pytest.approx(0.015 - 0.01 * 1.8)
    assert said["high"].iloc[2] == pytest.approx(0.005 + 0.01 * 1.8), "an unknown volatility is a typical one"


def test_a_volatility_near_zero_leaves_no_doubt() -> None:
    model = NextDay(Fixed(0.015, -0.015), np.array([-2.0, 0.0, 2.0]), typical_scale=0.01)

    said = model.predict(pd.DataFrame({name: [5e-324, 5e-324] for name in FEATURES}), Signals(0.01, -0.01))

    assert said["confidence"].tolist() == [1.0, 1.0]


def test_the_interval_covers_what_it_promises_and_is_wider_where_the_symbol_moves_more() -> None:
    for fit in fit_next_day(rows(skill=0.5), folds=2).values():
        assert fit.figures["coverage"] == pytest.approx(0.9, abs=0.04)
        width = (fit.out_of_sample["high"] - fit.out_of_sample["low"]).round(9)
        assert width.max() > 2.5 * width.min()


def test_a_signal_is_found_and_noise_is_not() -> None:
    skilled, noise = fit_next_day(rows(skill=1.0), folds=2), fit_next_day(rows(skill=0.0), folds=2)

    for name in skilled:
        assert skilled[name].figures["r2_against_zero"] > 0.05
        assert skilled[name].figures["rank_ic"] > 0.3
        assert skilled[name].figures["buy_mean_return"] > 0.005 > -0.005 > skilled[name].figures["sell_mean_return"]
        assert noise[name].figures["r2_against_mean"] < 0.02
        assert abs(noise[name].figures["rank_ic"]) < 0.1


def test_the_same_rows_and_seed_give_the_same_model_and_no_future_reaches_the_past() -> None:
    whole = rows(skill=0.5)
    cut = SESSIONS[len(SESSIONS) // 2]
    spoiled = whole.assign(target=whole["target"].where(whole["session"] <= cut, -whole["target"]))

    first, shuffled, other = (fit_next_day(frame, folds=2) for frame in (whole, whole.sample(frac=1, random_state=1), spoiled))

    assert first["lightgbm"].model.residuals.tolist() == shuffled["lightgbm"].model.residuals.tolist()
    one, two = (fits["lightgbm"].model.estimator.booster_.model_to_string() for fits in (first, shuffled))
    assert one == two
    assert model_bytes(first["gradient_boosting"].model.estimator) == model_bytes(shuffled["gradient_boosting"].model.estimator)
    for name in first:
        before, after = first[name].out_of_sample, other[name].out_of_sample
        known = before["session"] <= cut
        assert known.sum() > 100
        assert before.loc[known, "predicted_return"].tolist() == after.loc[known, "predicted_return"].tolist()


def test_a_feature_that_a_window_never_knows_is_no_error() -> None:
    late = rows(skill=0.5)
    late.loc[late["session"] < "2013-09-02", ["vix", "vix_change_1"]] = np.nan

    for fit in fit_next_day(late, folds=2).values():
        assert np.isfinite(fit.out_of_sample["predicted_return"]).all()
        assert np.isfinite(fit.model.predict(late, Signals())["high"]).all()


def test_undefined_figures_are_left_out() -> None:
    predictions = pd.DataFrame(
        {
            "event_timestamp": [1, 2],
            "target": 0.0,
            "training_mean": 0.0,
            "predicted_return": 0.0,
            "low": -1.0,
            "high": 1.0,
            "signal": HOLD,
        }
    )

    found = figures_of(predictions)

    assert {"r2_against_zero", "r2_against_mean", "rank_ic"} & found.keys() == set()
    assert found["coverage"] == 1


def test_too_little_is_said() -> None:
    with pytest.raises(DataError, match=r"found 30\. Load more history"):
        fit_next_day(rows(0.0).head(30))
    spoiled = rows(0.0)
    spoiled.loc[5, "target"] = np.inf
    with pytest.raises(DataError, match="price of zero"):
        fit_next_day(spoiled)
