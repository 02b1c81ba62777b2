"""Training: what the models see, what comes out, and that it comes out the same again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from core.errors import DataError
from core.frames import FEATURES
from ml.entry_filter.evaluate import auc, auc_interval, fold_figures, strategy_table
from ml.entry_filter.predict import EntryFilter, Payoff
from ml.entry_filter.train import fit_entry_filter
from ml.estimators.models import LIGHTGBM, LOGISTIC, make_models, model_bytes, model_digest, score
from ml.samples.dataset import check_dataset, fingerprint, inputs
from ml.tracking.plots import confusion_figure, roc_figure
from tests.unit.ml.conftest import make_candidates


def test_noise_is_reported_as_noise(noise: pd.DataFrame) -> None:
    result = fit_entry_filter(noise)

    for fit in result.models.values():
        assert fit.auc_low < 0.5 < fit.auc_high
        assert fit.auc_low < fit.auc < fit.auc_high


def test_a_real_signal_is_found_by_both_models() -> None:
    result = fit_entry_filter(make_candidates(skill=2.0))

    assert all(fit.auc > 0.8 and fit.auc_low > 0.5 for fit in result.models.values())
    assert result.models[result.chosen].auc == max(fit.auc for fit in result.models.values())
    accepted = result.out_of_sample[result.out_of_sample["accept"]]
    assert accepted["net_return"].mean() > result.out_of_sample["net_return"].mean()


def test_the_same_data_and_seed_give_the_same_model_bytes(noise: pd.DataFrame) -> None:
    shuffled = noise.sample(frac=1, random_state=3)

    first, second = fit_entry_filter(noise), fit_entry_filter(shuffled)

    for name in (LOGISTIC, LIGHTGBM):
        assert model_bytes(first.models[name].estimator) == model_bytes(second.models[name].estimator)
        pd.testing.assert_frame_equal(first.models[name].out_of_sample, second.models[name].out_of_sample)
    assert fingerprint(noise) == fingerprint(shuffled)


def test_another_seed_or_label_gives_another_model(noise: pd.DataFrame) -> None:
    changed = noise.assign(win=1 - noise["win"])
    digests = {
        model_digest(fit_entry_filter(frame, seed=seed).models[LIGHTGBM].estimator)
        for frame, seed in ((noise, 7), (noise, 8), (changed, 7))
    }

    assert len(digests) == 3
    assert fingerprint(noise) != fingerprint(changed)


def test_each_candidate_is_judged_by_a_model_that_never_saw_its_future(noise: pd.DataFrame) -> None:
    result = fit_entry_filter(noise)
    ordered = noise.sort_values(["event_timestamp", "symbol"], ignore_index=True)
    cut = ordered["session"].iloc[len(ordered) // 2]

    spoiled = noise.copy()
    later = spoiled["session"] > cut
    spoiled.loc[later, "win"] = 1 - spoiled.loc[later, "win"]
    spoiled.loc[later, list(FEATURES)] = spoiled.loc[later, list(FEATURES)] * 10 + 5  # medians and scales move with it
    again = fit_entry_filter(spoiled)

    for name in (LOGISTIC, LIGHTGBM):
        before, after = result.models[name].out_of_sample, again.models[name].out_of_sample
        known = before["session"] <= cut
        assert known.sum() > 50
        judged = ["probability", "predicted_return", "accept"]
        pd.testing.assert_frame_equal(before.loc[known, judged], after.loc[known, judged])
        assert (before.loc[~known, "probability"] != after.loc[~known, "probability"]).any()


def test_the_logistic_regression_imputes_medians_of_its_training_part() -> None:
    X = pd.DataFrame({name: [1.0, 2.0, 9.0, np.nan] for name in FEATURES})
    fitted = make_models(7)[LOGISTIC].fit(X, [0, 1, 0, 1])

    assert (fitted.named_steps["impute"].statistics_ == 2.0).all()


def test_both_models_take_missing_features(noise: pd.DataFrame) -> None:
    blank = pd.DataFrame({name: [np.nan, np.nan] for name in FEATURES})

    for fit in fit_entry_filter(noise).models.values():
        assert np.isfinite(score(fit.estimator, blank)).all()


def test_a_feature_that_is_never_known_is_no_obstacle(noise: pd.DataFrame) -> None:
    result = fit_entry_filter(noise.assign(vix=np.nan))

    assert np.isfinite(result.out_of_sample["probability"]).all()


def in_the_first_tenth_alone(frame: pd.DataFrame) -> pd.Series[int]:
    """Winners among the earliest candidates, losers after them."""
    early = frame["event_timestamp"] < frame["event_timestamp"].quantile(0.1)
    return (early & (frame["symbol"] == "AAA")).astype("int8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda frame: frame.head(10), "found 10. Load more history"),
        (lambda frame: frame.assign(win=np.int8(1)), "winners and losers"),
        (lambda frame: frame.drop(columns="rsi_14"), "rsi_14"),
        (lambda frame: frame.assign(slope_5=np.inf), "288 infinite values of 'slope_5'"),
        (lambda frame: pd.concat([frame, frame.head(1)]), "unique"),
        (lambda frame: frame.assign(net_return=np.nan), "net_return: expected no missing value"),
        (lambda frame: frame.assign(win=in_the_first_tenth_alone(frame)), "all 240 tested candidates ended the same way"),
    ],
)
def test_too_little_to_learn_from_is_said(noise: pd.DataFrame, spoil: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_entry_filter(spoil(noise))  # type: ignore[operator]


def test_a_candidate_is_accepted_when_its_expected_return_is_above_zero() -> None:
    payoff = Payoff(mean_win=0.02, mean_loss=-0.01)

    judged = payoff.apply(np.array([0.0, 1 / 3, 0.5, 1.0]))

    assert judged["predicted_return"].round(12).tolist() == [-0.01, 0.0, 0.005, 0.02]
    assert judged["accept"].tolist() == [False, False, True, True]
    assert judged["confidence"].round(12).tolist() == [1.0, round(1 / 3, 12), 0.0, 1.0]
    assert not Payoff(0.01, -0.01).apply(np.array([0.5]))["accept"].any(), "nothing to gain is not enough"


def test_a_filter_judges_rows_together_as_it_does_one_by_one(noise: pd.DataFrame) -> None:
    for fit in fit_entry_filter(noise).models.values():
        model = EntryFilter("f", "1", lambda X, fit=fit: score(fit.estimator, X), fit.payoffs, FEATURES, "2018-12-31")
        together = model.predict(noise.head(20))
        alone = pd.concat([model.predict(noise.iloc[[i]]) for i in range(20)], ignore_index=True)
        pd.testing.assert_frame_equal(together, alone, rtol=1e-12)


def test_candidates_of_several_strategies_are_learnt_from_together_and_told_apart() -> None:
    """The two win at different rates and the features say nothing: only a model that knows the strategy has any skill."""
    rarely, mostly = make_candidates(400), make_candidates(400, seed=2).assign(strategy="rsi")
    rarely["win"], mostly["win"] = (rarely["rsi_14"] > 0.6).astype("int8"), (mostly["vix"] > -0.6).astype("int8")
    together = pd.concat([rarely.assign(rsi_14=0.0), mostly.assign(vix=0.0)], ignore_index=True)

    result = fit_entry_filter(together)
    blind = fit_entry_filter(rarely.assign(rsi_14=0.0))

    boosted = result.models[LIGHTGBM]
    assert boosted.auc > 0.65
    assert blind.models[LIGHTGBM].auc < 0.6
    assert list(inputs(check_dataset(together)).columns) == [*FEATURES, "strategy_bollinger", "strategy_rsi"]
    assert set(boosted.payoffs) == set(boosted.out_of_sample["strategy"]) == {"bollinger", "rsi"}
    assert set(strategy_table(boosted)["strategy"]) == {"bollinger", "rsi"}
    again = fit_entry_filter(together.sample(frac=1.0, random_state=3))
    assert {name: model_digest(fit.estimator) for name, fit in again.models.items()} == {
        name: model_digest(fit.estimator) for name, fit in result.models.items()
    }


def test_a_strategy_without_a_candidate_in_the_past_is_let_through_nowhere() -> None:
    late = make_candidates(80, seed=2).assign(strategy="rsi")
    dataset = pd.concat([make_candidates(600), late[late["session"] > late["session"].quantile(0.7)]], ignore_index=True)

    predictions = fit_entry_filter(dataset).out_of_sample

    first = predictions[predictions["strategy"] == "rsi"]["fold"].min()
    unknown = predictions[(predictions["strategy"] == "rsi") & (predictions["fold"] == first)]
    assert len(unknown)
    assert not unknown["accept"].any()
    assert np.isfinite(unknown["predicted_return"]).all()


def test_a_filter_refuses_to_judge_a_strategy_it_knows_nothing_of(noise: pd.DataFrame) -> None:
    two = {"bollinger": Payoff(0.02, -0.01), "rsi": Payoff(0.04, -0.01)}
    model = EntryFilter("f", "1", lambda X: X["strategy_rsi"].to_numpy() / 2, two, FEATURES, "2018-12-31")
    rows = noise.head(3)[list(FEATURES)].assign(strategy=["rsi", "bollinger", "rsi"])

    assert model.predict(rows)["predicted_return"].round(12).tolist() == [0.015, -0.01, 0.015]
    with pytest.raises(DataError, match="not about gap"):
        model.predict(rows.assign(strategy="gap"))
    with pytest.raises(DataError, match="knows bollinger, rsi: expected a strategy"):
        model.predict(rows.drop(columns="strategy"))


def test_inputs_are_the_features_in_their_order(noise: pd.DataFrame) -> None:
    assert list(inputs(noise[noise.columns[::-1]])) == list(FEATURES)


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    assert auc(np.array([0, 0, 1, 1], dtype=np.int8), np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    rng = np.random.default_rng(0)
    win, probability = rng.integers(0, 2, 200).astype("int8"), rng.integers(0, 20, 200) / 20
    assert auc(win, probability) == pytest.approx(roc_auc_score(win, probability))
    assert np.isnan(auc(np.array([1, 1], dtype=np.int8), np.array([0.1, 0.4])))


def test_the_interval_is_wider_when_candidates_share_sessions() -> None:
    rng = np.random.default_rng(0)
    win = np.repeat(rng.integers(0, 2, 60), 5)
    probability = np.repeat(rng.random(60), 5)
    apart = pd.DataFrame({"win": win, "probability": probability, "session": np.arange(300)})
    together = apart.assign(session=np.repeat(np.arange(60), 5))

    narrow, wide = auc_interval(apart, 1), auc_interval(together, 1)

    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])


def test_fold_figures_leave_out_what_is_not_defined() -> None:
    losers = pd.DataFrame(
        {"win": np.zeros(3, dtype=np.int8), "net_return": -0.01, "probability": 0.25, "accept": False, "session": 0}
    )

    figures = fold_figures(losers)

    assert figures["brier"] == 0.0625
    assert figures["candidates"] == 3
    assert figures["accepted"] == 0
    assert "auc" not in figures
    assert "accepted_mean_net_return" not in figures


def test_the_figures_show_what_they_are_of(noise: pd.DataFrame) -> None:
    predictions = fit_entry_filter(noise).out_of_sample

    roc, confusion = roc_figure(predictions, "lightgbm"), confusion_figure(predictions, "lightgbm")

    assert roc.axes[0].get_title() == confusion.axes[0].get_title() == "lightgbm"
    counts = sum(int(text.get_text().replace(",", "")) for text in confusion.axes[0].texts)
    assert counts == len(predictions)
