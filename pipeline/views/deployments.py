"""The view of deployments as they stand, the default one first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from pipeline.execution.deployment_status import DeploymentStatus, deployment_status
from pipeline.resources import Resources
from pipeline.views.view import MOST_ROWS, After, Filter, Row, View, part

KEY = ("name",)


class DeploymentRow(Row):
    """A deployment as it stands; one without a portfolio trades the strategies of the settings."""

    version: int
    stage: Literal["paper", "live"]
    state: Literal["active", "paused", "retired"]
    author: str
    reason: str
    created_at: dt.datetime | None
    name: str
    profile: Annotated[str, Field(description="Its risk profile.")]
    portfolio_id: int | None
    capital_usd: float
    equity_usd: Annotated[float | None, Field(description="At its last close on record; null before the first.")]
    session: Annotated[dt.date | None, Field(description="Of that close.")]
    positions: int
    sleeves: Annotated[list[str], Field(description="In words.")]
    entries_blocked: Annotated[list[str], Field(description="The reasons why nothing may be opened; empty: entries are free.")]


def read_deployments(
    wanted: Filter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[DeploymentRow]:
    """Return every deployment, the default one first."""
    del wanted
    return part([deployment_row(each) for each in deployment_status(resources=resources)], KEY, after, limit)


def deployment_row(status: DeploymentStatus) -> DeploymentRow:
    """Return a deployment's state as a row."""
    return DeploymentRow(**status.as_dict(), created_at=status.deployment.created_at)


DEPLOYMENTS = View(
    name="deployments",
    summary="Deployments with their books, and why entries are blocked; the default one first.",
    filter=Filter,
    row=DeploymentRow,
    read=read_deployments,
    key=KEY,
    shown=("name", "stage", "state", "profile", "capital_usd", "equity_usd", "positions", "entries_blocked"),
)
