"""The return of the next session, with an interval: BUY, SELL or HOLD.

    target of session t = adjusted close of t+1 / adjusted close of t - 1

What is said of a prediction's certainty comes from residuals on a part of the training window that the model was not fitted on,
in units of the symbol's own volatility (locally weighted split conformal prediction: Lei, G'Sell, Rinaldo, Tibshirani and
Wasserman 2018, section 5.2). It assumes that tomorrow's residuals are drawn like yesterday's, which markets do not promise; the
coverage out of sample says how far it held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from core.errors import DataError
from core.frames import FEATURES
from core.sessions import calendar_name, closes_of, sessions_between
from ml.samples.dataset import inputs
from ml.samples.splits import PurgedWalkForward

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LIGHTGBM, BOOSTING = "lightgbm", "gradient_boosting"
BUY, HOLD, SELL = "BUY", "HOLD", "SELL"
LEVEL: Final = 0.9
HELD_BACK: Final = 0.25  # latest part of a window, on which its residuals are measured
FEWEST_ROWS: Final = 500
RESIDUALS: Final = 201  # quantiles kept of them: they travel with the model
SCALE: Final = "volatility_20"


@dataclass(frozen=True)
class Signals:
    """Predicted returns from which it is BUY, and under which it is SELL (fractions)."""

    buy_above: float = 0.01
    sell_below: float = -0.01


@dataclass(frozen=True)
class NextDay:
    """A fitted model with what is known of its errors.

    Attributes
    ----------
    residuals
        (201,), quantiles in rising order: actual less predicted return on held back sessions, over the row's scale.
    typical_scale
        Stands in where a row's volatility is unknown.
    features
        Columns that it was fitted on, in their order.
    """

    estimator: Any
    residuals: Array
    typical_scale: float
    features: tuple[str, ...] = FEATURES

    def predict(self, features: pd.DataFrame, signals: Signals) -> pd.DataFrame:
        """Predict rows of FEATURES (NaN allowed).

        Returns
        -------
        pd.DataFrame
            predicted_return; low, high (90 % interval); signal; confidence: probability that the return is on the side called,
            above zero for BUY, under it for SELL, between the two limits for HOLD. Returns are fractions.

        Raises
        ------
        DataError
            When a feature that it was fitted on is not there.
        """
        missing = [name for name in self.features if name not in features]
        if missing:
            raise DataError(
                f"Next day: the model needs {missing[0]!r}, which is no longer made. Train anew: `desk train-next-day`."
            )
        X = features[list(self.features)].astype("float64")
        expected = np.asarray(self.estimator.predict(X), dtype=np.float64)
        scale = scale_of(X, self.typical_scale)
        with np.errstate(over="ignore"):  # features far too large: an endless interval, which whoever serves it refuses
            low, high = (expected + scale * bound for bound in self.interval)
        signal = np.where(expected > signals.buy_above, BUY, np.where(expected < signals.sell_below, SELL, HOLD))
        above, under = self._above(expected, scale, 0.0), 1 - self._above(expected, scale, 0.0)
        between = self._above(expected, scale, signals.sell_below) - self._above(expected, scale, signals.buy_above)
        confidence = np.select([signal == BUY, signal == SELL], [above, under], between)
        return pd.DataFrame(
            {"predicted_return": expected, "low": low, "high": high, "signal": signal, "confidence": confidence}
        )

    @property
    def interval(self) -> tuple[float, float]:
        """Residuals that bound the middle 90 %, in units of a row's scale."""
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(self.residuals, [tail, 1 - tail])
        return float(low), float(high)

    def _above(self, expected: Array, scale: Array, limit: float) -> Array:
        """Probability that the return ends above a limit."""
        with np.errstate(over="ignore"):  # a scale near zero: the limit lies beyond every residual
            at = (limit - expected) / scale
        under = np.searchsorted(self.residuals, at, side="right")
        found: Array = 1 - under / len(self.residuals)
        return found


