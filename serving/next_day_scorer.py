"""One row of features to a next-day prediction in microseconds. `ml.next_day.next_day` defines the computation.

Both kinds of model go through LightGBM's C call for single rows, scikit-learn's as trees written down for it. The quantiles of
the residuals are plain floats: a request calls no numpy. At load all of it is compared with the model itself on trial rows.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import structlog

from core.errors import ConfigError
from core.frames import FEATURES
from ml.entry_filter.scorer import TOLERANCE, BoosterRow, Row, trial_rows
from ml.next_day.next_day import BUY, HOLD, SCALE, SELL
from serving.boosting import as_booster

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml.next_day.next_day import Signals
    from ml.tracking.next_day_log import RegisteredNextDay

log = structlog.get_logger()


class Outlook(NamedTuple):
    """A prediction of one row; see `ml.next_day.next_day.NextDay.predict`."""

    predicted_return: float
    low: float
    high: float
    signal: str
    confidence: float


class NextDayScorer:
    """A next-day model's predictions of single rows, in the order of `core.frames.FEATURES`.

    Parameters
    ----------
    registered
        The loaded model; `fast` says afterwards whether a fast path to the same prediction exists.

    Raises
    ------
    ConfigError
        When the model answers trial rows with anything but finite returns.
    """

    def __init__(self, registered: RegisteredNextDay, signals: Signals) -> None:
        self._model, self._signals = registered.model, signals
        self._order = None if registered.features == FEATURES else [FEATURES.index(name) for name in registered.features]
        self._residuals = [float(value) for value in self._model.residuals]
        self._low, self._high = self._model.interval
        self._scale = FEATURES.index(SCALE)
        self._row = _row_of(registered)
        rows = trial_rows()
        slow = self.score_all(rows)
        _require_returns(registered, slow)
        self.fast = self._row is not None and self._agrees(rows, slow)
        if not self.fast:
            log.warning(
                "no_fast_path", name=registered.name, version=registered.version, effect="a prediction takes a millisecond"
            )

    def score(self, values: list[float]) -> Outlook:
        """Predict one row of `FEATURES`, NaN where unknown."""
        return self._quick(values) if self.fast else self.score_all(np.array([values], dtype=np.float64))[0]

    def score_all(self, rows: NDArray[np.float64]) -> list[Outlook]:
        """Predict rows of `FEATURES` by the model itself."""
        predicted = self._model.predict(pd.DataFrame(rows, columns=list(FEATURES)), self._signals)
        columns = (predicted[name].tolist() for name in Outlook._fields)
        return [Outlook(*row) for row in zip(*columns, strict=True)]

    def _quick(self, values: list[float]) -> Outlook:
        own = values[self._scale]
        scale = own if own > 0 else self._model.typical_scale  # NaN is not above zero
        row = values if self._order is None else [values[place] for place in self._order]
        expected = self._row(row)  # type: ignore[misc]  # called only when there is one
        signal, confidence = self._called(expected, scale)
        return Outlook(expected, expected + scale * self._low, expected + scale * self._high, signal, confidence)

    def _called(self, expected: float, scale: float) -> tuple[str, float]:
        """The signal, and the probability that the return ends on its side."""
        if expected > self._signals.buy_above:
            return BUY, self._above(expected, scale, 0.0)
        if expected < self._signals.sell_below:
            return SELL, 1 - self._above(expected, scale, 0.0)
        above = self._above(expected, scale, self._signals.sell_below)
        return HOLD, above - self._above(expected, scale, self._signals.buy_above)

    def _above(self, expected: float, scale: float, limit: float) -> float:
        return 1 - bisect_right(self._residuals, (limit - expected) / scale) / len(self._residuals)

    def _agrees(self, rows: NDArray[np.float64], slow: list[Outlook]) -> bool:
        """Return True when the fast way predicts as the model did."""
        quick = [self._quick(row) for row in rows.tolist()]
        fast, true = (np.array([one._replace(signal="0") for one in outlooks], dtype=np.float64) for outlooks in (quick, slow))
        same = np.allclose(fast, true, rtol=TOLERANCE, atol=TOLERANCE)
        return same and [one.signal for one in quick] == [one.signal for one in slow]


def _require_returns(registered: RegisteredNextDay, outlooks: list[Outlook]) -> None:
    """Refuse a model that answers trial rows with anything but finite returns."""
    wrong = [one.predicted_return for one in outlooks if not np.isfinite([one.predicted_return, one.low, one.high]).all()]
    if wrong:
        raise ConfigError(
            f"{registered.name} {registered.version}: expected returns, found {wrong[0]} on trial rows. Train again: "
            "`desk train-next-day`."
        )


def _row_of(registered: RegisteredNextDay) -> Row | None:
    """The fast way to the model's return, if it is of a kind that has one."""
    estimator = registered.model.estimator
    booster = estimator if hasattr(estimator, "_handle") else as_booster(estimator)
    return None if booster is None else BoosterRow(booster, len(registered.features))
