"""One fitted model with the evidence of its out-of-sample judgement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from ml.entry_filter.predict import Payoff
    from ml.entry_filter.window import Window


@dataclass(frozen=True)
class Fit:
    """One model: fitted on everything, judged out of sample.

    Attributes
    ----------
    estimator
        Fitted on all candidates and calibrated on their past folds.
    payoffs
        Of each strategy's candidates, with the threshold that decides.
    auc, auc_low, auc_high
        Of the pooled out-of-sample predictions, with a 95 % interval.
    log_loss, calibration_error
        Of the same predictions; the constant rate's log loss is what a model has to beat.
    fold_figures
        `ml.entry_filter.evaluate.fold_figures` of each test block, oldest first.
    out_of_sample
        strategy, symbol, session, event_timestamp, win, net_return, fold, probability, predicted_return, accept, confidence.
    window, folds
        What was learnt from all candidates, and from the training part of each fold.
    """

    name: str
    estimator: Any
    payoffs: dict[str, Payoff]
    auc: float
    auc_low: float
    auc_high: float
    log_loss: float
    calibration_error: float
    fold_figures: list[dict[str, float]]
    out_of_sample: pd.DataFrame
    window: Window
    folds: list[Window]
