"""From a request to a prediction: find the features, check their age, ask the model, record it. Owns what too old means."""

from __future__ import annotations

import asyncio
import time
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, NamedTuple

from sqlalchemy.exc import OperationalError

from core.errors import ConfigError, DeskError, RetryLater, StaleData
from core.feature_hash import feature_hash
from core.frames import FEATURES
from core.sessions import calendar_name, sessions_between
from serving.online import following_session
from serving.problems import explain
from serving.schemas import BatchItem, Prediction, Problem
from storage.served import Served

if TYPE_CHECKING:
    import datetime as dt

    from ml.scorer import Judgement
    from pipeline.resources import Resources
    from serving.journal import Journal
    from serving.metrics import Metrics
    from serving.models import Loaded, Models
    from serving.online import OnlineRows
    from serving.schemas import PredictionRequest

NAN = float("nan")
BREATH_ROWS = 50  # of a batch, between two chances for other requests


class Inputs(NamedTuple):
    """What a prediction is made from; `seen` is None for features that came with the request."""

    values: list[float]
    session: dt.date
    seen: dt.datetime | None


class Occasion(NamedTuple):
    """Which route was asked, and when (`time.perf_counter`)."""

    route: str
    started: float


class Predictor:
    """Answers requests with the models loaded and the rows in memory, and queues each answer to be stored."""

    def __init__(self, resources: Resources, models: Models, rows: OnlineRows, journal: Journal, metrics: Metrics) -> None:
        self._resources = resources
        self._models = models
        self._rows = rows
        self._journal = journal
        self._metrics = metrics

    async def one(self, asked: PredictionRequest, occasion: Occasion) -> Prediction:
        """Judge an entry in the symbol at the next open.

        Raises
        ------
        NoChampion, NoChallenger
            When the arm has no model.
        QueueFull
            When the answer could not be recorded.
        UnknownSymbol
            When the online store does not know the symbol.
        StaleData
            When its newest features are older than `MAX_FEATURE_AGE_SESSIONS` or all unknown.
        """
        loaded = self._models.get(asked.arm)
        self._journal.require_room()
        inputs = await self._inputs(asked)
        judged = await judge(loaded, inputs.values, sole_strategy(loaded))
        self._journal.require_room()  # others may have come while this one waited
        return self._answer(asked, loaded, inputs, judged, occasion)

    async def many(self, asked: list[PredictionRequest], occasion: Occasion) -> list[BatchItem]:
        """Judge many entries; a row with a problem has it in its place, and what concerns all rows is raised as for one."""
        self._journal.require_room(len(asked))
        items = []
        for place, row in enumerate(asked):
            if place % BREATH_ROWS == BREATH_ROWS - 1:
                await asyncio.sleep(0)
            try:
                items.append(BatchItem(prediction=await self.one(row, occasion)))
            except (RetryLater, OperationalError):
                raise
            except DeskError as error:
                items.append(BatchItem(problem=problem_of(error, occasion.route)))
        return items

    async def _inputs(self, asked: PredictionRequest) -> Inputs:
        newest = await self._rows.reference_session(asked.symbol)
        if asked.features is not None:
            given = asked.features
            values = [NAN if (value := given[name]) is None else value for name in FEATURES]
            return Inputs(values, newest, None)
        row = await self._rows.get(asked.symbol)
        if row.session < newest:
            require_age(asked.symbol, row.session, newest, self._resources.settings.max_feature_age_sessions)
        if not row.known:
            raise StaleData(
                f"Features of {asked.symbol} at {row.session} are all unknown: its history is shorter than their warm-up."
            )
        return Inputs(row.values, row.session, row.seen)

    def _answer(
        self,
        asked: PredictionRequest,
        loaded: Loaded,
        inputs: Inputs,
        judged: Judgement,
        occasion: Occasion,
    ) -> Prediction:
        """Put the answer together, queue it and count it."""
        model, now = loaded.model, self._resources.clock()
        signal: Literal["enter", "skip"] = "enter" if judged.accept else "skip"
        digest = feature_hash(inputs.values)
        following = following_session(inputs.session, calendar_name(asked.symbol))
        elapsed = time.perf_counter() - occasion.started
        self._journal.add(
            Served(
                served_at=now,
                symbol=asked.symbol,
                session=inputs.session,
                for_session=following,
                arm=loaded.arm,
                model_name=model.name,
                model_version=model.version,
                probability=judged.probability,
                predicted_return=judged.predicted_return,
                signal=signal,
                source="given" if inputs.seen is None else "online",
                feature_timestamp=inputs.seen,
                feature_hash=digest,
                features=inputs.values,
                latency_us=int(elapsed * 1e6),
            )
        )
        count, seconds = self._metrics.prediction(occasion.route, loaded.arm, model.name, model.version, signal)
        count.inc()
        seconds.observe(elapsed)
        return Prediction.model_construct(
            timestamp=now,
            symbol=asked.symbol,
            session=inputs.session,
            for_session=following,
            probability=judged.probability,
            predicted_return=judged.predicted_return,
            signal=signal,
            confidence=judged.confidence,
            arm=loaded.arm,
            model_name=model.name,
            model_version=model.version,
            feature_timestamp=inputs.seen,
            feature_hash=digest,
        )


async def judge(loaded: Loaded, values: list[float], strategy: str) -> Judgement:
    """Ask the model; one without a fast way is asked off the event loop."""
    scorer = loaded.scorer
    return scorer.judge(values, strategy) if scorer.fast else await asyncio.to_thread(scorer.judge, values, strategy)


def sole_strategy(loaded: Loaded) -> str:
    """The one strategy that a model knows."""
    known = loaded.model.strategies
    if len(known) > 1:
        raise ConfigError(
            f"{loaded.model.name} {loaded.model.version} knows {', '.join(known)}: which of them is not asked yet."
        )
    return known[0]


@lru_cache(maxsize=1024)
def age_of(session: dt.date, newest: dt.date, calendar: str) -> int:
    """Sessions that have closed since."""
    return max(len(sessions_between(session, newest, calendar)) - 1, 0)


def require_age(symbol: str, session: dt.date, newest: dt.date, limit: int) -> None:
    """Refuse features that are older than the limit.

    Raises
    ------
    StaleData
        Names both sessions and the limit.
    """
    age = age_of(session, newest, calendar_name(symbol))
    if age > limit:
        raise StaleData(f"Features of {symbol} are of {session}, {age} sessions before {newest}; at most {limit} are allowed.")


def problem_of(error: DeskError, path: str) -> Problem:
    """A row's problem, as the whole answer would tell it."""
    status, detail, remedy = explain(error)
    kind = f"urn:desk:{type(error).__name__}"
    return Problem(type=kind, title=HTTPStatus(status).phrase, status=status, detail=detail, remedy=remedy, instance=path)
