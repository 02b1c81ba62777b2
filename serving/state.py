"""What one application holds, put together once. Owns the composition of the API's parts; it starts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.access import Access
from serving.journal import Journal
from serving.metrics import Metrics
from serving.models import Models
from serving.online import OnlineRows
from serving.predictions import Predictor

if TYPE_CHECKING:
    from fastapi import Request

    from pipeline.resources import Resources


@dataclass(frozen=True)
class State:
    """The parts of one application."""

    resources: Resources
    metrics: Metrics
    models: Models
    rows: OnlineRows
    journal: Journal
    access: Access
    predictor: Predictor

    @classmethod
    def of(cls, resources: Resources) -> State:
        """Put the parts together over the process's resources."""
        metrics = Metrics()
        models, rows, journal = Models(resources, metrics), OnlineRows(resources), Journal(resources, metrics)
        predictor = Predictor(resources, models, rows, journal, metrics)
        return cls(resources, metrics, models, rows, journal, Access(resources.settings), predictor)


def state_of(request: Request) -> State:
    """The parts of the application that a request came to."""
    found: State = request.app.state.desk
    return found
