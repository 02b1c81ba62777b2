"""Routes of the alerts: list them, one with its history; comment, acknowledge, resolve. `monitoring.alert_desk` does it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from core.errors import ConfigError
from pipeline.views.alerts import ALERTS, AlertFilter, AlertRow, Word
from serving.access import controller, reader
from serving.problems import BadChange
from serving.routers.routes import BODY, DENIED, PROBLEM
from serving.routers.views import EXPORTED, Format, Limit, list_response
from serving.schemas import SAYING, STRICT, Author, Reason
from serving.state import state_of
from serving.tagged import NOT_MODIFIED, Tagged
from storage.alerts.alert_log import Alert, AlertMoved, AlertState

MAX_ID = 2**63 - 1
READING: dict[int | str, dict[str, Any]] = NOT_MODIFIED | dict.fromkeys((*DENIED, 422, 503), PROBLEM)
LISTING = READING | EXPORTED
READING_ONE = READING | {404: PROBLEM}
CHANGING: dict[int | str, dict[str, Any]] = dict.fromkeys((*DENIED, *BODY, 403, 404, 409, 503), PROBLEM)
AlertId = Annotated[int, Path(ge=1, le=MAX_ID, description="An alert's number; GET /alerts lists them.")]

router = APIRouter(prefix="/alerts", tags=["alerts"], route_class=Tagged)


class AlertChange(BaseModel):
    """Reason for acknowledging or resolving an alert, and who does."""

    model_config = STRICT | ConfigDict(json_schema_extra={"examples": [{"reason": "disk is being emptied", "author": "ann"}]})

    reason: Reason
    author: Author


class AlertComment(BaseModel):
    """A person's comment on an alert. It is stored and returned as it is: a page has to escape it."""

    model_config = STRICT | ConfigDict(json_schema_extra={"examples": [{"text": "the vendor is informed", "author": "ann"}]})

    text: Annotated[str, Field(min_length=1, max_length=2000, pattern=SAYING)]
    author: Author


class AlertEventRow(BaseModel):
    """An entry of an alert's history."""

    id: int
    event: Literal["raised", "escalated", "reminded", "acknowledged", "resolved", "commented", "delivered", "not_delivered"]
    at: dt.datetime
    notice: Annotated[int, Field(description="Number of the notice that it concerns: 1 is the alert itself.")]
    channel: Annotated[str, Field(description="Of an attempt to send it; else empty.")]
    author: Annotated[str, Field(description="Of a person's move or comment; else empty.")]
    reason: Annotated[str, Field(description="Reason of a move, text of a comment, or why a channel did not take it.")]


class AlertDetail(AlertRow):
    """An alert with its history, oldest first."""

    events: list[AlertEventRow]


@router.get("", dependencies=[Depends(reader)], response_model=list[AlertRow], responses=LISTING)
def alerts(
    request: Request,
    *,
    kind: Word = None,
    book: Word = None,
    closed: Annotated[bool, Query(description="Resolved ones too.")] = False,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Below this id: the last of the page before.")] = None,
    limit: Limit = 100,
    format: Format = "json",  # noqa: A002  # its name in the address
) -> Response:
    """Return the open alerts, newest first, page by page; as CSV or Parquet all of them."""
    wanted = AlertFilter(kind=kind, book=book, closed=closed)
    return list_response(request, ALERTS, wanted, None if before is None else (before,), limit, format)


@router.get("/{alert_id}", dependencies=[Depends(reader)], responses=READING_ONE)
def alert(alert_id: AlertId, request: Request) -> AlertDetail:
    """Return one alert with its history."""
    return detail_of(request, alert_id)


@router.post("/{alert_id}/comment", dependencies=[Depends(controller)], responses=CHANGING)
def comment(alert_id: AlertId, comment: AlertComment, request: Request) -> AlertDetail:
    """Add a comment to an alert's history, resolved or not; its state stays."""
    with changing():
        state_of(request).resources.alert_desk.comment(alert_id, author=comment.author, text=comment.text)
    return detail_of(request, alert_id)


@router.post("/{alert_id}/acknowledge", dependencies=[Depends(controller)], responses=CHANGING)
def acknowledge(alert_id: AlertId, change: AlertChange, request: Request) -> AlertRow:
    """Take an alert on: it is not sent again unless it gets worse."""
    return moved(request, alert_id, change, AlertState.ACKNOWLEDGED)


@router.post("/{alert_id}/resolve", dependencies=[Depends(controller)], responses=CHANGING)
def resolve(alert_id: AlertId, change: AlertChange, request: Request) -> AlertRow:
    """End an alert; when its check finds it again, that is a new one."""
    return moved(request, alert_id, change, AlertState.RESOLVED)


def moved(request: Request, alert_id: int, change: AlertChange, state: AlertState) -> AlertRow:
    """Move an alert to a state and return it."""
    desk = state_of(request).resources.alert_desk
    move = desk.acknowledge if state is AlertState.ACKNOWLEDGED else desk.resolve_id
    with changing():
        return row_of(move(alert_id, author=change.author, reason=change.reason))


@contextmanager
def changing() -> Iterator[None]:
    """Turn a refusal that the client can correct into its answer."""
    try:
        yield
    except AlertMoved:
        raise
    except ConfigError as error:
        raise BadChange(str(error)) from error


def detail_of(request: Request, alert_id: int) -> AlertDetail:
    """Return an alert with its history as the API's model."""
    log = state_of(request).resources.alert_log
    events = [AlertEventRow.model_validate(each, extra="ignore") for each in log.events(alert_id)]
    return AlertDetail(**row_of(log.find(alert_id)).model_dump(), events=events)


def row_of(alert: Alert) -> AlertRow:
    """Return an alert as the API's model."""
    return AlertRow.model_validate(alert, from_attributes=True)
