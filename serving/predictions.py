"""Answers of prediction requests: find the features, predict, record the prediction. Knows no route.

There are two kinds of prediction. An entry: the probability that a candidate of a strategy wins, entered at the next open. The
next day: the return of a symbol from this close to the next.
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

    from serving.inputs import Input, Inputs
    from serving.journal import Journal
    from serving.metrics import Metrics
    from serving.models import Loaded, Models
    from serving.schemas import EntryRequest, NextDayRequest

T = TypeVar("T")
YIELD_ROWS = 50  # of a batch, between two turns of the event loop for other requests
ENTER, SKIP = "enter", "skip"


class Arrival(NamedTuple):
    """A request on its way: its route, and when it came in (`time.perf_counter`)."""

    route: str
    started: float

    def elapsed_us(self) -> int:
        """Return the microseconds since the request came in."""
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
        """Queue an answer that is about to be given."""
        self._journal.add(encode(row, vector))
        durations = self._metrics.predictions.of(row.kind, route, row.arm, row.model_name, row.model_version, row.signal)
        durations.add(row.latency_us / 1e6)


class Predictor(Generic[M, S]):
    """Models, inputs and record behind the answers of one kind."""

    kind: str

    def __init__(self, models: Models[M, S], inputs: Inputs, record: Record, clock: Callable[[], dt.datetime]) -> None:
        self._models, self._inputs, self.record, self._clock = models, inputs, record, clock

    def _served(
        self,
        symbol: str,
        features: Input,
        loaded: Loaded[M, S],
        arrival: Arrival,
        *,
        signal: str,
        predicted_return: float,
        confidence: float,
        strategy: str = "",
        probability: float | None = None,
        low: float | None = None,
        high: float | None = None,
    ) -> Served:
        """Return the row of an answer, as it is stored."""
        return Served(
            served_at=self._clock(),
            kind=self.kind,
            strategy=strategy,
            symbol=symbol,
            session=features.session,
            for_session=features.for_session,
            arm=loaded.arm,
            model_name=loaded.model.name,
            model_version=loaded.model.version,
            probability=probability,
            predicted_return=predicted_return,
            low=low,
            high=high,
            confidence=confidence,
            signal=signal,
            source=features.source,
            feature_timestamp=features.known_at,
            feature_hash=features.digest,
            features=features.values,
            latency_us=arrival.elapsed_us(),
        )


class Entries(Predictor[EntryFilter, Scorer]):
    """Predicts the outcome of a strategy's candidate."""

    kind = ENTRY

    async def answer(self, request: EntryRequest, arrival: Arrival) -> bytes:
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
        loaded = self._models.get(request.arm)
        strategy, scorer = strategy_of(loaded.model, request.strategy), loaded.scorer
        self.record.require_room()
        features = await self._inputs.get(request.symbol, request.features)
        if scorer.fast:
            judgement = scorer.score(features.values, strategy)
        else:
            judgement = await asyncio.to_thread(scorer.score, features.values, strategy)
        self.record.require_room()  # others may have come while this one waited
        row = self._served(
            request.symbol,
            features,
            loaded,
            arrival,
            signal=ENTER if judgement.accept else SKIP,
            predicted_return=judgement.predicted_return,
            confidence=judgement.confidence,
            strategy=strategy,
            probability=judgement.probability,
        )
        content = answers.entry_json(row)
        self.record.add(row, features.vector, arrival.route)
        return content


class NextDays(Predictor[RegisteredNextDay, NextDayScorer]):
    """Predicts the return of a symbol from one close to the next."""

    kind = NEXT_DAY

    async def answer(self, request: NextDayRequest, arrival: Arrival) -> bytes:
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
        loaded = self._models.get(request.arm)
        scorer = loaded.scorer
        self.record.require_room()
        features = await self._inputs.get(request.symbol, request.features)
        if scorer.fast:
            outlook = scorer.score(features.values)
        else:
            outlook = await asyncio.to_thread(scorer.score, features.values)
        self.record.require_room()  # others may have come while this one waited
        row = self._served(
            request.symbol,
            features,
            loaded,
            arrival,
            signal=outlook.signal,
            predicted_return=outlook.predicted_return,
            confidence=outlook.confidence,
            low=outlook.low,
            high=outlook.high,
        )
        content = answers.next_day_json(row)
        self.record.add(row, features.vector, arrival.route)
        return content


async def answer_batch(one: Callable[[T, Arrival], Awaitable[bytes]], requests: Sequence[T], arrival: Arrival) -> bytes:
    """Answer many requests as JSON; a row's own problem stands in its place, a problem of all rows is raised as for one."""
    items = []
    for place, request in enumerate(requests):
        if place % YIELD_ROWS == YIELD_ROWS - 1:
            await asyncio.sleep(0)
        try:
            items.append(b'{"prediction":' + await one(request, arrival) + b',"problem":null}')
        except (RetryLater, OperationalError):
            raise
        except DeskError as error:
            problem = problem_of(error, arrival.route).model_dump_json().encode()
            items.append(b'{"prediction":null,"problem":' + problem + b"}")
    return b'{"items":[' + b",".join(items) + b"]}"


def strategy_of(model: EntryFilter, named: str | None) -> str:
    """Return the strategy named, else the only one that the model knows.

    Raises
    ------
    AmbiguousStrategy
        When none is named and the model knows several.
    UntrainedStrategy
        When it was not trained on the one named.
    """
    trained = model.payoffs
    if named is None:
        if len(trained) > 1:
            raise AmbiguousStrategy(f"{model.name} {model.version} knows {', '.join(model.strategies)}: expected one of them.")
        return next(iter(trained))
    if named not in trained:
        raise UntrainedStrategy(
            f"{model.name} {model.version} was trained on candidates of {', '.join(model.strategies)}, not of {named}."
        )
    return named


def problem_of(error: DeskError, path: str) -> Problem:
    """Return a row's problem, as a whole answer would state it."""
    status, detail, remedy = explain(error)
    kind = f"urn:desk:{type(error).__name__}"
    return Problem(type=kind, title=HTTPStatus(status).phrase, status=status, detail=detail, remedy=remedy, instance=path)
