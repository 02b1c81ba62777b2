"""From a request to its answer: find the input, ask the model, record what it said. Owns that order; it knows no route.

What is asked has two kinds. An entry: does a candidate of a strategy win, entered at the next open? The next day: what will the
symbol return from this close to the next?
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from sqlalchemy.exc import OperationalError

from core.errors import DeskError, RetryLater
from ml.entry_filter.predict import EntryFilter
from ml.entry_filter.scorer import Scorer
from ml.tracking.next_day_log import RegisteredNextDay
from serving import answers
from serving.models import M, S
from serving.next_day_scorer import NextDayScorer
from serving.problems import AmbiguousStrategy, UntrainedStrategy, explain
from serving.schemas import Problem
from storage.trading.served import ENTRY, NEXT_DAY, Served, encode

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Awaitable, Callable, Sequence

    from serving.inputs import Inputs
    from serving.journal import Journal
    from serving.metrics import Metrics
    from serving.models import Models
    from serving.schemas import EntryRequest, NextDayRequest

T = TypeVar("T")
BREATH_ROWS = 50  # of a batch, between two chances for other requests
ENTER, SKIP = "enter", "skip"


class Occasion(NamedTuple):
    """Which route was asked, and when (`time.perf_counter`)."""

    route: str
    started: float

    def passed_us(self) -> int:
        """Microseconds since then."""
        return int((time.perf_counter() - self.started) * 1e6)


class Record:
    """Queues each answer to be stored, and counts it."""

    def __init__(self, journal: Journal, metrics: Metrics) -> None:
        self._journal = journal
        self._metrics = metrics

    def require_room(self, rows: int = 1) -> None:
        """Refuse what could not be recorded; see `Journal.require_room`."""
        self._journal.require_room(rows)

    def add(self, row: Served, vector: bytes, route: str) -> None:
        """Keep an answer that is about to be given."""
        self._journal.add(encode(row, vector))
        counted = self._metrics.predictions.of(row.kind, route, row.arm, row.model_name, row.model_version, row.signal)
        counted.add(row.latency_us / 1e6)


class Predictor(Generic[M, S]):
    """What both kinds need to answer."""

    def __init__(self, models: Models[M, S], inputs: Inputs, record: Record, clock: Callable[[], dt.datetime]) -> None:
        self._models, self._inputs, self.record, self._clock = models, inputs, record, clock


class Entries(Predictor[EntryFilter, Scorer]):
    """Answers whether a candidate of a strategy is worth entering."""

    async def one(self, asked: EntryRequest, occasion: Occasion) -> bytes:
        """Judge an entry in the symbol at the next open; the answer as JSON.

        Raises
        ------
        NoChampion, NoChallenger
            When the arm has no model.
        AmbiguousStrategy, UntrainedStrategy
            See `strategy_of`.
        QueueFull
            When the answer could not be recorded.
        UnknownSymbol, StaleData
            See `serving.inputs.Inputs.get`.
        """
        loaded = self._models.get(asked.arm)
        strategy, scorer = strategy_of(loaded.model, asked.strategy), loaded.scorer
        self.record.require_room()
        given = await self._inputs.get(asked.symbol, asked.features)
        if scorer.fast:
            said = scorer.score(given.values, strategy)
        else:
            said = await asyncio.to_thread(scorer.score, given.values, strategy)
        self.record.require_room()  # others may have come while this one waited
        row = Served(
            served_at=self._clock(),
            kind=ENTRY,
            strategy=strategy,
            symbol=asked.symbol,
            session=given.session,
            for_session=given.for_session,
            arm=loaded.arm,
            model_name=loaded.model.name,
            model_version=loaded.model.version,
            probability=said.probability,
            predicted_return=said.predicted_return,
            low=None,
            high=None,
            confidence=said.confidence,
            signal=ENTER if said.accept else SKIP,
            source=given.source,
            feature_timestamp=given.seen,
            feature_hash=given.digest,
            features=given.values,
            latency_us=occasion.passed_us(),
        )
        content = answers.entry(row)
        self.record.add(row, given.vector, occasion.route)
        return content


class NextDays(Predictor[RegisteredNextDay, NextDayScorer]):
    """Answers what a symbol returns from one close to the next."""

    async def one(self, asked: NextDayRequest, occasion: Occasion) -> bytes:
        """Predict the return of the session after the features'; the answer as JSON.

        Raises
        ------
        NoNextDayModel, NoChallenger
            When the arm has no model.
        QueueFull
            When the answer could not be recorded.
        UnknownSymbol, StaleData
            See `serving.inputs.Inputs.get`.
        """
        loaded = self._models.get(asked.arm)
        scorer = loaded.scorer
        self.record.require_room()
        given = await self._inputs.get(asked.symbol, asked.features)
        if scorer.fast:
            said = scorer.score(given.values)
        else:
            said = await asyncio.to_thread(scorer.score, given.values)
        self.record.require_room()  # others may have come while this one waited
        row = Served(
            served_at=self._clock(),
            kind=NEXT_DAY,
            strategy="",
            symbol=asked.symbol,
            session=given.session,
            for_session=given.for_session,
            arm=loaded.arm,
            model_name=loaded.model.name,
            model_version=loaded.model.version,
            probability=None,
            predicted_return=said.predicted_return,
            low=said.low,
            high=said.high,
            confidence=said.confidence,
            signal=said.signal,
            source=given.source,
            feature_timestamp=given.seen,
            feature_hash=given.digest,
            features=given.values,
            latency_us=occasion.passed_us(),
        )
        content = answers.next_day(row)
        self.record.add(row, given.vector, occasion.route)
        return content


async def many(one: Callable[[T, Occasion], Awaitable[bytes]], asked: Sequence[T], occasion: Occasion) -> bytes:
    """Answer many as JSON; a row with a problem has it in its place, and what concerns all rows is raised as for one."""
    items = []
    for place, row in enumerate(asked):
        if place % BREATH_ROWS == BREATH_ROWS - 1:
            await asyncio.sleep(0)
        try:
            items.append(b'{"prediction":' + await one(row, occasion) + b',"problem":null}')
        except (RetryLater, OperationalError):
            raise
        except DeskError as error:
            problem = problem_of(error, occasion.route).model_dump_json().encode()
            items.append(b'{"prediction":null,"problem":' + problem + b"}")
    return b'{"items":[' + b",".join(items) + b"]}"


def strategy_of(model: EntryFilter, named: str | None) -> str:
    """The strategy that is asked about: the one named, else the one that the model knows.

    Raises
    ------
    AmbiguousStrategy
        When none is named and the model knows several.
    UntrainedStrategy
        When it was not trained on the one named.
    """
    known = model.payoffs
    if named is None:
        if len(known) > 1:
            raise AmbiguousStrategy(f"{model.name} {model.version} knows {', '.join(model.strategies)}: expected one of them.")
        return next(iter(known))
    if named not in known:
        raise UntrainedStrategy(
            f"{model.name} {model.version} was trained on candidates of {', '.join(model.strategies)}, not of {named}."
        )
    return named


def problem_of(error: DeskError, path: str) -> Problem:
    """A row's problem, as the whole answer would tell it."""
    status, detail, remedy = explain(error)
    kind = f"urn:desk:{type(error).__name__}"
    return Problem(type=kind, title=HTTPStatus(status).phrase, status=status, detail=detail, remedy=remedy, instance=path)
