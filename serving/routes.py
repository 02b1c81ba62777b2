"""The routes: each validates, calls one function and returns a typed answer."""

from __future__ import annotations

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Request, Response, status
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pipeline.resources import Resources
from serving.champion import Champion
from serving.metrics import Metrics
from serving.predictions import predict
from serving.problems import NoRun
from serving.schemas import BacktestMetrics, Prediction, PredictionRequest, Problem, Readiness
from storage.runs import latest_run

router = APIRouter()
PROBLEM: dict[str, Any] = {"model": Problem, "content": {"application/problem+json": {}}}


def resources_of(request: Request) -> Resources:
    """The application's adapters."""
    found: Resources = request.app.state.resources
    return found


def champion_of(request: Request) -> Champion:
    """The model that serves."""
    found: Champion = request.app.state.champion
    return found


def metrics_of(request: Request) -> Metrics:
    """The application's measures."""
    found: Metrics = request.app.state.metrics
    return found


TheResources = Annotated[Resources, Depends(resources_of)]
TheChampion = Annotated[Champion, Depends(champion_of)]
TheMetrics = Annotated[Metrics, Depends(metrics_of)]


@router.post("/predict-next-day", responses=dict.fromkeys((404, 409, 422, 503), PROBLEM), tags=["predictions"])
def predict_next_day(
    request: PredictionRequest, resources: TheResources, champion: TheChampion, metrics: TheMetrics
) -> Prediction:
    """Say whether an entry of the strategy at the next open would be worth taking.

    Give a symbol to use its newest features in the online store, or a symbol with every feature by name.
    """
    answer = predict(request, champion.get(), resources)
    metrics.predictions.labels(answer.signal).inc()
    return answer


@router.get("/backtest-metrics", responses=dict.fromkeys((404, 503), PROBLEM), tags=["research"])
def backtest_metrics(
    resources: TheResources,
    kind: Annotated[str | None, Query(description="filtered or unfiltered; omitted: the latest run.")] = None,
) -> BacktestMetrics:
    """Figures of the backtest stored last, net of costs."""
    run = latest_run(resources.engine, kind)
    if run is None:
        raise NoRun(f"No {kind + ' ' if kind else ''}backtest is stored.")
    return BacktestMetrics(run_id=run.run_id, kind=run.kind, created_at=run.created_at, meta=run.meta, metrics=run.metrics)


@router.get("/healthz", tags=["operation"])
def healthz() -> dict[str, str]:
    """The process is alive."""
    return {"status": "alive"}


@router.get("/readyz", responses={503: {"model": Readiness}}, tags=["operation"])
def readyz(resources: TheResources, champion: TheChampion, response: Response) -> Readiness:
    """Predictions can be served: the database answers and a model is loaded."""
    try:
        with resources.engine.connect() as connection:
            connection.execute(sa.select(1))
        database = "answers"
    except Exception as error:  # noqa: BLE001  # whatever it is, the answer is "not ready" and says why
        database = f"does not answer: {type(error).__name__}"
    model = f"version {champion.version}" if champion.version else "none: run `cli train`"
    ready = database == "answers" and champion.version is not None
    response.status_code = status.HTTP_200_OK if ready else status.HTTP_503_SERVICE_UNAVAILABLE
    return Readiness(ready=ready, database=database, model=model)


@router.get("/metrics", tags=["operation"], response_class=Response)
def prometheus(metrics: TheMetrics) -> Response:
    """Measures in Prometheus' text format."""
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)
