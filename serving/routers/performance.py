"""The route of live performance against the backtest."""

from __future__ import annotations

import threading
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from core.errors import ConfigError
from pipeline.views.performance.live_vs_backtest import LiveVsBacktest, read_live_vs_backtest
from pipeline.views.view import MOST_POINTS
from serving.access import reader
from serving.problems import BacktestBusy, UnknownBook
from serving.routers.views import READING, object_response
from serving.state import state_of
from serving.tagged import Tagged

Points = Annotated[int, Query(ge=2, le=MOST_POINTS, description="Most points of a curve.")]
ONE_BACKTEST = threading.Lock()

router = APIRouter(tags=["performance"], dependencies=[Depends(reader)], route_class=Tagged)


@router.get("/live-vs-backtest", response_model=LiveVsBacktest, responses=READING)
def live_vs_backtest(
    request: Request,
    *,
    book: Annotated[
        str | None,
        Query(
            min_length=1, max_length=100, pattern=r"^[\w.-]+$", description="A deployment, or a book; omitted: the desk's own."
        ),
    ] = None,
    compare: Annotated[
        bool, Query(description="Backtest the same sessions for the curve: seconds of work, one at a time.")
    ] = False,
    points: Points = MOST_POINTS,
) -> Response:
    """Return a book's live figures beside what its backtest promised, both curves, and the gap by cause."""
    if not compare:
        return answered(request, book, points)
    if not ONE_BACKTEST.acquire(blocking=False):
        raise BacktestBusy("Another book is being backtested, and one at a time is.")
    try:
        return answered(request, book, points, compare=True)
    finally:
        ONE_BACKTEST.release()


def answered(request: Request, book: str | None, points: int, **options: Any) -> Response:  # noqa: ANN401  # passed on
    """Return the comparison as JSON."""
    resources = state_of(request).resources
    try:
        found = read_live_vs_backtest(book, points=points, resources=resources, **options)
    except ConfigError as error:
        raise UnknownBook(str(error)) from error
    return object_response(found)
