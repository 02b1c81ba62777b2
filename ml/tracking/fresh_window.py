"""Champion and fresh model on the same rows, those after the champion's training.

The champion never saw them. The fresh model has learnt from them, so that its walk-forward predictions stand for it: each was
made by a fit on what came before. Nothing is decided here: a promotion needs outcomes that neither has seen
(`ml.ab_testing.ab_test`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss

from core.frames import FEATURES
from ml.entry_filter.evaluate import auc
from ml.estimators.calibrate import calibration_error
from ml.estimators.threshold import RUIN
from ml.next_day.next_day import figures_of

if TYPE_CHECKING:
    from ml.entry_filter.predict import EntryFilter
    from ml.next_day.next_day import NextDayFit, Signals
    from ml.tracking.next_day_log import RegisteredNextDay

CHAMPION, FRESH = "champion", "fresh"
CANDIDATE: Final = ["strategy", "symbol", "session"]
ROW: Final = ["symbol", "session"]
JUDGED: Final = ["probability", "predicted_return", "accept"]


def compare_entry_filters(
    champion: EntryFilter, out_of_sample: pd.DataFrame, dataset: pd.DataFrame, stake: float
) -> pd.DataFrame:
    """Return the figures of both filters on the candidates decided after the champion's last one, of strategies that it knows.

    Parameters
    ----------
    out_of_sample
        Walk-forward predictions of the fresh model; see `ml.entry_filter.train.Fit`.
    dataset
        What it was trained on.
    stake
        Part of the capital in one trade, for the growth.

    Returns
    -------
    pd.DataFrame
        A row for the champion and one for the fresh model: candidates, auc, log_loss, calibration_error, accepted, growth (mean
        log growth a candidate, a refused one growing nothing); NaN where not defined. No row without such candidates.

    Raises
    ------
    DataError
        When a feature that the champion needs is no longer made.
    """
    after = dataset["session"] > pd.Timestamp(champion.trained_through)
    known = dataset[after & dataset["strategy"].isin(champion.strategies)]
    rows = out_of_sample[[*CANDIDATE, "win", "net_return", *JUDGED]].merge(known[[*CANDIDATE, *FEATURES]], on=CANDIDATE)
    if rows.empty:
        return pd.DataFrame()
    judged = champion.predict(rows[["strategy", *FEATURES]]).set_index(rows.index)
    said = {CHAMPION: rows.assign(**{name: judged[name] for name in JUDGED}), FRESH: rows}
    return pd.DataFrame([{"model": name, **entry_figures(each, stake)} for name, each in said.items()])


def entry_figures(judged: pd.DataFrame, stake: float) -> dict[str, float]:
    """Return the figures of scored candidates; see `compare_entry_filters`."""
    win, probability = judged["win"].to_numpy(), judged["probability"].to_numpy(dtype=np.float64)
    gain = np.log1p(np.maximum(stake * judged["net_return"].to_numpy(dtype=np.float64), RUIN))
    return {
        "candidates": float(len(judged)),
        "auc": auc(win, probability),
        "log_loss": float(log_loss(win, np.clip(probability, 1e-12, 1 - 1e-12), labels=[0, 1])),
        "calibration_error": calibration_error(probability, win),
        "accepted": float(judged["accept"].sum()),
        "growth": float(np.where(judged["accept"], gain, 0.0).mean()),
    }


def compare_next_days(champion: RegisteredNextDay, fresh: NextDayFit, dataset: pd.DataFrame, signals: Signals) -> pd.DataFrame:
    """Return the figures of both models on the sessions after the champion's last one; no row without such sessions.

    Raises
    ------
    DataError
        When a feature that the champion needs is no longer made.
    """
    after = fresh.out_of_sample[fresh.out_of_sample["session"] > pd.Timestamp(champion.trained_through)]
    rows = after.merge(dataset[[*ROW, *FEATURES]], on=ROW)
    if rows.empty:
        return pd.DataFrame()
    said = champion.model.predict(rows, signals).set_index(rows.index)
    both = {CHAMPION: rows.assign(**{str(name): said[name] for name in said}), FRESH: rows}
    return pd.DataFrame([{"model": name} | figures_of(each) for name, each in both.items()])
