"""The view of evenings: the steps of each book and session, their times and outcomes, newest first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.resources import Resources, live
from pipeline.views.exchange_time import at_exchange
from pipeline.views.view import MOST_ROWS, After, Filter, First, Last, Row, View
from storage.trading.evening_steps import Evening, EveningStep

Outcome = Literal["running", "done", "refused", "failed", "ended without a word"]


class SessionFilter(Filter):
    """Evenings of a book or a span of sessions."""

    book: Annotated[
        str | None,
        Field(max_length=100, description="Book of the ledger; empty: the steps that all books share, such as loading bars."),
    ] = None
    first: First = None
    last: Last = None


class StepRow(Row):
    """A run of a step; a step that ran again has a row a run."""

    step: str
    symbol: Annotated[str, Field(description="Empty for a step that is not run symbol by symbol.")]
    attempt: int
    outcome: Annotated[
        Outcome, Field(description="refused: without an error, and without doing its work; ended without a word: killed.")
    ]
    started_at: dt.datetime
    ended_at: dt.datetime | None
    seconds: float | None
    detail: Annotated[dict[str, Any], Field(description="Its result, or the class and sentence of its error.")]
    dag_run: Annotated[str | None, Field(description="Airflow's run; null for a terminal.")]
    code_commit: str


class SessionRow(Row):
    """The evening of a book after a session."""

    session: dt.date
    book: Annotated[str, Field(description="Empty for the steps that all books share.")]
    outcome: Annotated[Outcome, Field(description="The worst among the last runs of its steps; refusals alone are done.")]
    started_at: dt.datetime
    started_at_exchange: dt.datetime
    ended_at: Annotated[dt.datetime | None, Field(description="null while a step is running.")]
    seconds: Annotated[float | None, Field(description="From the start of the first step to the end of the last.")]
    step_count: Annotated[int, Field(description="Runs of steps.")]
    problem: Annotated[str | None, Field(description="The first failed or silent step, with its error; null: none.")]
    steps: list[StepRow]


def read_sessions(
    wanted: SessionFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[SessionRow]:
    """Return evenings, the newest session first, by book."""
    resources = resources or live()
    place = None if after is None else (after[0], after[1])
    evenings = resources.evening_steps.evenings(
        now=resources.clock(), book=wanted.book, first=wanted.first, last=wanted.last, after=place, limit=limit
    )
    return [_row(evening) for evening in evenings]


def _row(evening: Evening) -> SessionRow:
    started, ended = evening.started_at, evening.ended_at
    return SessionRow(
        session=evening.session,
        book=evening.book,
        outcome=evening.outcome.value,
        started_at=started,
        started_at_exchange=at_exchange(started),
        ended_at=ended,
        seconds=None if ended is None else (ended - started).total_seconds(),
        step_count=len(evening.steps),
        problem=problem_of(evening.steps),
        steps=[_step(each) for each in evening.steps],
    )


def problem_of(steps: Sequence[EveningStep]) -> str | None:
    """Return the first step whose last run failed or ended without a word, with its error; None when all ended well."""
    newest = {(each.step, each.symbol): each for each in steps}
    for each in newest.values():
        if each.outcome in {"failed", "ended without a word"}:
            return f"{each.step}{' ' + each.symbol if each.symbol else ''}: {each.detail.get('message') or each.outcome}"
    return None


def _step(run: EveningStep) -> StepRow:
    return StepRow(
        step=run.step,
        symbol=run.symbol,
        attempt=run.attempt,
        outcome=run.outcome.value,
        started_at=run.started_at,
        ended_at=run.ended_at,
        seconds=run.seconds,
        detail=dict(run.detail),
        dag_run=run.dag_run,
        code_commit=run.code_commit,
    )


SESSIONS = View(
    name="sessions",
    summary="What each evening did: steps, times and outcomes of every book, newest first.",
    filter=SessionFilter,
    row=SessionRow,
    read=read_sessions,
    key=("session", "book"),
    shown=("session", "book", "outcome", "started_at", "seconds", "step_count", "problem"),
)
