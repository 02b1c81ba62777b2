"""Errors as problem+json. Owns which error has which status and remedy; it raises none."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from core.errors import DataError, DeskError, NoChampion, RetryLater, StaleData, UnknownSymbol
from serving.schemas import Problem

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

log = structlog.get_logger()

# The first that fits counts.
ANSWERS: tuple[tuple[type[Exception], HTTPStatus, str], ...] = (
    (UnknownSymbol, HTTPStatus.NOT_FOUND, "Ask for a symbol of the universe, or load it: `cli ingest --symbols ...`."),
    (StaleData, HTTPStatus.CONFLICT, "Run daily_market_data, or `cli ingest` and `cli featurize`, then ask again."),
    (DataError, HTTPStatus.CONFLICT, "Look at market.quarantine and the Data Docs."),
    (NoChampion, HTTPStatus.SERVICE_UNAVAILABLE, "Run model_training, or `cli train`; the API picks the model up by itself."),
    (RetryLater, HTTPStatus.SERVICE_UNAVAILABLE, "Start PostgreSQL, or wait until it is back, then ask again."),
    (OperationalError, HTTPStatus.SERVICE_UNAVAILABLE, "Start PostgreSQL, or wait until it is back, then ask again."),
    (DeskError, HTTPStatus.INTERNAL_SERVER_ERROR, "See the API's log."),
)


class NoRun(DataError):
    """No backtest is stored."""


def install(app: FastAPI) -> None:
    """Answer every error as a problem."""
    app.add_exception_handler(NoRun, _no_run)
    for kind in (DeskError, OperationalError):
        app.add_exception_handler(kind, _known)
    app.add_exception_handler(RequestValidationError, _bad_body)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def problem(request: Request, status: HTTPStatus, detail: str, remedy: str, kind: str = "about:blank") -> JSONResponse:
    """Build the answer; `kind` tells programs apart what people read in `detail`."""
    body = Problem(type=kind, title=status.phrase, status=status, detail=detail, remedy=remedy, instance=request.url.path)
    return JSONResponse(body.model_dump(), status_code=status, media_type="application/problem+json")


async def _known(request: Request, error: Exception) -> JSONResponse:
    status, remedy = next((status, remedy) for kind, status, remedy in ANSWERS if isinstance(error, kind))
    detail = "The database does not answer." if isinstance(error, OperationalError) else str(error)
    log.warning("request_failed", path=request.url.path, status=int(status), error=type(error).__name__, detail=detail)
    return problem(request, status, detail, remedy, kind=f"urn:desk:{type(error).__name__}")


async def _no_run(request: Request, error: Exception) -> JSONResponse:
    return problem(request, HTTPStatus.NOT_FOUND, str(error), "Run model_training, `cli train` or `cli backtest` first.")


async def _bad_body(request: Request, error: Exception) -> JSONResponse:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    detail = "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in found)
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, "See /docs for the fields and an example.")


async def _http(request: Request, error: Exception) -> JSONResponse:
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
    return problem(request, status, status.description or status.phrase, "See /docs for what there is.")


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected_error", path=request.url.path, exc_info=error)
    return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, type(error).__name__, "See the API's log.")
