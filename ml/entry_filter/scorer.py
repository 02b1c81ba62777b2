"""The score of one row of features in microseconds: fast paths to the same result as the model's own.

A LightGBM model goes through its C call for single rows, a logistic regression is folded to one weight a feature. Each is
compared with the model itself when it is loaded; where a judgement differs, or the model is of another kind, the model
itself answers, a hundred times slower and the same.
"""

from __future__ import annotations

import ctypes
import math
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import structlog

from core.errors import ConfigError
from core.frames import FEATURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ml.entry_filter.predict import EntryFilter

log = structlog.get_logger()
TOLERANCE = 1e-12
PROBES, UNKNOWN = 64, 0.1
PREDICT_NORMAL, FLOAT64 = 0, 1  # C_API_PREDICT_NORMAL, C_API_DTYPE_FLOAT64 in LightGBM's c_api.h


class EntryScore(NamedTuple):
    """The filter's score of one row; see `ml.entry_filter.predict.Payoff.apply`."""

    probability: float
    predicted_return: float
    accept: bool
    confidence: float


class Row(Protocol):
    """A model's output for one row of features, in the model's order; NaN allowed."""

    def __call__(self, values: list[float]) -> float:
        """Output for the row."""
        ...


class BoosterRow:
    """A LightGBM model by `LGBM_BoosterPredictForMatSingleRowFast`: 2 us a row, where `Booster.predict` takes 16.

    The library is opened a second time as `PyDLL`, which keeps the interpreter's lock: giving it up for two microseconds
    would cost up to the switch interval to get back.
    """

    def __init__(self, booster: Any, columns: int) -> None:  # noqa: ANN401  # lightgbm is untyped
        from lightgbm.libpath import _LIB

        self._booster = booster  # the C handle lives as long as its owner
        self._library = ctypes.PyDLL(_LIB._name)  # noqa: SLF001
        self._predict = self._library.LGBM_BoosterPredictForMatSingleRowFast
        self._row = (ctypes.c_double * columns)()
        self._answer, self._length = ctypes.c_double(), ctypes.c_int64()
        self._config = ctypes.c_void_p()
        self._lock = threading.Lock()  # one row and one answer for all callers
        code = self._library.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,  # noqa: SLF001
            ctypes.c_int(PREDICT_NORMAL),
            ctypes.c_int(0),
            ctypes.c_int(booster.best_iteration if booster.best_iteration > 0 else -1),
            ctypes.c_int(FLOAT64),
            ctypes.c_int32(columns),
            ctypes.c_char_p(b"num_threads=1"),
            ctypes.byref(self._config),
        )
        if code:
            raise RuntimeError(f"LightGBM refused its single-row call with code {code}.")
        self._arguments = (self._config, self._row, ctypes.byref(self._length), ctypes.byref(self._answer))

    def __call__(self, values: list[float]) -> float:
        """Output for the row: of a classifier its probability, of a regressor the value."""
        with self._lock:
            self._row[:] = values  # type: ignore[assignment]  # a list of floats is one of what it takes
            if self._predict(*self._arguments):
                raise RuntimeError("LightGBM's single-row call failed.")
            return self._answer.value

    def __del__(self) -> None:
        """Free the prepared call."""
        if getattr(self, "_config", None):
            self._library.LGBM_FastConfigFree(self._config)


class LogisticRow:
    """Imputation, scaling and logistic regression folded into one weight a feature and one intercept.

    With median m, mean u, scale s and coefficient c of a feature, its part of the log-odds is `(x - u) / s * c`; NaN counts
    as m.
    """

    def __init__(self, impute: Any, scale: Any, classify: Any) -> None:  # noqa: ANN401  # sklearn is untyped
        self._medians = np.asarray(impute.statistics_, dtype=np.float64)
        self._weights = np.asarray(classify.coef_[0] / scale.scale_, dtype=np.float64)
        self._intercept = float(classify.intercept_[0] - scale.mean_ @ self._weights)

    def __call__(self, values: list[float]) -> float:
        """Probability of the row."""
        row = np.array(values, dtype=np.float64)
        unknown = np.isnan(row)
        if unknown.any():
            row = np.where(unknown, self._medians, row)
        odds = float(row @ self._weights) + self._intercept
        return 1 / (1 + math.exp(-odds)) if odds > 0 else math.exp(odds) / (1 + math.exp(odds))


