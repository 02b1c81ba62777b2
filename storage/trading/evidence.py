"""What an order was decided on, row by row: signal, bar, validation run, and of an entry prediction and features.

Owns which row of each table that is: the newest at the moment the order is written down, in the same transaction. Foreign keys
hold what was found; an order of origin `signal` without all of it cannot be stored.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from core.errors import DataError
from core.models import Leg, Origin
from storage.features.tables import market_features
from storage.market.tables import raw_prices, validation_runs
from storage.trading.tables import evidence, predictions, signals

if TYPE_CHECKING:
    from core.models import OrderIntent

DAILY = "1d"
REMEDIES = {
    "signal": "run `desk trade` for the session, which stores signals before it decides",
    "bar": "load the session's bars: `desk ingest`",
    "validation": "load the session's bars anew: `desk ingest` validates them",
    "prediction": "start the prediction API and run `predict` again",
    "features": "make the session's features: `desk featurize`",
}


class NoEvidence(DataError):
    """An order cannot be written down, because something that it must have been decided on is not on record."""


def missing(connection: sa.Connection, intent: OrderIntent) -> list[str]:
    """What of an order's evidence is not on record: names of `REMEDIES`, none when it is complete or needs none."""
    if intent.origin is not Origin.SIGNAL:
        return []
    return [name for name, row in _found(connection, intent).items() if row is None]


def link(connection: sa.Connection, intent: OrderIntent) -> int | None:
    """Write an order's evidence down and return its id; None for an order that no strategy decided.

    Raises
    ------
    NoEvidence
        When it is not complete.
    """
    if intent.origin is not Origin.SIGNAL:
        return None
    found = _found(connection, intent)
    absent = [name for name, row in found.items() if row is None]
    if absent:
        remedy = REMEDIES[absent[0]]
        raise NoEvidence(f"Order {intent.client_order_id}: expected its {absent[0]} on record, found none; {remedy}.")
    row = {
        "leg": intent.leg,
        "strategy": intent.strategy,
        "symbol": intent.symbol,
        "session": intent.decision_session,
        **{name: value for part in found.values() if part is not None for name, value in part.items()},
    }
    row.pop("feature_timestamp", None)
    return int(connection.execute(sa.insert(evidence).values(row).returning(evidence.c.id)).scalar_one())


def _found(connection: sa.Connection, intent: OrderIntent) -> dict[str, dict[str, Any] | None]:
    """Columns of `trading.evidence` by what they link to; None where there is nothing to link to."""
    bar = _bar(connection, intent)
    found = {
        "signal": _signal(connection, intent),
        "bar": bar,
        "validation": None if bar is None else _validation(connection, intent, bar["bar_ingested_at"]),
    }
    if intent.leg is Leg.EXIT:
        return found
    said = _prediction(connection, intent)
    return found | {"prediction": said, "features": None if said is None else _features(connection, intent, said)}


def _signal(connection: sa.Connection, intent: OrderIntent) -> dict[str, Any] | None:
    mine = (signals.c.strategy == intent.strategy) & (signals.c.symbol == intent.symbol)
    query = sa.select(signals.c.session).where(mine, signals.c.session == intent.decision_session)
    return _first(connection, query)


def _bar(connection: sa.Connection, intent: OrderIntent) -> dict[str, Any] | None:
    bars = raw_prices.c
    midnight = dt.datetime.combine(intent.decision_session, dt.time(), dt.UTC)
    query = sa.select(bars.timeframe, bars.ts.label("bar_ts"), bars.ingested_at.label("bar_ingested_at"))
    mine = (bars.symbol == intent.symbol) & (bars.timeframe == DAILY) & (bars.ts == midnight)
    return _first(connection, query.where(mine).order_by(bars.ingested_at.desc()))


def _validation(connection: sa.Connection, intent: OrderIntent, ingested_at: dt.datetime) -> dict[str, Any] | None:
    """The run that let the bar in: of its session or a later one, nearest in time to its writing."""
    runs = validation_runs.c
    query = sa.select(runs.id.label("validation_run_id"))
    mine = (runs.session >= intent.decision_session) & runs.results["symbols"].contains([intent.symbol])
    apart = sa.func.abs(sa.extract("epoch", runs.created_at - ingested_at))  # the two clocks may differ by seconds
    return _first(connection, query.where(mine).order_by(apart, runs.id))


def _prediction(connection: sa.Connection, intent: OrderIntent) -> dict[str, Any] | None:
    said = predictions.c
    mine = (said.strategy == intent.strategy) & (said.symbol == intent.symbol) & (said.session == intent.decision_session)
    query = sa.select(said.model_version, said.feature_timestamp).where(mine)
    return _first(connection, query.order_by(said.created_at.desc()))


def _features(connection: sa.Connection, intent: OrderIntent, prediction: dict[str, Any]) -> dict[str, Any] | None:
    rows = market_features.c
    query = sa.select(rows.event_timestamp.label("feature_event"), rows.created_timestamp.label("feature_created"))
    mine = (rows.symbol == intent.symbol) & (rows.event_timestamp == prediction["feature_timestamp"])
    return _first(connection, query.where(mine).order_by(rows.created_timestamp.desc()))


def _first(connection: sa.Connection, query: sa.Select[Any]) -> dict[str, Any] | None:
    row = connection.execute(query.limit(1)).mappings().first()
    return None if row is None else dict(row)
