"""Routes of predictions, models and health: each validates, calls one function and returns a typed answer."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Request, Response, status
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ValidationError

from core.errors import ConfigError
from pipeline.execution.deployment_status import blocked_entries
from pipeline.research.scorecard import score_book
from serving.access import reader
from serving.models import Models
from serving.predictions import Arrival, answer_batch
from serving.problems import NoRun, UnknownBook
from serving.quick import JSON, Quick, body_of
from serving.schemas import (
    BacktestMetrics,
    EntryAnswers,
    EntryBatch,
    EntryPrediction,
    EntryRequest,
    ModelInfo,
    ModelList,
    NextDayAnswers,
    NextDayBatch,
    NextDayPrediction,
    NextDayRequest,
    Problem,
    Readiness,
    ScorecardAnswer,
)
from serving.state import State, state_of

T = TypeVar("T", bound=BaseModel)
PROBLEM: dict[str, Any] = {"model": Problem, "content": {"application/problem+json": {}}}
DENIED = (401, 429)
BODY = (400, 413, 422)
PREDICTING: dict[int | str, dict[str, Any]] = dict.fromkeys((*DENIED, *BODY, 404, 409, 503), PROBLEM)


def taking(name: str) -> dict[str, Any]:
    """Return the request body of a quick route, for the OpenAPI document: such a route reads it itself."""
    return {"requestBody": {"required": True, "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}}}}}


quick = APIRouter(route_class=Quick, tags=["predictions"])
router = APIRouter(dependencies=[Depends(reader)])
operation = APIRouter(tags=["operation"])


@quick.post(
    "/predict-next-day", response_model=NextDayPrediction, responses=PREDICTING, openapi_extra=taking(NextDayRequest.__name__)
)
async def predict_next_day(request: Request) -> bytes:
    """Predict a symbol's return from the newest close to the next: BUY, SELL or HOLD, with a 90 % interval.

    Give a symbol to use its newest features in the online store, or a symbol with every feature by name.
    """
    desk = state_of(request)
    desk.access.read(request)
    return await desk.next_days.answer(parsed(NextDayRequest, await body_of(request)), arrival(request))


@quick.post("/predict-entry", response_model=EntryPrediction, responses=PREDICTING, openapi_extra=taking(EntryRequest.__name__))
async def predict_entry(request: Request) -> bytes:
    """Say whether a strategy's entry at the next open would be worth taking.

    Give a symbol to use its newest features in the online store, or a symbol with every feature by name.
    """
    desk = state_of(request)
    desk.access.read(request)
    return await desk.entries.answer(parsed(EntryRequest, await body_of(request)), arrival(request))


@router.post("/predict-next-day/batch", response_model=NextDayAnswers, responses=PREDICTING, tags=["predictions"])
async def predict_next_day_batch(asked: NextDayBatch, request: Request) -> Response:
    """Ask about up to 1,000 symbols or rows of features at once; a row with a problem does not stop the others."""
    days = state_of(request).next_days
    days.record.require_room(len(asked.rows))
    return Response(await answer_batch(days.answer, asked.rows, arrival(request)), media_type=JSON)


@router.post("/predict-entry/batch", response_model=EntryAnswers, responses=PREDICTING, tags=["predictions"])
async def predict_entry_batch(asked: EntryBatch, request: Request) -> Response:
    """Ask about up to 1,000 candidates at once; a row with a problem does not stop the others."""
    entries = state_of(request).entries
    entries.record.require_room(len(asked.rows))
    return Response(await answer_batch(entries.answer, asked.rows, arrival(request)), media_type=JSON)


@router.get("/models", responses=dict.fromkeys(DENIED, PROBLEM), tags=["predictions"])
async def models(request: Request) -> ModelList:
    """The models that serve, and what was refused meanwhile."""
    watched = state_of(request).watched
    return ModelList(
        models=[row for each in watched for row in rows_of(each)], trouble=[line for each in watched for line in each.amber()]
    )


@router.get("/backtest-metrics", responses=dict.fromkeys((*DENIED, 404, 422, 503), PROBLEM), tags=["research"])
def backtest_metrics(
    request: Request,
    kind: Annotated[
        str | None,
        Query(max_length=50, pattern=r"^[\w-]*$", description="filtered or unfiltered; omitted: the latest run."),
    ] = None,
) -> BacktestMetrics:
    """Figures of the backtest stored last, net of costs."""
    run = state_of(request).resources.runs.latest(kind)
    if run is None:
        raise NoRun(f"No {kind + ' ' if kind else ''}backtest is stored.")
    return BacktestMetrics(run_id=run.run_id, kind=run.kind, created_at=run.created_at, meta=run.meta, metrics=run.metrics)


@router.get("/scorecard", responses=dict.fromkeys((*DENIED, 404, 409, 422, 503), PROBLEM), tags=["research"])
def scorecard(
    request: Request,
    book: Annotated[str, Query(min_length=1, max_length=100, pattern=r"^[\w.-]+$", description="A portfolio of the ledger.")],
    compare: Annotated[bool, Query(description="Also backtest the same sessions, for live against backtest: seconds.")] = False,
) -> ScorecardAnswer:
    """Every success criterion by a book's record: asked, measured, 95 % interval, verdict."""
    try:
        card = score_book(book, compare=compare, resources=state_of(request).resources)
    except ConfigError as error:
        raise UnknownBook(str(error)) from error
    return ScorecardAnswer.model_validate(card.as_dict())


