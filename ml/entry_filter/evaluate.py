"""Out-of-sample figures of an entry filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.metrics import brier_score_loss, log_loss

from core.frames import FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ml.entry_filter.fit import Fit
    from ml.entry_filter.predict import Payoff

RESAMPLES = 500


def auc(win: NDArray[np.int8], probability: NDArray[np.float64]) -> float:
    """Area under the ROC curve; NaN when all ended the same way.

    The Mann-Whitney statistic over the number of pairs (Hanley and McNeil 1982): scikit-learn's figure at a tenth of its time,
    which the bootstrap needs.
    """
    winners = int((win == 1).sum())
    losers = len(win) - winners
    if winners == 0 or losers == 0:
        return float("nan")
    ranks = rankdata(probability)
    return float((ranks[win == 1].sum() - winners * (winners + 1) / 2) / (winners * losers))


def auc_interval(predictions: pd.DataFrame, seed: int) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the AUC, resampling whole decision sessions.

    Candidates of one session share its market move and are no independent draws. Efron and Tibshirani, An Introduction to
    the Bootstrap (1993), chapter 13, with sessions as clusters.
    """
    rng = np.random.default_rng(seed)
    win, probability = predictions["win"].to_numpy(), predictions["probability"].to_numpy()
    _, cluster = np.unique(predictions["session"].to_numpy(), return_inverse=True)
    members = [np.flatnonzero(cluster == k) for k in range(cluster.max() + 1)]
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[k] for k in rng.integers(0, len(members), len(members))])
        drawn.append(auc(win[rows], probability[rows]))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def fold_figures(predictions: pd.DataFrame) -> dict[str, float]:
    """AUC, log loss, Brier score, winners and net returns of one test block; figures that are not defined are left out.

    Parameters
    ----------
    predictions
        Columns win, net_return (fraction, net of costs), probability, accept.
    """
    win, probability = predictions["win"].to_numpy(), predictions["probability"].to_numpy()
    accepted = predictions.loc[predictions["accept"], "net_return"]
    figures = {
        "auc": auc(win, probability),
        "log_loss": float(log_loss(win, probability, labels=[0, 1])),
        "brier": float(brier_score_loss(win, probability)),
        "candidates": float(len(win)),
        "win_rate": float(win.mean()),
        "mean_net_return": float(predictions["net_return"].mean()),
        "accepted": float(len(accepted)),
        "accepted_mean_net_return": float(accepted.mean()) if len(accepted) else float("nan"),
    }
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def fold_table(fit: Fit) -> pd.DataFrame:
    """One row a fold: its test period, what was learnt from the window before it, and its figures; None where not defined."""
    rows = []
    for fold, (figures, learnt) in enumerate(zip(fit.fold_figures, fit.folds, strict=True), start=1):
        tested = fit.out_of_sample.loc[fit.out_of_sample["fold"] == fold - 1, "session"]
        rows.append(
            {
                "fold": fold,
                "from": tested.min().date(),
                "to": tested.max().date(),
                **thresholds_of(learnt.payoffs),
                "slope": learnt.calibration.slope,
                "intercept": learnt.calibration.intercept,
                **figures,
                **learnt.settings,
            }
        )
    return pd.DataFrame(rows)


def thresholds_of(payoffs: Mapping[str, Payoff]) -> dict[str, float | None]:
    """The threshold of each strategy, under its name where there are several."""
    if len(payoffs) == 1:
        return {"threshold": next(iter(payoffs.values())).threshold}
    return {f"threshold_{name}": payoff.threshold for name, payoff in sorted(payoffs.items())}


def strategy_table(fit: Fit) -> pd.DataFrame:
    """`fold_figures` of each strategy's own out-of-sample predictions, one row a strategy."""
    groups = fit.out_of_sample.groupby("strategy", sort=True)
    return pd.DataFrame([{"strategy": name, **fold_figures(rows)} for name, rows in groups])


def feature_statistics(dataset: pd.DataFrame) -> pd.DataFrame:
    """One row a feature: count, missing (share), mean, std, min, quartiles, max, and whether it is constant."""
    features = dataset[list(FEATURES)].astype("float64")
    shown = features.describe().T
    shown.insert(1, "missing", features.isna().mean())
    shown["constant"] = features.max() == features.min()
    return shown.reset_index(names="feature")
