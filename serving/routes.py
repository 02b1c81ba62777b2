"""The routes that predict and tell: each validates, calls one function and returns a typed answer."""

from __future__ import annotations

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Request, Response, status
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError

from serving.access import reader
from serving.predictions import Occasion
from serving.problems import NoRun
from serving.schemas import (
    BacktestMetrics,
    BatchAnswer,
    BatchRequest,
    ModelInfo,
    ModelList,
    Prediction,
    PredictionRequest,
    Problem,
    Readiness,
)
from serving.state import State, state_of
from storage.runs import latest_run

PROBLEM: dict[str, Any] = {"model": Problem, "content": {"application/problem+json": {}}}
DENIED = (401, 429)
BODY = (400, 413, 422)
PREDICTING: dict[int | str, dict[str, Any]] = dict.fromkeys((*DENIED, *BODY, 404, 409, 503), PROBLEM)
JSON = "application/json"
HOT = "/predict-next-day"

# The body is read by pydantic's own parser and the key is asked for in the route: FastAPI's way to both costs 65 us a request
# more, and the whole rest of the answer 110.
ONE_PREDICTION: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/PredictionRequest"}}},
    }
}
quick = APIRouter()
router = APIRouter(dependencies=[Depends(reader)])
operation = APIRouter(tags=["operation"])


@quick.post(HOT, response_model=Prediction, responses=PREDICTING, tags=["predictions"], openapi_extra=ONE_PREDICTION)
async def predict_next_day(request: Request) -> Response:
    """Say whether an entry of the strategy at the next open would be worth taking.

    Give a symbol to use its newest features in the online store, or a symbol with every feature by name.
    """
    desk = state_of(request)
    desk.access.read(request)
    try:
        asked = PredictionRequest.model_validate_json(await request.body())
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    answer = await desk.predictor.one(asked, occasion(request))
    return Response(answer.model_dump_json(), media_type=JSON)


@router.post("/predict-batch", response_model=BatchAnswer, responses=PREDICTING, tags=["predictions"])
async def predict_batch(asked: BatchRequest, request: Request) -> Response:
    """Ask about up to 1,000 symbols or rows of features at once; a row with a problem does not stop the others."""
    items = await state_of(request).predictor.many(asked.rows, occasion(request))
    return Response(BatchAnswer(items=items).model_dump_json(), media_type=JSON)


@router.get("/models", responses=dict.fromkeys(DENIED, PROBLEM), tags=["predictions"])
async def models(request: Request) -> ModelList:
    """The models that serve, and what was refused meanwhile."""
    found = state_of(request).models
    rows = [
        ModelInfo(
            arm=each.arm,
            name=each.model.name,
            version=each.model.version,
            trained_through=each.model.trained_through,
            features=list(each.model.features),
            loaded_at=each.loaded_at,
            fast=each.scorer.fast,
        )
        for each in found.loaded()
    ]
    return ModelList(models=rows, trouble=found.amber())


@router.get("/backtest-metrics", responses=dict.fromkeys((*DENIED, 404, 422, 503), PROBLEM), tags=["research"])
def backtest_metrics(
    request: Request,
    kind: Annotated[
        str | None,
        Query(max_length=50, pattern=r"^[\w-]*$", description="filtered or unfiltered; omitted: the latest run."),
    ] = None,
) -> BacktestMetrics:
    """Figures of the backtest stored last, net of costs."""
    run = latest_run(state_of(request).resources.engine, kind)
    if run is None:
        raise NoRun(f"No {kind + ' ' if kind else ''}backtest is stored.")
    return BacktestMetrics(run_id=run.run_id, kind=run.kind, created_at=run.created_at, meta=run.meta, metrics=run.metrics)


@operation.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process is alive."""
    return {"status": "alive"}


@operation.get("/readyz", responses={503: {"model": Readiness}})
def readyz(request: Request, response: Response) -> Readiness:
    """Predictions can be served: the database answers and a champion is loaded."""
    desk = state_of(request)
    database, champion = database_state(desk), next((one for one in desk.models.loaded() if one.arm == "champion"), None)
    trouble = [*desk.models.amber(), *([desk.journal.amber] if desk.journal.amber else [])]
    ready = database == "answers" and champion is not None
    response.status_code = status.HTTP_200_OK if ready else status.HTTP_503_SERVICE_UNAVAILABLE
    return Readiness(
        ready=ready,
        state="red" if not ready else "amber" if trouble else "green",
        database=database,
        model=f"version {champion.model.version}" if champion else "none: run `cli train`",
        trouble=trouble,
    )


@operation.get("/metrics", response_class=Response)
def prometheus(request: Request) -> Response:
    """Measures in Prometheus' text format."""
    return Response(generate_latest(state_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)


def occasion(request: Request) -> Occasion:
    """The route, and when the request came to it."""
    return Occasion(request.scope["route"].path, request.scope["desk_started"])


def database_state(desk: State) -> str:
    """`answers`, or what is wrong."""
    try:
        with desk.resources.engine.connect() as connection:
            connection.execute(sa.select(1))
    except Exception as error:  # noqa: BLE001  # whatever it is, the answer is "not ready" and says why
        return f"does not answer: {type(error).__name__}"
    return "answers"