@operation.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process is alive."""
    return {"status": "alive"}


@operation.get("/readyz", responses={503: {"model": Readiness}})
def readyz(request: Request, response: Response) -> Readiness:
    """Predictions can be served: the database answers and a champion is loaded. Says too which deployments may open nothing."""
    desk = state_of(request)
    database, trouble = database_state(desk), [line for each in desk.watched for line in each.amber()]
    trouble += [desk.journal.amber] if desk.journal.amber else []
    ready = database == "answers" and desk.entry_models.ready
    response.status_code = status.HTTP_200_OK if ready else status.HTTP_503_SERVICE_UNAVAILABLE
    return Readiness(
        ready=ready,
        state="red" if not ready else "amber" if trouble else "green",
        database=database,
        entry=desk.entry_models.serving(),
        next_day=desk.next_day_models.serving(),
        trouble=trouble,
        entries_blocked=blocked_entries(resources=desk.resources) if database == "answers" else None,
    )


@operation.get("/metrics", response_class=Response)
def prometheus(request: Request) -> Response:
    """Measures in Prometheus' text format."""
    return Response(generate_latest(state_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)


def parsed(kind: type[T], body: bytes) -> T:
    """Return the body of a quick route as its type; pydantic's own parser reads the JSON."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def rows_of(models: Models[Any, Any]) -> list[ModelInfo]:
    """Return the models of one kind that serve."""
    return [
        ModelInfo(
            kind=each.kind,
            arm=each.arm,
            name=each.model.name,
            version=each.model.version,
            trained_through=each.model.trained_through,
            strategies=list(getattr(each.model, "strategies", ())),
            features=list(each.model.features),
            loaded_at=each.loaded_at,
            fast=each.scorer.fast,
        )
        for each in models.loaded()
    ]


def arrival(request: Request) -> Arrival:
    """Return the route of a request, and when it came in."""
    return Arrival(request.scope["route"].path, request.scope["desk_started"])


def database_state(desk: State) -> str:
    """Return `answers`, or what is wrong."""
    try:
        with desk.resources.engine.connect() as connection:
            connection.execute(sa.select(1))
    except Exception as error:  # noqa: BLE001  # whatever it is, the answer is "not ready" and says why
        return f"does not answer: {type(error).__name__}"
    return "answers"
