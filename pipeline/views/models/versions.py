"""Registered versions of both models: aliases, age, figures, gates, and their pages in MLflow."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import quote

from pydantic import Field

from pipeline.resources import Resources, live
from pipeline.views.view import Row

if TYPE_CHECKING:
    from core.settings import Settings
    from ml.tracking.bounded import BoundedVersions
    from ml.tracking.version_list import ListedVersion

MOST_VERSIONS: Final = 100
ModelKind = Literal["entry", "next_day"]
KINDS: Final[tuple[ModelKind, ...]] = ("entry", "next_day")


class VersionRow(Row):
    """A registered version."""

    kind: ModelKind
    model: Annotated[str, Field(description="Registered name.")]
    version: str
    aliases: Annotated[list[str], Field(description="champion decides, challengers are compared with it; most have none.")]
    registered_at: dt.datetime
    age_days: float
    trained_through: Annotated[str | None, Field(description="The last session that it learnt from.")]
    passed: Annotated[bool | None, Field(description="Nothing was held against its training; null: not on record.")]
    objections: list[str]
    metrics: Annotated[
        dict[str, float],
        Field(description="Of its predictions out of sample: auc, log_loss, calibration_error, skill, rmse and others."),
    ]
    training_metrics: Annotated[
        dict[str, float],
        Field(description="Of its training: lift/ (percentage points a year), filtered/, unfiltered/, fresh_window/."),
    ]
    version_url: Annotated[str, Field(description="Its page in MLflow.")]
    run_url: Annotated[str | None, Field(description="The page of its run; null: the run is gone.")]
    training_url: Annotated[str | None, Field(description="The page of the training's run.")]


class VersionList(Row):
    """Registered versions of one kind, newest first."""

    kind: ModelKind
    model: str
    versions: list[VersionRow]


def read_versions(
    kind: ModelKind = "entry",
    limit: int = 20,
    *,
    source: BoundedVersions | None = None,
    resources: Resources | None = None,
) -> VersionList:
    """Return the newest versions of a kind of model, newest first.

    Parameters
    ----------
    source
        Where they are read, with what it remembers; the registry of the kind unless given.

    Raises
    ------
    ml.tracking.bounded.MlflowDown
        When MLflow does not answer in time.
    """
    resources = resources or live()
    settings, found = resources.settings, (source or versions_of(kind, resources=resources)).listed_versions(limit)
    base, now = mlflow_url(settings), resources.clock()
    return VersionList(kind=kind, model=model_name(kind, settings), versions=[_row(each, kind, base, now) for each in found])


def versions_of(kind: ModelKind, *, resources: Resources | None = None) -> BoundedVersions:
    """Return the registered versions of a kind of model, to be read in time; nothing is opened yet."""
    from ml.tracking.bounded import BoundedVersions

    desk = resources or live()
    return BoundedVersions(lambda: desk.registry if kind == "entry" else desk.next_day_registry)


def model_name(kind: ModelKind, settings: Settings) -> str:
    """Return the registered name of a kind of model."""
    return settings.training.model_name if kind == "entry" else settings.next_day.model_name


def mlflow_url(settings: Settings) -> str:
    """Return the address of MLflow's pages: of `TRACKING__URI` where that is a server, else of `make up`."""
    uri = settings.tracking.uri or ""
    return uri.rstrip("/") if uri.startswith("http") else f"http://127.0.0.1:{settings.ports.mlflow}"


def _row(found: ListedVersion, kind: ModelKind, base: str, now: dt.datetime) -> VersionRow:
    def run_url(run_id: str) -> str | None:
        return f"{base}/#/experiments/{found.experiment_id}/runs/{run_id}" if run_id and found.experiment_id else None

    return VersionRow(
        kind=kind,
        model=found.model,
        version=found.version,
        aliases=list(found.aliases),
        registered_at=found.registered_at,
        age_days=(now - found.registered_at).total_seconds() / 86_400,
        trained_through=found.trained_through,
        passed=None if found.objections is None else not found.objections,
        objections=list(found.objections or ()),
        metrics=dict(found.metrics),
        training_metrics=dict(found.training_metrics),
        version_url=f"{base}/#/models/{quote(found.model, safe='')}/versions/{found.version}",
        run_url=run_url(found.run_id),
        training_url=run_url(found.training_run_id),
    )
