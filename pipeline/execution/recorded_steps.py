"""Run a step of an evening with its row in `trading.evening_steps`: the DAGs and `desk trade` call every step through this.

The row begins with the step and is completed when it ends, also with an error, which goes on to the caller. A row that cannot
be written is logged, and never stops a step.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core.errors import RetryLater
from pipeline.deployments.books import desk_of
from pipeline.resources import Resources, live
from storage.trading.evening_steps import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from storage.trading.evening_steps import EveningSteps

log = structlog.get_logger()


class Result(Protocol):
    """The result of a step."""

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON types."""


R = TypeVar("R", bound=Result)


def run_step(
    name: str,
    step: Callable[..., R],
    session: str,
    book: str = "",
    *,
    symbol: str = "",
    resources: Resources | None = None,
    **options: object,
) -> R:
    """Run a step for a session and return its result, on record from its start to its end.

    Parameters
    ----------
    name
        Name of the step's task in the DAG.
    step
        Takes the session, `resources` and the options.
    session
        ISO date.
    book
        The deployment whose evening it is; empty for a step that all books share.
    symbol
        Of a step that is run symbol by symbol.
    """
    resources = resources or live()
    record = _Record(lambda: resources.evening_steps, resources.clock)
    record.start(book=book, session=dt.date.fromisoformat(session), step=name, symbol=symbol)
    try:
        desk = desk_of(book, resources=resources) if book else resources
        result = step(session, resources=desk, **options)
    except BaseException as error:
        record.end(Outcome.FAILED, {"error": type(error).__name__, "message": str(error)})
        raise
    refused = getattr(result, "refusal", None) is not None
    record.end(Outcome.REFUSED if refused else Outcome.DONE, result.as_dict())
    return result


class _Record:
    """The row of one run; without a database there is none."""

    def __init__(self, store: Callable[[], EveningSteps], clock: Callable[[], dt.datetime]) -> None:
        self._store, self._clock = store, clock
        self._row: int | None = None

    def start(self, **of_step: Any) -> None:  # noqa: ANN401  # passed on
        try:
            self._row = self._store().start(**of_step, at=self._clock())
        except (SQLAlchemyError, RetryLater) as error:
            log.warning("evening_step_not_recorded", step=of_step["step"], error=str(error))

    def end(self, outcome: Outcome, detail: Mapping[str, Any]) -> None:
        if self._row is None:
            return
        try:
            self._store().end(self._row, outcome, detail, at=self._clock())
        except (SQLAlchemyError, RetryLater) as error:
            log.warning("evening_step_not_recorded", row=self._row, outcome=outcome, error=str(error))
