"""Quality gates: of a training before its model may challenge, and of a challenger before its promotion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.entry_filter.train import TrainResult

CHANCE = 0.5


@dataclass(frozen=True)
class Limits:
    """The limits.

    Attributes
    ----------
    least_candidates
        Out-of-sample predictions that the judgement rests on.
    most_calibration_error
        Mean distance between predicted and realised win rates, a fraction.
    """

    least_candidates: int = 200
    most_calibration_error: float = 0.1


def objections(result: TrainResult, leaks: Sequence[str], limits: Limits) -> list[str]:
    """Return the objections to the chosen model, all of them out of sample; empty when it may challenge.

    Parameters
    ----------
    leaks
        Findings of look-ahead in the features that it was trained on.
    """
    fit, found = result.models[result.chosen], [f"leakage: {leak}" for leak in leaks]
    predictions = len(fit.out_of_sample)
    if predictions < limits.least_candidates:
        found.append(f"{predictions} candidates out of sample, {limits.least_candidates} are needed")
    if not fit.auc_low > CHANCE:
        found.append(f"AUC {fit.auc:.3f} with {fit.auc_low:.3f} as the low end of its interval: no better than chance")
    if result.baseline is not None and not fit.log_loss < result.baseline.log_loss:
        found.append(f"log loss {fit.log_loss:.4f}, the constant rate has {result.baseline.log_loss:.4f}")
    if not fit.calibration_error <= limits.most_calibration_error:
        found.append(f"calibration error {fit.calibration_error:.3f}, at most {limits.most_calibration_error:.3f} is allowed")
    return found


def blocks(
    deflated_sharpe: float | None, overfitting: float | None, *, least_deflated_sharpe: float, most_overfitting: float
) -> list[str]:
    """Return the objections to a promotion, given what many trials explain; an undefined figure is an objection too.

    Parameters
    ----------
    deflated_sharpe
        Of the filtered strategy, deflated by every trial on record.
    overfitting
        Probability of backtest overfitting.
    """
    found = []
    if least_deflated_sharpe > 0 and (deflated_sharpe is None or deflated_sharpe < least_deflated_sharpe):
        shown = "undefined" if deflated_sharpe is None else f"{deflated_sharpe:.3f}"
        found.append(f"deflated Sharpe ratio of the filtered strategy {shown}, at least {least_deflated_sharpe:.3f} is needed")
    if most_overfitting < 1 and (overfitting is None or overfitting > most_overfitting):
        shown = "undefined" if overfitting is None else f"{overfitting:.3f}"
        found.append(f"probability of overfitting {shown}, at most {most_overfitting:.3f} is allowed")
    return found
