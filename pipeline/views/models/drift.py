"""The view of drift: features, scores, outcomes and served vectors of a session against those of the training."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from pipeline.resources import Resources, live
from pipeline.views.view import MOST_ROWS, After, Filter, Row, View, part

KEY = ("family", "name")


class DriftFilter(Filter):
    """Drift of a session and family."""

    session: Annotated[dt.date | None, Field(description="Session (YYYY-MM-DD); the newest of each family unless given.")] = (
        None
    )
    family: Annotated[
        str | None,
        Field(max_length=50, pattern=r"^[^\x00]+$", description="feature, score, outcome or skew."),
    ] = None


class DriftRow(Row):
    """Drift of one feature, score or outcome; null where a figure is not defined."""

    session: dt.date
    family: str
    name: str
    psi: Annotated[float | None, Field(description="Population stability index.")]
    statistic: Annotated[
        float | None,
        Field(
            description="Kolmogorov-Smirnov distance; of outcomes the difference of the means, of skew the vectors that differ."
        ),
    ]
    p_value: Annotated[float | None, Field(description="Share of windows of the training that are as far away.")]
    reference_mean: float | None
    recent_mean: float | None
    reference_count: int
    recent_count: int
    alert: bool
    detail: str
    created_at: dt.datetime


def read_drift(
    wanted: DriftFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[DriftRow]:
    """Return the drift of a session, by family and name."""
    resources = resources or live()
    rows = [DriftRow(**row) for row in resources.model_pages.drift(session=wanted.session, family=wanted.family)]
    return part(rows, KEY, after, limit)


DRIFT = View(
    name="drift",
    summary="Drift of features, scores and outcomes against the training, of the newest session unless one is named.",
    filter=DriftFilter,
    row=DriftRow,
    read=read_drift,
    key=KEY,
    shown=(
        "session",
        "family",
        "name",
        "psi",
        "statistic",
        "p_value",
        "reference_mean",
        "recent_mean",
        "recent_count",
        "alert",
    ),
)
