"""The view of alerts, newest first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.resources import Resources, live
from pipeline.views.view import MOST_ROWS, After, Filter, Row, View

Word = Annotated[str | None, Field(max_length=100, pattern=r"^[A-Za-z0-9_.-]*$")]


class AlertFilter(Filter):
    """Alerts of a kind or a book."""

    kind: Word = None
    book: Word = None
    closed: Annotated[bool, Field(description="Resolved ones too.")] = False


class AlertRow(Row):
    """An alert and its life."""

    id: int
    key: Annotated[str, Field(description="What it is about; unique while the alert is open.")]
    kind: str
    book: Annotated[str, Field(description="Portfolio or deployment; empty for the whole desk.")]
    severity: Literal["info", "warning", "critical"]
    state: Literal["raised", "acknowledged", "resolved"]
    subject: str
    body: str
    details: dict[str, Any]
    raised_at: dt.datetime
    last_seen_at: dt.datetime
    repeats: Annotated[int, Field(description="Occurrences after the first.")]
    pending: Annotated[bool, Field(description="True while a channel is still to get it.")]
    acknowledged_by: str | None
    acknowledged_reason: str | None
    acknowledged_at: dt.datetime | None
    resolved_by: str | None
    resolved_reason: str | None
    resolved_at: dt.datetime | None


def read_alerts(
    wanted: AlertFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[AlertRow]:
    """Return alerts, the newest first."""
    log = (resources or live()).alert_log
    before = None if after is None else int(after[0])
    found = log.read(kind=wanted.kind, book=wanted.book, closed=wanted.closed, before=before, limit=limit)
    return [AlertRow.model_validate(each, from_attributes=True, extra="ignore") for each in found]


ALERTS = View(
    name="alerts",
    summary="Alerts with their lives, newest first.",
    filter=AlertFilter,
    row=AlertRow,
    read=read_alerts,
    key=("id",),
    shown=("id", "severity", "state", "kind", "book", "raised_at", "subject"),
)
