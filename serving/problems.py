"""Errors as problem+json: the status and the remedy of each."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from core.errors import ConfigError, DataError, DeskError, NoChampion, RetryLater, StaleData, UnknownSymbol, VersionConflict
from ml.tracking.bounded import MlflowDown
from pipeline.audit.explain_order import NoSuchOrder
from pipeline.deployments.books import UnknownDeployment
from pipeline.research.portfolio import UnknownPortfolio
from pipeline.views.models.calibration import UnknownVersion
from pipeline.views.research.comparison import BadComparison
from pipeline.views.research.heat_map import BadHeatMap
from pipeline.views.view import BadCursor
from serving.access import Forbidden, TooManyRequests, Unauthorised, retry_after
from serving.change_feed import TooManyListeners
from serving.journal import QueueFull
from serving.models import NoChallenger, NoNextDayModel
from serving.schemas import Problem
from storage.alerts.alert_log import AlertMoved, NoSuchAlert
from storage.research.runs import UnknownRun

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

log = structlog.get_logger()


class NoMail(DataError):
    """No mail of that evening is stored."""


class NoRun(DataError):
    """No backtest is stored."""


class UnknownStrategy(ConfigError):
    """No strategy has that name."""


class UnknownBook(ConfigError):
    """The ledger has no such book."""


class AmbiguousStrategy(ConfigError):
    """The model knows several strategies and none was named."""


class UntrainedStrategy(ConfigError):
    """The model learnt nothing about the strategy."""


class Unanswerable(DataError):
    """Features for which the model has no finite answer."""


class ReplayBusy(RetryLater):
    """An order is being recomputed already."""


class BacktestBusy(RetryLater):
    """A book is being backtested already."""


class BadChange(ConfigError):
    """The change asked for cannot be stored."""


class TooLarge(HTTPException):
    """A body larger than is read."""

    def __init__(self, most: int) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Expected a body of at most {most:,} bytes, found a larger one.")


# The first that fits counts.
ANSWERS: tuple[tuple[type[Exception], HTTPStatus, str], ...] = (
    (Unauthorised, HTTPStatus.UNAUTHORIZED, "Send a key of API__READ_KEYS or API__CONTROL_KEYS in the header X-API-Key."),
    (Forbidden, HTTPStatus.FORBIDDEN, "Set API__CONTROL_KEYS for the API, and send one of them in the header X-API-Key."),
    (TooManyRequests, HTTPStatus.TOO_MANY_REQUESTS, "Wait as long as Retry-After says; API__READS_PER_SECOND sets the limit."),
    (NoMail, HTTPStatus.NOT_FOUND, "GET /sessions lists the evenings; a mail is stored by the step `mail`."),
    (NoRun, HTTPStatus.NOT_FOUND, "Run model_training, `desk train` or `desk backtest` first."),
    (UnknownSymbol, HTTPStatus.NOT_FOUND, "Ask for a symbol of the universe, or load it: `desk ingest --symbols ...`."),
    (
        NoSuchOrder,
        HTTPStatus.NOT_FOUND,
        "GET /orders and `desk orders` list them: give a whole id, or a beginning that no other shares.",
    ),
    (NoSuchAlert, HTTPStatus.NOT_FOUND, "GET /alerts lists them; with `closed` the resolved ones too."),
    (AlertMoved, HTTPStatus.CONFLICT, "GET /alerts shows who was first."),
    (UnknownDeployment, HTTPStatus.NOT_FOUND, "GET /deployments lists them."),
    (UnknownPortfolio, HTTPStatus.NOT_FOUND, "GET /portfolios lists them."),
    (Unanswerable, HTTPStatus.UNPROCESSABLE_ENTITY, "Look at the units: features are ratios and scores (docs/features.md)."),
    (UnknownRun, HTTPStatus.NOT_FOUND, "GET /research/runs lists them."),
    (UnknownVersion, HTTPStatus.NOT_FOUND, "GET /models/versions lists them."),
    (StaleData, HTTPStatus.CONFLICT, "Run daily_market_data, or `desk ingest` and `desk featurize`, then ask again."),
    (DataError, HTTPStatus.CONFLICT, "`desk open data-docs` shows what validation found, `desk sql` the rows set aside."),
    (NoChallenger, HTTPStatus.NOT_FOUND, "Ask the champion, or register a challenger: model_training."),
    (
        NoNextDayModel,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Run model_training, or `desk train-next-day`; the API picks the model up by itself.",
    ),
    (NoChampion, HTTPStatus.SERVICE_UNAVAILABLE, "Run model_training, or `desk train`; the API picks the model up by itself."),
    (UnknownStrategy, HTTPStatus.NOT_FOUND, "GET /strategies lists them."),
    (UnknownBook, HTTPStatus.NOT_FOUND, "Name a portfolio that has an order or a close on record."),
    (AmbiguousStrategy, HTTPStatus.UNPROCESSABLE_ENTITY, "Name one of them as `strategy`."),
    (UntrainedStrategy, HTTPStatus.CONFLICT, "Ask about one that it knows (GET /models), or train anew: `desk train`."),
    (VersionConflict, HTTPStatus.CONFLICT, "GET it again and make the change from the version it has now."),
    (BadCursor, HTTPStatus.UNPROCESSABLE_ENTITY, "Ask for the first page, without `after`."),
    (BadComparison, HTTPStatus.UNPROCESSABLE_ENTITY, "GET /research/runs lists them."),
    (BadHeatMap, HTTPStatus.UNPROCESSABLE_ENTITY, "GET /strategies/{name}/schema lists the parameters of a strategy."),
    (BadChange, HTTPStatus.UNPROCESSABLE_ENTITY, "See /docs for the fields and an example."),
    (ConfigError, HTTPStatus.CONFLICT, "Correct what the detail names, then ask again."),
    (QueueFull, HTTPStatus.SERVICE_UNAVAILABLE, "Look at PostgreSQL, or raise API__QUEUE_ROWS; then ask again."),
    (ReplayBusy, HTTPStatus.SERVICE_UNAVAILABLE, "Ask again in a few seconds, or without `replay`."),
    (BacktestBusy, HTTPStatus.SERVICE_UNAVAILABLE, "Ask again in a few seconds, or without `compare`."),
    (MlflowDown, HTTPStatus.SERVICE_UNAVAILABLE, "Start MLflow (`make up`) or look at TRACKING__URI, then ask again."),
    (TooManyListeners, HTTPStatus.SERVICE_UNAVAILABLE, "Close a stream that nobody needs, or raise API__EVENT_LISTENERS."),
    (RetryLater, HTTPStatus.SERVICE_UNAVAILABLE, "Start PostgreSQL, or wait until it is back, then ask again."),
    (OperationalError, HTTPStatus.SERVICE_UNAVAILABLE, "Start PostgreSQL, or wait until it is back, then ask again."),
    (DeskError, HTTPStatus.INTERNAL_SERVER_ERROR, "See the API's log."),
)


def install(app: FastAPI) -> None:
    """Answer every error as a problem."""
    for kind in (DeskError, OperationalError):
        app.add_exception_handler(kind, _known)
    app.add_exception_handler(RequestValidationError, _bad_body)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def answer(path: str, status: int, detail: str, remedy: str, kind: str = "about:blank") -> JSONResponse:
    """Build the answer; programs tell problems apart by `kind`, people by `detail`."""
    code, detail = HTTPStatus(status), detail.encode("utf-8", "backslashreplace").decode()  # half a surrogate is no text
    body = Problem(type=kind, title=code.phrase, status=code, detail=detail, remedy=remedy, instance=path)
    return JSONResponse(body.model_dump(), status_code=code, media_type="application/problem+json")


def explain(error: Exception) -> tuple[HTTPStatus, str, str]:
    """Return status, detail and remedy of an error of the desk."""
    status, remedy = next((status, remedy) for kind, status, remedy in ANSWERS if isinstance(error, kind))
    return status, "The database does not answer." if isinstance(error, OperationalError) else str(error), remedy


async def _known(request: Request, error: Exception) -> JSONResponse:
    status, detail, remedy = explain(error)
    log.warning("request_failed", path=request.url.path, status=int(status), error=type(error).__name__, detail=detail)
    response = answer(request.url.path, status, detail, remedy, kind=f"urn:desk:{type(error).__name__}")
    if isinstance(error, TooManyRequests):
        response.headers["retry-after"] = retry_after(error)
    if isinstance(error, Unauthorised):
        response.headers["www-authenticate"] = "Bearer"
    return response


async def _bad_body(request: Request, error: Exception) -> JSONResponse:
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    detail = "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in errors)
    return answer(request.url.path, HTTPStatus.UNPROCESSABLE_ENTITY, detail, "See /docs for the fields and an example.")


async def _http(request: Request, error: Exception) -> JSONResponse:
    known = error if isinstance(error, HTTPException) else HTTPException(500)
    status = HTTPStatus(known.status_code)
    detail = known.detail if isinstance(known, TooLarge) else status.description or status.phrase
    response = answer(request.url.path, status, detail, "See /docs for what there is.")
    response.headers.update(known.headers or {})  # Allow, where the method is wrong
    return response


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected_error", path=request.url.path, exc_info=error)
    return answer(request.url.path, HTTPStatus.INTERNAL_SERVER_ERROR, type(error).__name__, "See the API's log.")
