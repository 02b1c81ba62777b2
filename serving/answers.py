"""Predictions as the bytes of their JSON. Owns their spelling; `serving.schemas` says what they mean, a test compares them.

Most of an answer is the same for every request about a symbol, so that it is spelt once and remembered. Building a model of
pydantic's and writing it costs 5 us, this 2.
"""

from __future__ import annotations

import datetime as dt
import json
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING

from serving.problems import Unanswerable

if TYPE_CHECKING:
    from storage.trading.served import Served

Value = str | dt.date | dt.datetime | None
ASKED = ("symbol", "session", "for_session")
SAID = ("signal", "arm", "model_name", "model_version", "feature_timestamp")


def entry(row: Served) -> bytes:
    """The answer that `serving.schemas.EntryPrediction` describes.

    Raises
    ------
    Unanswerable
        When a number is not finite.
    """
    if not isfinite(row.predicted_return):
        raise unanswerable(row)
    asked = spelt((*ASKED, "strategy"), row.symbol, row.session, row.for_session, row.strategy)
    said = spelt(SAID, row.signal, row.arm, row.model_name, row.model_version, row.feature_timestamp)
    return (
        f'{{"timestamp":"{stamp(row.served_at)}",{asked}"probability":{row.probability!r},'
        f'"predicted_return":{row.predicted_return!r},"confidence":{row.confidence!r},{said}"feature_hash":"{row.feature_hash}"}}'
    ).encode()


def next_day(row: Served) -> bytes:
    """The answer that `serving.schemas.NextDayPrediction` describes.

    Raises
    ------
    Unanswerable
        When a number is not finite.
    """
    if not isfinite(row.low) or not isfinite(row.high):  # type: ignore[arg-type]  # there is an interval in such a row
        raise unanswerable(row)
    asked = spelt(ASKED, row.symbol, row.session, row.for_session)
    said = spelt(SAID, row.signal, row.arm, row.model_name, row.model_version, row.feature_timestamp)
    return (
        f'{{"timestamp":"{stamp(row.served_at)}",{asked}"predicted_return":{row.predicted_return!r},"low":{row.low!r},'
        f'"high":{row.high!r},"confidence":{row.confidence!r},{said}"feature_hash":"{row.feature_hash}"}}'
    ).encode()


@lru_cache(maxsize=4096)
def spelt(names: tuple[str, ...], *values: Value) -> str:
    """Members of a JSON object, a comma after each."""
    return "".join(f"{json.dumps(name)}:{_value(value)}," for name, value in zip(names, values, strict=True))


def stamp(moment: dt.datetime) -> str:
    """A moment as pydantic writes it."""
    return moment.isoformat().replace("+00:00", "Z")


def unanswerable(row: Served) -> Unanswerable:
    """The error about features that are numbers, but not of this world."""
    return Unanswerable(f"{row.symbol}: expected a finite prediction, found one that is not. Some feature is far too large.")


def _value(value: Value) -> str:
    if isinstance(value, dt.datetime):
        return f'"{stamp(value)}"'
    return f'"{value.isoformat()}"' if isinstance(value, dt.date) else json.dumps(value)
