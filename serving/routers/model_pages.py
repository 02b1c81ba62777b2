"""Routes of the life of models: registered versions, calibration, A/B tests, drift, moves of the champion.

Versions, and the training's part of a calibration, are MLflow's: where it does not answer in time they say so (503, or a
reason), and every other route goes on answering.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from pipeline.views.catalogue import MODEL_VIEWS
from pipeline.views.models.calibration import Calibration, read_calibration
from pipeline.views.models.versions import MOST_VERSIONS, ModelKind, VersionList, read_versions
from serving.access import reader
from serving.routers.views import READING, add_view, object_response
from serving.state import state_of
from serving.tagged import Tagged

router = APIRouter(prefix="/models", tags=["models"], dependencies=[Depends(reader)], route_class=Tagged)


@router.get("/versions", response_model=VersionList, responses=READING)
def versions(
    request: Request,
    *,
    kind: Annotated[ModelKind, Query(description="entry: the entry filter; next_day: the next-day model.")] = "entry",
    limit: Annotated[int, Query(ge=1, le=MOST_VERSIONS, description="The newest so many.")] = 20,
) -> Response:
    """Return registered versions with aliases, age, figures, gates and their pages in MLflow, newest first."""
    desk = state_of(request)
    return object_response(read_versions(kind, limit, source=desk.versions[kind], resources=desk.resources))


@router.get("/calibration", response_model=Calibration, responses=READING)
def calibration(
    request: Request,
    version: Annotated[
        str | None, Query(max_length=20, pattern=r"^[0-9]+$", description="Of the entry filter; omitted: the champion.")
    ] = None,
) -> Response:
    """Return predicted against realised rates of the entry filter: of settled answers, and of its training's test blocks."""
    desk = state_of(request)
    serving, source = desk.entry_models.version(), desk.versions["entry"]
    return object_response(read_calibration(version, serving=serving, source=source, resources=desk.resources))


for each in MODEL_VIEWS:
    add_view(each, router)
