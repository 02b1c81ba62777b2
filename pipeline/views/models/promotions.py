"""The view of promotions: every move of a champion's alias, with its author and reason."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from pipeline.resources import Resources, live
from pipeline.views.models.ab_tests import AbTestFilter
from pipeline.views.view import MOST_ROWS, After, Row, View


class PromotionFilter(AbTestFilter):
    """Moves of one model's champion."""


class PromotionRow(Row):
    """A move of the champion's alias."""

    id: int
    model: Annotated[str, Field(description="Registered name.")]
    kind: Annotated[str, Field(description="promote, rollback or manual.")]
    from_version: str | None
    to_version: str
    author: str
    reason: str
    decision_id: Annotated[int | None, Field(description="The judgement of an A/B test that it carries out.")]
    created_at: dt.datetime


def read_promotions(
    wanted: PromotionFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[PromotionRow]:
    """Return moves of the champion's alias, newest first."""
    resources = resources or live()
    rows = (dict(row) for row in resources.model_pages.promotions(wanted.model, after, limit))
    return PROMOTIONS.rows([{"model": row.pop("model_name"), **row} for row in rows])


PROMOTIONS = View(
    name="promotions",
    summary="Moves of the champion's alias, newest first.",
    filter=PromotionFilter,
    row=PromotionRow,
    read=read_promotions,
    key=("id",),
    shown=("created_at", "model", "kind", "from_version", "to_version", "author", "reason"),
)
