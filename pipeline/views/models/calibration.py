"""Calibration of the entry filter: predicted against realised rates, of settled answers and of the training's test blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import numpy as np
from pydantic import Field

from core.errors import ConfigError, RetryLater
from pipeline.resources import Resources, live
from pipeline.views.models.versions import MOST_VERSIONS, versions_of
from pipeline.views.view import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml.tracking.bounded import BoundedVersions
    from ml.tracking.version_list import ListedVersion

    Array = NDArray[np.float64]

NO_TRADE: Final = "No entry that this version answered about was traded and is closed."
NO_VERSION: Final = "No champion is registered."


class UnknownVersion(ConfigError):
    """The model has no such version."""


class CalibrationBin(Row):
    """Predictions of about the same probability; the interval is Wilson's, 95 %."""

    low: Annotated[float, Field(description="Smallest probability in the bin.")]
    high: float
    n: int
    predicted: Annotated[float, Field(description="Mean probability.")]
    realised: Annotated[float, Field(description="Share that won.")]
    realised_low: Annotated[float | None, Field(description="null: fewer than 20 predictions.")]
    realised_high: float | None


class CalibrationCurve(Row):
    """Predicted against realised rates of some predictions; null and empty where there are none."""

    n: int
    brier: float | None
    calibration_error: Annotated[float | None, Field(description="Mean distance of predicted and realised rates.")]
    base_rate: Annotated[float | None, Field(description="Share that won.")]
    bins: list[CalibrationBin]
    reason: Annotated[str, Field(description="The reason why there is nothing; else empty.")]


class Calibration(Row):
    """Calibration of a version of the entry filter."""

    model: str
    version: str | None
    settled: Annotated[CalibrationCurve, Field(description="Answers about entries that were traded and are closed.")]
    training: Annotated[CalibrationCurve, Field(description="Out-of-sample predictions of its training.")]


def read_calibration(
    version: str | None = None,
    *,
    serving: str | None = None,
    source: BoundedVersions | None = None,
    resources: Resources | None = None,
) -> Calibration:
    """Return the calibration of a version of the entry filter.

    Where MLflow does not answer, the part of the training says so, and settled answers are shown all the same.

    Parameters
    ----------
    version
        The champion's unless given, which MLflow names.
    serving
        The champion where MLflow does not answer.
    source
        Where versions are read; the registry unless given.

    Raises
    ------
    UnknownVersion
        When MLflow has no such version, and no answer of it is on record.
    """
    resources = resources or live()
    versions, name = source or versions_of("entry", resources=resources), resources.settings.training.model_name
    listed, why = _listed(versions, version)
    wanted = version or (listed.version if listed else serving)
    if wanted is None:
        return Calibration(model=name, version=None, settled=_nothing(why), training=_nothing(why))
    answers = resources.live_records.answers(name, wanted)
    if listed is None and not why and not len(answers.probabilities):
        raise UnknownVersion(f"Version {wanted!r} of {name!r}: expected a registered one, found none. See `desk models list`.")
    settled = curve_of(answers.probabilities, (answers.net_returns > 0).astype(np.float64), NO_TRADE)
    training = _nothing(why or "The version is registered no more.") if listed is None else _training(versions, listed)
    return Calibration(model=name, version=wanted, settled=settled, training=training)


def curve_of(probability: Array, win: Array, reason: str) -> CalibrationCurve:
    """Return the calibration of predictions; with a reason where there are none."""
    from ml.estimators.calibrate import reliability

    if not len(probability):
        return _nothing(reason)
    bins = reliability(probability, win)
    return CalibrationCurve(
        n=len(probability),
        brier=float(((probability - win) ** 2).mean()),
        calibration_error=sum(each.n * abs(each.predicted - each.realised) for each in bins) / len(probability),
        base_rate=float(win.mean()),
        bins=[CalibrationBin(**each._asdict()) for each in bins],
        reason="",
    )


def _listed(versions: BoundedVersions, wanted: str | None) -> tuple[ListedVersion | None, str]:
    """Return the version that is wanted, else the champion; None with the reason where MLflow does not answer."""
    try:
        found = versions.listed_versions(MOST_VERSIONS)
    except RetryLater as error:
        return None, str(error)
    for each in found:
        if each.version == wanted if wanted else "champion" in each.aliases:
            return each, ""
    return None, "" if wanted else NO_VERSION


def _training(versions: BoundedVersions, listed: ListedVersion) -> CalibrationCurve:
    if not listed.run_id:
        return _nothing("The run of its training is gone from MLflow.")
    try:
        frame = versions.out_of_sample(listed.run_id)
    except RetryLater as error:
        return _nothing(str(error))
    probability, win = (frame[name].to_numpy(dtype=np.float64) for name in ("probability", "win"))
    return curve_of(probability, win, "Its run has no predictions out of sample.")


def _nothing(reason: str) -> CalibrationCurve:
    return CalibrationCurve(n=0, brier=None, calibration_error=None, base_rate=None, bins=[], reason=reason)
