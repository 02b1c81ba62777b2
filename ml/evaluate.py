"""How good a filter is out of sample. Owns figures and plots of predictions; it fits nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import brier_score_loss, confusion_matrix, log_loss, roc_curve

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

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


def roc_figure(predictions: pd.DataFrame, title: str) -> Figure:
    """ROC curve of out-of-sample predictions."""
    figure = _figure()
    axes = figure.add_subplot()
    false_rate, true_rate, _ = roc_curve(predictions["win"], predictions["probability"])
    axes.plot(
        false_rate, true_rate, label=f"AUC {auc(predictions['win'].to_numpy(), predictions['probability'].to_numpy()):.3f}"
    )
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="no skill")
    axes.set(xlabel="False positive rate", ylabel="True positive rate", title=title)
    axes.legend(loc="lower right")
    return figure


def confusion_figure(predictions: pd.DataFrame, title: str) -> Figure:
    """Accepted and refused candidates by how they ended."""
    figure = _figure()
    axes = figure.add_subplot()
    counts = confusion_matrix(predictions["win"], predictions["accept"].astype(int), labels=[0, 1])
    axes.imshow(counts, cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column, row, f"{count:,}", ha="center", va="center", color="black" if count < counts.max() / 2 else "white")
    axes.set_xticks([0, 1], ["refused", "accepted"])
    axes.set_yticks([0, 1], ["lost", "won"])
    axes.set(xlabel="Filter", ylabel="Outcome, net of costs", title=title)
    return figure


def _figure() -> Figure:
    """A figure that needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(5, 4), layout="constrained")
