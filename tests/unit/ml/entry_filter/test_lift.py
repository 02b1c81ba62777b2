"""Lift: a difference that a person can add up, reported only where its interval excludes zero."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.sessions import sessions_between
from ml.entry_filter.lift import compare_curves, stitched
from ml.entry_filter.train import fit_entry_filter
from ml.estimators.models import LIGHTGBM, LOGISTIC
from tests.unit.ml.conftest import make_candidates

SESSIONS = sessions_between(pd.Timestamp("2015-01-02").date(), pd.Timestamp("2016-12-30").date())


def curve(returns: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"session": SESSIONS[: len(returns) + 1], "equity_usd": 100 * np.cumprod(np.append(1.0, 1 + returns))})


def test_a_steady_advantage_is_a_lift_of_252_times_itself_a_year() -> None:
    noise = np.random.default_rng(1).normal(scale=0.01, size=400)
    better = noise + 0.0001 + np.random.default_rng(2).normal(scale=0.0003, size=400)

    found = compare_curves(curve(better), curve(noise), pd.Series(20.0, index=SESSIONS), seed=7)

    whole, low, medium, high = found
    assert [row["regime"] for row in found] == ["all", "low", "medium", "high"]
    assert whole["difference"] == pytest.approx(252 * 100 * (better - noise).mean())
    assert whole["low"] < whole["difference"] < whole["high"]
    assert whole["low"] > 0
    assert whole["lift"] == whole["difference"] == medium["difference"]
    assert low["lift"] is high["difference"] is None, "a regime that never was says nothing"
    assert (medium["sessions"], high["sessions"]) == (400, 0)


def test_a_difference_that_may_be_luck_is_no_lift() -> None:
    one, other = np.random.default_rng(3).normal(scale=0.01, size=(2, 400))

    whole = compare_curves(curve(one), curve(other), pd.Series(20.0, index=SESSIONS), seed=7)[0]

    assert whole["low"] < 0 < whole["high"]
    assert whole["difference"] is not None
    assert whole["lift"] is None


def test_a_session_belongs_to_the_regime_of_the_close_before_it() -> None:
    vix = pd.Series(np.where(np.arange(len(SESSIONS)) % 2 == 0, 30.0, 10.0), index=SESSIONS)
    gains = np.where(np.arange(1, 401) % 2 == 0, 0.001, -0.002)  # the return of session t, known at its close
    gains = gains + np.random.default_rng(4).normal(scale=1e-5, size=400)

    rows = {row["regime"]: row for row in compare_curves(curve(gains), curve(np.zeros(400)), vix, seed=7)}

    assert rows["high"]["difference"] == pytest.approx(-0.002 * 252 * 100, rel=0.01), "odd sessions follow a close at 30"
    assert rows["low"]["difference"] == pytest.approx(0.001 * 252 * 100, rel=0.01)


def test_each_fold_is_spoken_for_by_the_model_its_own_past_preferred() -> None:
    result = fit_entry_filter(make_candidates(600, skill=1.0), folds=3)

    found = stitched(result)

    assert len(found) == len(result.out_of_sample)
    for fold, rows in found.groupby("fold"):
        losses = {name: result.models[name].folds[fold].loss for name in (LOGISTIC, LIGHTGBM)}
        name = rows["model"].iloc[0]
        assert losses[name] == min(losses.values())
        theirs = result.models[name].out_of_sample.query("fold == @fold")
        assert rows["probability"].tolist() == theirs["probability"].tolist()
