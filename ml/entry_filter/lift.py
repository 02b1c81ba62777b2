"""The entry filter's lift in money: two equity curves compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from features.regime import vix_regime
from ml.estimators.models import LOGISTIC
from research.statistics import PERIODS_A_YEAR, mean_interval

if TYPE_CHECKING:
    from ml.entry_filter.train import TrainResult

ALL: Final = "all"
REGIMES: Final = ("low", "medium", "high")


def stitched(result: TrainResult) -> pd.DataFrame:
    """Return out-of-sample predictions of which nothing was chosen on the sessions that evaluate them.

    In each fold the model predicts that had the lower loss on the inner folds of its training window, the logistic regression
    where the window was too short to tell. `TrainResult.out_of_sample` is flattered: there the better of two was picked by the
    very predictions.
    """
    folds = range(len(result.models[LOGISTIC].folds))
    parts = []
    for fold in folds:
        losses = {name: fit.folds[fold].loss for name, fit in result.models.items()}
        known = {name: loss for name, loss in losses.items() if loss is not None}
        name = min(known, key=lambda each: (known[each], each != LOGISTIC)) if known else LOGISTIC
        predictions = result.models[name].out_of_sample
        parts.append(predictions[predictions["fold"] == fold].assign(model=name))
    return pd.concat(parts, ignore_index=True)


def compare_curves(curve: pd.DataFrame, other: pd.DataFrame, vix: pd.Series[float], seed: int) -> list[dict[str, Any]]:
    """Return the yearly return of one equity curve above another's, over all sessions and in each VIX regime.

    The mean of the daily differences times 252, with a 95 % interval by the stationary bootstrap (Politis and Romano 1994), so
    that neighbouring days are drawn together. A session belongs to the regime of the close before it, which is what was known.

    Parameters
    ----------
    curve, other
        Columns session and equity_usd, the same sessions.
    vix
        VIX closes by session.

    Returns
    -------
    list
        One a regime: regime; sessions; difference, low, high (percentage points a year); lift: the difference where the
        interval excludes zero, else None. All are None where there are too few sessions for an interval.
    """
    aligned = curve.merge(other, on="session", suffixes=("", "_other"), validate="one_to_one").sort_values("session")
    returns = aligned["equity_usd"].pct_change() - aligned["equity_usd_other"].pct_change()
    daily = returns.set_axis(aligned["session"]).iloc[1:]
    known = vix.reindex(aligned["session"]).shift(1).iloc[1:]
    regime = vix_regime(known)
    return [_row(name, daily if name == ALL else daily[regime == name], seed) for name in (ALL, *REGIMES)]


def _row(regime: str, daily: pd.Series[float], seed: int) -> dict[str, Any]:
    yearly_pct = 100 * PERIODS_A_YEAR
    interval = mean_interval(np.asarray(daily, dtype=np.float64), seed=seed)
    if interval is None:
        return {"regime": regime, "sessions": len(daily), "difference": None, "low": None, "high": None, "lift": None}
    low, high, mean = interval.low * yearly_pct, interval.high * yearly_pct, float(daily.mean()) * yearly_pct
    lift = mean if low > 0 or high < 0 else None
    return {"regime": regime, "sessions": len(daily), "difference": mean, "low": low, "high": high, "lift": lift}