@dataclass(frozen=True)
class NextDayFit:
    """A model fitted on everything and judged walk-forward; `figures` are those of `figures_of`, `fold_figures` by block."""

    name: str
    model: NextDay
    figures: dict[str, float]
    fold_figures: list[dict[str, float]]
    out_of_sample: pd.DataFrame


def make_regressors(seed: int) -> dict[str, Any]:
    """Unfitted estimators by name, heavily regularised: what can be known of the next day is little."""
    return {
        LIGHTGBM: LGBMRegressor(
            n_estimators=100, learning_rate=0.03, num_leaves=7, min_child_samples=200, reg_lambda=10.0, subsample=0.5,
            subsample_freq=1, colsample_bytree=0.5, random_state=seed, deterministic=True, force_row_wise=True, n_jobs=1,
            verbose=-1,
        ),
        BOOSTING: HistGradientBoostingRegressor(
            max_iter=100, learning_rate=0.03, max_leaf_nodes=7, min_samples_leaf=200, l2_regularization=10.0,
            early_stopping=False, random_state=seed,
        ),
    }  # fmt: skip


def targets(bars: pd.DataFrame) -> pd.DataFrame:
    """The next session's return of each bar of one symbol, a day without a next bar in its place left out.

    Returns
    -------
    pd.DataFrame
        symbol, session, event_timestamp (its close), label_end (the close after), target (fraction).
    """
    symbol = str(bars["symbol"].iloc[0])
    calendar = calendar_name(symbol)
    session = pd.DatetimeIndex(bars["session"])
    every = sessions_between(session[0].date(), session[-1].date(), calendar)
    follows = np.append(np.diff(every.get_indexer(session)) == 1, False)  # the very next session, not the next bar
    close = bars["adj_close"].to_numpy(dtype=np.float64)
    after = np.append(close[1:], np.nan) / close - 1
    good = follows & np.isfinite(after)
    return pd.DataFrame(
        {
            "symbol": symbol,
            "session": session[good],
            "event_timestamp": closes_of(session[good], calendar),
            "label_end": closes_of(session[np.flatnonzero(good) + 1], calendar),
            "target": after[good],
        }
    )


def fit_next_day(
    dataset: pd.DataFrame, *, folds: int = 5, embargo_sessions: int = 5, seed: int = 7, signals: Signals | None = None
) -> dict[str, NextDayFit]:
    """Judge both models walk-forward, then fit them on everything.

    Parameters
    ----------
    dataset
        Columns of `targets` and FEATURES.

    Raises
    ------
    DataError
        When rows are few, or a target is not finite.
    """
    known = dataset[dataset[list(FEATURES)].notna().any(axis=1)]
    if len(known) < FEWEST_ROWS:
        raise DataError(f"Next day: expected {FEWEST_ROWS} rows with features or more, found {len(known)}. Load more history.")
    if not np.isfinite(known["target"]).all():
        raise DataError("Next day: expected finite returns, found some that are not. Look at bars with a price of zero.")
    ordered = known.sort_values(["event_timestamp", "symbol"], kind="stable", ignore_index=True)
    splitter, called = PurgedWalkForward(folds, embargo_sessions), signals or Signals()
    return {name: _fit(name, model, ordered, splitter, called) for name, model in make_regressors(seed).items()}


def learn(model: Any, window: pd.DataFrame, embargo_sessions: int) -> NextDay:  # noqa: ANN401  # an unfitted regressor
    """Fit a model on a window in the order of time; its residuals come from the window's last quarter, held back for it."""
    (fitting, held), *_ = PurgedWalkForward(1, embargo_sessions, 1 - HELD_BACK).split(window)
    X, y = inputs(window), window["target"].to_numpy(dtype=np.float64)
    typical = float(np.nanmedian(X[SCALE])) if X[SCALE].notna().any() else 1.0
    early = _fitted(model, X.iloc[fitting], y[fitting])
    residuals = (y[held] - early.predict(X.iloc[held])) / scale_of(X.iloc[held], typical)
    return NextDay(_fitted(model, X, y), np.quantile(residuals, np.linspace(0, 1, RESIDUALS)), typical)


