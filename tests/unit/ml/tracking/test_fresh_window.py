"""Champion and fresh model on what came after the champion's training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.errors import DataError
from core.frames import FEATURES
from ml.entry_filter.predict import EntryFilter, Payoff
from ml.next_day.next_day import NextDay, Signals, figures_of, fit_next_day
from ml.tracking.fresh_window import compare_entry_filters, compare_next_days
from ml.tracking.next_day_log import RegisteredNextDay, metrics_of
from tests.unit.ml.next_day.test_next_day import rows as next_day_rows

DAYS = pd.to_datetime(["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07"])


def candidates() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four candidates of one strategy, and what the fresh model said of them out of sample."""
    keys = pd.DataFrame({"strategy": "bollinger", "symbol": "AAA", "session": DAYS})
    outcome = {"win": np.array([1, 1, 0, 1], dtype="int8"), "net_return": [0.02, 0.02, -0.01, 0.02]}
    dataset = keys.assign(**outcome, **{name: [0.9, 0.2, 0.3, 0.6] for name in FEATURES})
    said = {"probability": [0.5, 0.8, 0.1, 0.7], "predicted_return": 0.0, "accept": [True, True, False, False]}
    return dataset, keys.assign(**outcome, **said, fold=0)


def champion(through: str = "2020-01-02", features: tuple[str, ...] = FEATURES) -> EntryFilter:
    return EntryFilter("f", "1", lambda X: X["rsi_14"].to_numpy(), {"bollinger": Payoff(0.02, -0.01, 0.5)}, features, through)


def test_both_are_scored_on_the_candidates_after_the_champions_last_one() -> None:
    dataset, said = candidates()

    table = compare_entry_filters(champion(), said, dataset, stake=0.5).set_index("model")

    assert table["candidates"].tolist() == [3.0, 3.0]
    assert table.loc["champion", "auc"] == pytest.approx(0.5), "0.2 and 0.6 won, 0.3 lost"
    assert table.loc["fresh", "auc"] == 1.0
    assert table["accepted"].tolist() == [1.0, 1.0]
    assert table.loc["champion", "growth"] == pytest.approx(np.log1p(0.5 * 0.02) / 3), "the champion accepts 0.6 alone"
    assert table.loc["champion", "log_loss"] == pytest.approx(-np.log([0.2, 0.7, 0.6]).mean())


def test_strategies_that_the_champion_does_not_know_are_left_out() -> None:
    dataset, said = candidates()
    rsi = [frame.assign(strategy="rsi") for frame in (dataset, said)]

    table = compare_entry_filters(champion(), pd.concat([said, rsi[1]]), pd.concat([dataset, rsi[0]]), stake=0.5)

    assert table["candidates"].tolist() == [3.0, 3.0]


def test_without_a_later_candidate_there_is_nothing_to_say_and_an_old_champion_says_why() -> None:
    dataset, said = candidates()

    assert compare_entry_filters(champion("2020-01-07"), said, dataset, stake=0.5).empty
    with pytest.raises(DataError, match="needs the feature 'moon'"):
        compare_entry_filters(champion(features=(*FEATURES, "moon")), said, dataset, stake=0.5)


def test_undefined_figures_are_no_metrics() -> None:
    dataset, said = candidates()

    metrics = metrics_of(compare_entry_filters(champion("2020-01-06"), said, dataset, stake=0.5))

    assert metrics["fresh_window/champion_candidates"] == 1.0
    assert not [name for name in metrics if name.endswith("_auc")], "one candidate ranks nothing"


def test_next_day_models_are_scored_on_the_same_later_sessions() -> None:
    class Zero:
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            return np.zeros(len(X))

    dataset = next_day_rows(skill=1.0)
    fit = fit_next_day(dataset, folds=2)["lightgbm"]
    through = "2013-10-31"
    model = RegisteredNextDay("n", "1", NextDay(Zero(), np.array([-2.0, 0.0, 2.0]), 0.01), through)

    table = compare_next_days(model, fit, dataset, Signals()).set_index("model")

    later = fit.out_of_sample[fit.out_of_sample["session"] > through]
    assert table.loc["fresh"].dropna().to_dict() == pytest.approx(figures_of(later))
    assert table["rows"].tolist() == [len(later)] * 2
    assert table.loc["champion", "r2_against_zero"] == 0.0, "it predicts no change"
    assert table.loc["fresh", "rmse"] < table.loc["champion", "rmse"]
    assert compare_next_days(RegisteredNextDay("n", "1", model.model, "2014-01-01"), fit, dataset, Signals()).empty
