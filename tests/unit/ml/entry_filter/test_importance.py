"""Importances find the feature that knows something, and the tables say what was learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from core.frames import FEATURES
from ml.entry_filter.evaluate import feature_statistics, fold_table
from ml.entry_filter.importance import importances
from ml.entry_filter.train import TrainResult, fit_entry_filter
from ml.samples.dataset import check_dataset
from ml.tracking.plots import plots_of
from tests.unit.ml.conftest import make_candidates

if TYPE_CHECKING:
    import pandas as pd


@pytest.fixture(scope="module")
def dataset() -> pd.DataFrame:
    return check_dataset(make_candidates(skill=2.0))


@pytest.fixture(scope="module")
def result(dataset: pd.DataFrame) -> TrainResult:
    return fit_entry_filter(dataset, folds=3)


def test_the_feature_that_decides_is_the_most_needed_and_the_rest_is_not(result: TrainResult, dataset: pd.DataFrame) -> None:
    for fit in result.models.values():
        found = importances(fit, dataset, seed=7)

        assert set(found["feature"]) == set(FEATURES)
        assert found["feature"].iloc[0] == "rsi_14"
        assert found["permutation"].iloc[0] > 0.2
        assert found["permutation"].iloc[1:].abs().max() < 0.1
        assert found["gain"].idxmax() == 0
        assert found["gain"].sum() == pytest.approx(1)


def test_importances_are_repeatable(result: TrainResult, dataset: pd.DataFrame) -> None:
    fit = result.models[result.chosen]

    first, second = (importances(fit, dataset, seed=7) for _ in range(2))

    assert first.equals(second)


def test_the_fold_table_says_what_each_fold_tested_and_learnt(result: TrainResult) -> None:
    fit = result.models[result.chosen]

    table = fold_table(fit)

    assert table["fold"].tolist() == [1, 2, 3]
    assert (table["from"] <= table["to"]).all()
    assert table["candidates"].sum() == len(fit.out_of_sample)
    assert table["trained_on"].is_monotonic_increasing
    said = [
        np.nan if learnt.payoffs["bollinger"].threshold is None else learnt.payoffs["bollinger"].threshold
        for learnt in fit.folds
    ]
    assert table["threshold"].tolist() == pytest.approx(said, nan_ok=True)


def test_feature_statistics_name_what_is_constant_or_missing(dataset: pd.DataFrame) -> None:
    found = feature_statistics(dataset.assign(vix=np.nan, rsi_14=50.0)).set_index("feature")

    assert found.loc["vix", ["count", "missing", "constant"]].tolist() == [0, 1.0, False]
    assert found.loc["rsi_14", ["missing", "constant", "mean"]].tolist() == [0.0, True, 50.0]
    assert not found.loc["slope_3", "constant"]


def test_every_picture_is_drawn_even_where_nothing_was_chosen(result: TrainResult, dataset: pd.DataFrame) -> None:
    fit = result.models[result.chosen]
    pictures = plots_of(fit, importances(fit, dataset, seed=7))

    assert len(pictures) == 6
    threshold = pictures["threshold_growth.png"].axes[0]
    assert threshold.get_xlabel() == "Threshold"
    chosen = fit.payoffs["bollinger"].threshold
    drawn = {line.get_label(): line.get_xdata()[0] for line in threshold.lines if line.get_linestyle() == ":"}
    assert drawn == {f"bollinger: threshold {chosen:.3f}": chosen}
    short = fit_entry_filter(check_dataset(make_candidates(100)), folds=3)
    assert plots_of(short.models["logistic"], importances(short.models["logistic"], dataset=make_candidates(100), seed=7))
