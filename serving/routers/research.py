"""Routes of research: backtest runs, their curves and trades, comparisons, heat maps of trials, rankings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from pipeline.views.catalogue import RESEARCH_VIEWS
from pipeline.views.research.comparison import MOST, RunsCompared, compare_runs
from pipeline.views.research.heat_map import HeatMap, read_heat_map
from pipeline.views.research.runs import (
    RUN_TRADES,
    RunCurve,
    RunDetail,
    RunTradeFilter,
    read_run,
    read_run_curve,
)
from pipeline.views.view import MOST_POINTS
from serving.access import reader
from serving.routers.performance import Points
from serving.routers.views import PAGE, READING, After, Format, Limit, add_view, object_response, page_type, rows_response
from serving.state import state_of
from serving.tagged import Tagged

RunId = Annotated[
    str, Path(min_length=1, max_length=100, pattern=r"^[\w.-]+$", description="A run's id, or an unshared beginning of one.")
]
Axis = Annotated[str, Query(max_length=50, pattern=r"^\w+$", description="A parameter; or `strategy`, `symbol`.")]
Text = Annotated[str | None, Query(max_length=2000, pattern=r"^[^\x00]+$")]

router = APIRouter(prefix="/research", tags=["research"], dependencies=[Depends(reader)], route_class=Tagged)


@router.get("/compare", response_model=RunsCompared, responses=READING)
def compare(
    request: Request,
    run: Annotated[
        list[Annotated[str, Query(min_length=1, max_length=100, pattern=r"^[\w.-]+$")]],
        Query(min_length=1, max_length=MOST, description="Two to six runs, each named once."),
    ],
    points: Points = MOST_POINTS,
) -> Response:
    """Return runs side by side: figures in a fixed order, and curves that begin at 100 on the sessions all of them have."""
    return object_response(compare_runs(run, points, resources=state_of(request).resources))


@router.get("/heatmap", response_model=HeatMap, responses=READING)
def heat_map(
    request: Request,
    *,
    x: Axis,
    y: Axis,
    metric: Annotated[
        str, Query(max_length=50, pattern=r"^\w+$", description="Figure of a backtest, such as sharpe.")
    ] = "sharpe",
    strategy: Annotated[Text, Query(description="As the trials have it; omitted: all.")] = None,
    symbol: Annotated[Text, Query(description="As the trials have it; omitted: all.")] = None,
) -> Response:
    """Return the mean of a figure over the trials by two of their parameters, with the number of trials of each cell."""
    found = read_heat_map(x, y, metric, strategy=strategy, symbol=symbol, resources=state_of(request).resources)
    return object_response(found)


for each in RESEARCH_VIEWS:
    add_view(each, router)


@router.get("/runs/{run_id}", response_model=RunDetail, responses=READING)
def run_detail(run_id: RunId, request: Request) -> Response:
    """Return a run with all its figures and what it was made of."""
    return object_response(read_run(run_id, resources=state_of(request).resources))


@router.get("/runs/{run_id}/equity", response_model=RunCurve, responses=READING)
def run_equity(run_id: RunId, request: Request, points: Points = MOST_POINTS) -> Response:
    """Return the equity and the drawdown of a run."""
    return object_response(read_run_curve(run_id, points, resources=state_of(request).resources))


@router.get("/runs/{run_id}/trades", response_model=page_type(RUN_TRADES), responses=PAGE)
def run_trades(
    run_id: RunId,
    request: Request,
    *,
    after: Annotated[After, Query()] = None,
    limit: Annotated[Limit, Query()] = 100,
    format: Annotated[Format, Query()] = "json",  # noqa: A002  # the name of the parameter
) -> Response:
    """Return the trades of a run, newest first."""
    run = read_run(run_id, resources=state_of(request).resources).run_id
    return rows_response(request, RUN_TRADES, RunTradeFilter(run=run), after, limit, format)
