"""Plots of a model's out-of-sample predictions, for its run in MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_curve, roc_curve

from ml.entry_filter.evaluate import auc

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ml.entry_filter.fit import Fit

BINS = 10
SHOWN = 15


def plots_of(fit: Fit, importances: pd.DataFrame) -> dict[str, Figure]:
    """Every picture of a model by the name of its file."""
    title = f"{fit.name}, out of sample"
    return {
        "roc.png": roc_figure(fit.out_of_sample, title),
        "precision_recall.png": precision_recall_figure(fit.out_of_sample, title),
        "confusion_matrix.png": confusion_figure(fit.out_of_sample, title),
        "calibration.png": calibration_figure(fit.out_of_sample, title),
        "threshold_growth.png": growth_figure(fit, f"{fit.name}, inner folds of each window"),
        "importances.png": importances_figure(importances, fit.name),
    }


def roc_figure(predictions: pd.DataFrame, title: str) -> Figure:
    """ROC curve of out-of-sample predictions."""
    figure = _figure()
    axes = figure.add_subplot()
    false_rate, true_rate, _ = roc_curve(predictions["win"], predictions["probability"])
    area = auc(predictions["win"].to_numpy(), predictions["probability"].to_numpy())
    axes.plot(false_rate, true_rate, label=f"AUC {area:.3f}")
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="no skill")
    axes.set(xlabel="False positive rate", ylabel="True positive rate", title=title)
    axes.legend(loc="lower right")
    return figure


def precision_recall_figure(predictions: pd.DataFrame, title: str) -> Figure:
    """Share of winners among the accepted against the share of winners accepted, over all thresholds."""
    figure = _figure()
    axes = figure.add_subplot()
    win, probability = predictions["win"], predictions["probability"]
    precision, recall, _ = precision_recall_curve(win, probability)
    axes.plot(recall, precision, label=f"average precision {average_precision_score(win, probability):.3f}")
    axes.axhline(win.mean(), linestyle="--", color="grey", label=f"no skill {win.mean():.3f}")
    axes.set(xlabel="Recall", ylabel="Precision", title=title, ylim=(0, 1))
    axes.legend(loc="upper right")
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


def calibration_figure(predictions: pd.DataFrame, title: str) -> Figure:
    """Rate of winners in ten bins of equal size against the probability predicted for them."""
    figure = _figure()
    axes = figure.add_subplot()
    ordered = predictions.sort_values("probability", kind="stable")
    bins = [part for part in np.array_split(np.arange(len(ordered)), BINS) if len(part)]
    said = [ordered["probability"].iloc[part].mean() for part in bins]
    seen = [ordered["win"].iloc[part].mean() for part in bins]
    axes.plot(said, seen, marker="o", label=f"{len(bins)} bins of {len(bins[0])}")
    axes.axline((0, 0), slope=1, linestyle="--", color="grey", label="as predicted")
    axes.set(xlabel="Predicted probability", ylabel="Rate of winners", title=title, xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
    return figure


def growth_figure(fit: Fit, title: str) -> Figure:
    """Log growth for each threshold: of every fold's windows in grey, of all candidates in colour with the threshold chosen."""
    figure = _figure()
    axes = figure.add_subplot()
    for learnt in fit.folds:
        for _, curve in learnt.curve.groupby("strategy", sort=True):
            axes.plot(curve["threshold"], 1e4 * curve["growth"].astype(float), color="lightgrey", linewidth=0.8)
    for name, curve in fit.window.curve.groupby("strategy", sort=True):
        (line,) = axes.plot(curve["threshold"], 1e4 * curve["growth"].astype(float), label=f"{name}, all candidates")
        chosen = fit.payoffs[str(name)].threshold
        if chosen is not None:
            said = f"threshold {chosen:.3f}" if chosen < 1 else "nothing is accepted"
            axes.axvline(chosen, color=line.get_color(), linestyle=":", label=f"{name}: {said}")
    axes.axhline(0, linestyle="--", color="grey")
    axes.set(xlabel="Threshold", ylabel="Log growth a candidate, bps", title=title)
    axes.legend(loc="lower right")
    return figure


def importances_figure(importances: pd.DataFrame, title: str) -> Figure:
    """The most needed features: loss of AUC when shuffled, and share of the gain."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    shown = importances.head(SHOWN).iloc[::-1]
    left, right = figure.subplots(1, 2, sharey=True)
    left.barh(shown["feature"], shown["permutation"], xerr=shown["permutation_std"])
    left.set(xlabel="Loss of AUC out of sample when shuffled", title=title)
    right.barh(shown["feature"], shown["gain"])
    right.set(xlabel="Share of gain in the fitted model")
    return figure


def _figure() -> Figure:
    """A figure that needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(5, 4), layout="constrained")