def _fitted(model: Any, X: pd.DataFrame, y: Array) -> Any:  # noqa: ANN401  # a regressor
    """A fitted copy, on one thread: sums in another order are other sums, and threads that wait for each other are slow.

    A feature that the window never knows says nothing, whatever stands for it; scikit-learn cannot bin a column of NaN.
    """
    unknown = X.columns[X.isna().all()]
    with threadpool_limits(1, "openmp"):
        return clone(model).fit(X.fillna(dict.fromkeys(unknown, 0.0)), y)


def scale_of(X: pd.DataFrame, typical: float) -> Array:
    """Volatility of each row, a typical one where it is unknown or nothing moved."""
    known = X[SCALE].to_numpy(dtype=np.float64)
    found: Array = np.where(known > 0, known, typical)
    return found


def figures_of(predictions: pd.DataFrame) -> dict[str, float]:
    """Return the figures of out-of-sample predictions; an undefined one is left out.

    r2_against_zero is 1 less the squared errors over those of predicting no change, r2_against_mean over those of predicting
    the mean return of the training window: where prices rise, the first is earned by the drift alone. rank_ic is the mean over
    sessions of the rank correlation across symbols. coverage is the share of returns inside the interval.
    """
    actual, expected = predictions["target"], predictions["predicted_return"]
    about_mean = float(((actual - predictions["training_mean"]) ** 2).sum())
    squares, errors = float((actual**2).sum()), float(((actual - expected) ** 2).sum())
    found = {
        "rows": float(len(predictions)),
        "rmse": float(np.sqrt(errors / len(predictions))),
        "r2_against_zero": 1 - errors / squares if squares > 0 else float("nan"),
        "r2_against_mean": 1 - errors / about_mean if about_mean > 0 else float("nan"),
        "rank_ic": _rank_ic(predictions),
        "coverage": float(((actual >= predictions["low"]) & (actual <= predictions["high"])).mean()),
        "mean_width": float((predictions["high"] - predictions["low"]).mean()),
    }
    for signal, rows in predictions.groupby("signal"):
        name = str(signal).lower()
        found |= {f"{name}_count": float(len(rows)), f"{name}_mean_return": float(rows["target"].mean())}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _rank_ic(predictions: pd.DataFrame) -> float:
    """Mean daily rank correlation, over sessions with at least three symbols that differ."""
    daily = []
    for _, rows in predictions.groupby("event_timestamp"):
        expected, actual = rows["predicted_return"].to_numpy(), rows["target"].to_numpy()
        if len(rows) > 2 and np.ptp(expected) > 0 and np.ptp(actual) > 0:  # noqa: PLR2004
            daily.append(np.corrcoef(rankdata(expected), rankdata(actual))[0, 1])
    return float(np.mean(daily)) if daily else float("nan")


def _fit(name: str, model: Any, dataset: pd.DataFrame, splitter: PurgedWalkForward, signals: Signals) -> NextDayFit:  # noqa: ANN401
    parts = []
    for fold, (training, test) in enumerate(splitter.split(dataset)):
        learnt = learn(model, dataset.iloc[training], splitter.embargo_sessions)
        tested = dataset.iloc[test].reset_index(drop=True)
        mean = float(dataset["target"].iloc[training].mean())
        keys = tested[["symbol", "session", "event_timestamp", "target"]].assign(fold=fold, training_mean=mean)
        parts.append(pd.concat([keys, learnt.predict(tested, signals)], axis=1))
    pooled = pd.concat(parts, ignore_index=True)
    final = learn(model, dataset, splitter.embargo_sessions)
    return NextDayFit(name, final, figures_of(pooled), [figures_of(part) for part in parts], pooled)
