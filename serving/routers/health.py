"""The route of the health check: every check with its result, run at most every few seconds however many ask."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from pipeline.audit.health import HealthReport, check_health
from pipeline.resources import Resources
from serving.access import reader
from serving.routers.routes import DENIED, PROBLEM
from serving.state import state_of
from serving.tagged import NOT_MODIFIED, Tagged

FRESH_SECONDS = 10.0
READING: dict[int | str, dict[str, Any]] = NOT_MODIFIED | dict.fromkeys((*DENIED, 503), PROBLEM)
router = APIRouter(tags=["system"], dependencies=[Depends(reader)], route_class=Tagged)


class CheckRow(BaseModel):
    """The result of one check."""

    name: str
    healthy: bool
    detail: str
    severity: Annotated[Literal["info", "warning", "critical"], Field(description="How severe it is when not healthy.")]


class Health(BaseModel):
    """Every check of services, data, queues, disk and keys."""

    at: Annotated[dt.datetime, Field(description=f"When the checks ran; at most {FRESH_SECONDS:g} s ago.")]
    healthy: bool
    checks: list[CheckRow]


class RecentHealth:
    """The last report; whoever asks while the checks run waits for that run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._report: HealthReport | None = None
        self._until = 0.0

    def get(self, resources: Resources) -> HealthReport:
        """Return a report that is at most `FRESH_SECONDS` old."""
        with self._lock:
            if self._report is None or time.monotonic() > self._until:
                self._report = check_health(alert=False, resources=resources)
                self._until = time.monotonic() + FRESH_SECONDS
            return self._report


@router.get("/health", responses=READING)
def health(request: Request) -> Health:
    """Every check of services, data, queues, disk and keys; it answers without a database too, and says so."""
    recent: RecentHealth = request.app.state.health
    report = recent.get(state_of(request).resources)
    checks = [CheckRow.model_validate(each, from_attributes=True) for each in report.results]
    return Health(at=report.at, healthy=report.healthy, checks=checks)
