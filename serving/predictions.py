"""From a request to a prediction: find the features, check their age, ask the filter. Owns the age limit's meaning."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd

from core.errors import StaleData, UnknownSymbol
from core.frames import FEATURES
from core.sessions import calendar_name, last_closed_session, next_session, sessions_between
from serving.schemas import Prediction

if TYPE_CHECKING:
    from ml.predict import EntryFilter
    from pipeline.resources import Resources
    from serving.schemas import PredictionRequest


def predict(request: PredictionRequest, model: EntryFilter, resources: Resources) -> Prediction:
    """Judge an entry in the symbol at the next open.

    Raises
    ------
    UnknownSymbol
        When the online store does not know the symbol.
    StaleData
        When its newest features are older than `MAX_FEATURE_AGE_SESSIONS` or all unknown.
    """
    if request.features is None:
        row, seen = _stored(request.symbol, resources)
        session = _session_of(seen)
    else:
        row, seen = pd.DataFrame([request.features]), None
        session = reference_session(resources, request.symbol)
    judged = model.predict(row).iloc[0]
    return Prediction(
        timestamp=resources.clock(),
        symbol=request.symbol,
        session=session,
        for_session=next_session(session, calendar_name(request.symbol)),
        probability=float(judged["probability"]),
        predicted_return=float(judged["predicted_return"]),
        signal="enter" if judged["accept"] else "skip",
        confidence=float(judged["confidence"]),
        model_name=model.name,
        model_version=model.version,
        feature_timestamp=seen,
    )


def reference_session(resources: Resources, symbol: str) -> dt.date:
    """The session that fresh features would be of: the last one closed, or the newest stored of a finished history."""
    if resources.historical:
        return max(resources.bars.last_sessions().values())
    return last_closed_session(resources.clock(), calendar_name(symbol))


def _stored(symbol: str, resources: Resources) -> tuple[pd.DataFrame, dt.datetime]:
    """The symbol's newest features and the close they were taken at."""
    found = resources.features.online([symbol])
    seen = found["event_timestamp"].iloc[0]
    if pd.isna(seen):
        raise UnknownSymbol(symbol, resources.bars.symbols())
    session, newest = _session_of(seen), reference_session(resources, symbol)
    age = max(len(sessions_between(session, newest, calendar_name(symbol))) - 1, 0)
    limit = resources.settings.max_feature_age_sessions
    if age > limit:
        raise StaleData(f"Features of {symbol} are of {session}, {age} sessions before {newest}; at most {limit} are allowed.")
    row = found[list(FEATURES)]
    if row.isna().all(axis=None):
        raise StaleData(f"Features of {symbol} at {session} are all unknown: its history is shorter than their warm-up.")
    return row, seen.to_pydatetime()


def _session_of(close: dt.datetime) -> dt.date:
    """The session that ended at a close; around the clock that is midnight of the day after."""
    return (close - dt.timedelta(microseconds=1)).date()
