"""Steps of the evenings: when each ran, how it ended and what it came to. Rows are added, and completed once."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from core.provenance import code_commit, dag_run
from storage.trading.evening_tables import evening_steps

TIMEOUT: Final = dt.timedelta(hours=1)  # of the DAG: no step of an evening runs for longer
LONGEST_TEXT: Final = 4_000  # characters of a text in `detail`: an error may carry a whole answer


class Outcome(StrEnum):
    """The end of a step. `SILENT` is never stored: it is the reader's word for a step that was killed."""

    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"  # without an error, and without doing its work: `detail` has the reason
    FAILED = "failed"
    SILENT = "ended without a word"


WORST_FIRST: Final = (Outcome.FAILED, Outcome.SILENT, Outcome.RUNNING, Outcome.REFUSED, Outcome.DONE)


@dataclass(frozen=True)
class EveningStep:
    """One run of a step.

    Attributes
    ----------
    book
        Empty for a step that all books share.
    symbol
        Empty for a step that is not run symbol by symbol.
    attempt
        1 for the first run of the step in this evening.
    started_at, ended_at
        Aware; `ended_at` is None while it runs, and where it ended without a word.
    detail
        JSON values: the result of the step, or `error` and `message`.
    dag_run
        `dag/run` in Airflow, None in a terminal.
    """

    id: int
    book: str
    session: dt.date
    step: str
    symbol: str
    attempt: int
    started_at: dt.datetime
    ended_at: dt.datetime | None
    outcome: Outcome
    detail: Mapping[str, Any]
    code_commit: str
    dag_run: str | None

    @property
    def seconds(self) -> float | None:
        """Duration; None while the step has not ended."""
        return None if self.ended_at is None else (self.ended_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class Evening:
    """The runs of a book's steps for one session, in the order in which they started."""

    book: str
    session: dt.date
    steps: Sequence[EveningStep]

    @property
    def started_at(self) -> dt.datetime:
        """Start of the first run."""
        return min(each.started_at for each in self.steps)

    @property
    def ended_at(self) -> dt.datetime | None:
        """End of the last run; None while one is running."""
        if any(each.outcome is Outcome.RUNNING for each in self.steps):
            return None
        return max((each.ended_at for each in self.steps if each.ended_at is not None), default=None)

    @property
    def outcome(self) -> Outcome:
        """The worst outcome among the newest run of each step; an evening with refusals alone is done."""
        newest = {(each.step, each.symbol): each.outcome for each in self.steps}
        worst = min(newest.values(), key=WORST_FIRST.index)
        return Outcome.DONE if worst is Outcome.REFUSED else worst


class EveningSteps:
    """Rows of `trading.evening_steps`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def start(self, *, book: str, session: dt.date, step: str, symbol: str = "", at: dt.datetime) -> int:
        """Add the row of a step that starts now, and return its id."""
        rows = evening_steps.c
        same = (rows.book == book, rows.session == session, rows.step == step, rows.symbol == symbol)
        row = {
            "book": book,
            "session": session,
            "step": step,
            "symbol": symbol,
            "attempt": sa.select(sa.func.count() + 1).where(*same).scalar_subquery(),
            "started_at": at,
            "outcome": Outcome.RUNNING,
            "detail": {},
            "code_commit": code_commit(),
            "dag_run": dag_run(),
        }
        with self._engine.begin() as connection:
            return int(connection.execute(sa.insert(evening_steps).values(row).returning(rows.id)).scalar_one())

    def end(self, row_id: int, outcome: Outcome, detail: Mapping[str, Any], *, at: dt.datetime) -> None:
        """Complete a row; one that is complete stays as it is."""
        rows, values = evening_steps.c, {"outcome": outcome, "detail": plain(detail), "ended_at": at}
        with self._engine.begin() as connection:
            connection.execute(sa.update(evening_steps).where(rows.id == row_id, rows.ended_at.is_(None)).values(values))

    def evenings(
        self,
        *,
        now: dt.datetime,
        book: str | None = None,
        first: dt.date | None = None,
        last: dt.date | None = None,
        after: tuple[dt.date, str] | None = None,
        limit: int | None = None,
    ) -> list[Evening]:
        """Return the evenings, newest session first and by book, each with its runs in the order in which they started.

        Parameters
        ----------
        now
            Aware; a run without an end that began more than `TIMEOUT` before it ended without a word.
        book
            One book, empty for the shared steps; None for all of them.
        first, last
            Sessions, inclusive; None is unbounded.
        after, limit
            Session and book of the evening before the first one wanted, and the most that are returned.
        """
        rows = evening_steps.c
        wanted = sa.select(rows.session, rows.book).distinct().order_by(rows.session.desc(), rows.book).limit(limit)
        if book is not None:
            wanted = wanted.where(rows.book == book)
        if first is not None:
            wanted = wanted.where(rows.session >= first)
        if last is not None:
            wanted = wanted.where(rows.session <= last)
        if after is not None:
            wanted = wanted.where((rows.session < after[0]) | ((rows.session == after[0]) & (rows.book > after[1])))
        page = wanted.subquery("page")
        same = (rows.session == page.c.session) & (rows.book == page.c.book)
        query = sa.select(evening_steps).join(page, same).order_by(rows.session.desc(), rows.book, rows.id)
        with self._engine.connect() as connection:
            steps = [_step(row) for row in connection.execute(query).mappings()]
        groups = itertools.groupby(steps, key=lambda each: (each.session, each.book))
        return [Evening(name, session, _judged(list(runs), now)) for (session, name), runs in groups]


def plain(value: object) -> Any:  # noqa: ANN401  # a JSON value
    r"""Return a value as JSON that PostgreSQL stores: no NaN, no null character, no half of a surrogate pair.

    >>> plain({"usd": float("nan"), "why": "a\x00b", "orders": (1, 2)})
    {'usd': None, 'why': 'ab', 'orders': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {_text(key): plain(each) for key, each in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        return [plain(each) for each in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _text(value)


def _text(value: object) -> str:
    return str(value)[:LONGEST_TEXT].replace("\x00", "").encode("utf-8", "replace").decode()


def _step(row: Mapping[Any, Any]) -> EveningStep:
    return EveningStep(**{**row, "outcome": Outcome(row["outcome"])})


def _judged(runs: Sequence[EveningStep], now: dt.datetime) -> list[EveningStep]:
    """Return the runs, those that were killed called so: a later one of the same step began, or they are too old to run."""
    newest = {(each.step, each.symbol): each.id for each in runs}
    return [
        replace(each, outcome=Outcome.SILENT)
        if each.outcome is Outcome.RUNNING and (newest[each.step, each.symbol] > each.id or now - each.started_at > TIMEOUT)
        else each
        for each in runs
    ]