class Scorer:
    """A filter's judgement of single rows, in the order of `core.frames.FEATURES`.

    Parameters
    ----------
    model
        The loaded filter; `fast` says afterwards whether a fast way to the same judgement was found.

    Raises
    ------
    ConfigError
        When the model answers trial rows with anything but probabilities.
    """

    def __init__(self, model: EntryFilter) -> None:
        self.model = model
        self._order = None if model.features == FEATURES else [FEATURES.index(name) for name in model.features]
        self._marks = _marks_of(model.strategies)
        self._row = _row_of(model)
        rows = trial_rows()
        slow = {name: self.score_all(rows, name) for name in model.strategies}
        for judged in slow.values():
            _require_probabilities(model, judged)
        self.fast = self._row is not None and all(self._agrees(rows, name, judged) for name, judged in slow.items())
        if not self.fast:
            log.warning("no_fast_path", name=model.name, version=model.version, effect="a prediction takes a millisecond")

    def score(self, values: list[float], strategy: str) -> EntryScore:
        """Score one row of `FEATURES`, NaN where unknown, as a candidate of a strategy that the model knows."""
        return self._quick(values, strategy) if self.fast else self.score_all(np.array([values], dtype=np.float64), strategy)[0]

    def score_all(self, rows: NDArray[np.float64], strategy: str) -> list[EntryScore]:
        """Score rows of `FEATURES` by the model itself."""
        judged = self.model.predict(pd.DataFrame(rows, columns=list(FEATURES)).assign(strategy=strategy))
        columns = (judged[name].tolist() for name in EntryScore._fields)
        return [EntryScore(*row) for row in zip(*columns, strict=True)]

    def _quick(self, values: list[float], strategy: str) -> EntryScore:
        if self._order is not None:
            values = [values[place] for place in self._order]
        marks = self._marks[strategy]
        probability = self._row([*values, *marks] if marks else values)  # type: ignore[misc]  # asked only when there is one
        payoff = self.model.payoffs[strategy]
        expected = probability * payoff.mean_win + (1 - probability) * payoff.mean_loss
        accept = expected > 0 if payoff.threshold is None else probability >= payoff.threshold
        return EntryScore(probability, expected, accept, abs(2 * probability - 1))

    def _agrees(self, rows: NDArray[np.float64], strategy: str, slow: list[EntryScore]) -> bool:
        """Return True when the fast path scores as the model did."""
        quick = [self._quick(row, strategy) for row in rows.tolist()]
        same = np.allclose(np.array(quick), np.array(slow), rtol=0, atol=TOLERANCE)
        return same and [one.accept for one in quick] == [one.accept for one in slow]


def _marks_of(strategies: Sequence[str]) -> dict[str, list[float]]:
    """Return the strategy marks after a row's features in the model's inputs, by strategy; none for a single strategy."""
    if len(strategies) == 1:
        return {strategies[0]: []}
    return {name: [float(name == other) for other in sorted(strategies)] for name in strategies}


def trial_rows() -> NDArray[np.float64]:
    """Random rows of every size, some of their features unknown, and one row that knows none."""
    rng = np.random.default_rng(7)
    rows = rng.normal(0, 1, (PROBES, len(FEATURES))) * 10.0 ** rng.integers(-3, 3, (PROBES, 1))
    rows[rng.random(rows.shape) < UNKNOWN] = np.nan
    rows[0] = np.nan
    return rows


def _require_probabilities(model: EntryFilter, judged: list[EntryScore]) -> None:
    """Refuse a model that answers with something else."""
    wrong = [one.probability for one in judged if not 0 <= one.probability <= 1]
    if wrong:
        raise ConfigError(
            f"{model.name} {model.version}: expected probabilities, found {wrong[0]} on trial rows. Train again: `desk train`."
        )


def _row_of(model: EntryFilter) -> Row | None:
    """The fast way to the model's probability, if it is of a kind that has one."""
    estimator = getattr(model.score, "estimator", None)
    if hasattr(estimator, "_handle"):
        return BoosterRow(estimator, len(model.features) + len(_marks_of(model.strategies)[model.strategies[0]]))
    steps = getattr(estimator, "named_steps", {})
    if set(steps) == {"impute", "scale", "classify"} and hasattr(steps["classify"], "coef_"):
        return LogisticRow(steps["impute"], steps["scale"], steps["classify"])
    return None
