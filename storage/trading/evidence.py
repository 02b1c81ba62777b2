"""Link an order to the rows it was decided on: signal, bar, validation run, and for an entry prediction and features.

An entry of a sleeve without a filter has no prediction and no features. Of each table the newest row counts at the moment the
order is recorded, in the same transaction. Foreign keys hold the links; an order of origin `signal` cannot be stored without
all of them.
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

    Columns = dict[str, Any]

DAILY = "1d"
REMEDIES = {
    "signal": "run `desk trade` for the session, which stores signals before it decides",
    "bar": "load the session's bars: `desk ingest`",
    "validation": "load the session's bars again: `desk ingest` validates them",
    "prediction": "start the prediction API and run `predict` again",
    "features": "build the session's features: `desk featurize`",
}


class NoEvidence(DataError):
    """An order cannot be recorded, because a row that it was decided on is not stored."""


class Evidence:
    """Rows of `trading.evidence`, read and written in the transaction of a connection."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def missing(self, intent: OrderIntent) -> list[str]:
        """Return the names (of `REMEDIES`) of the decision inputs that are not stored; none for an order that needs none."""
        if intent.origin is not Origin.SIGNAL:
            return []
        return [name for name, row in self._inputs(intent).items() if row is None]

    def link(self, intent: OrderIntent) -> int | None:
        """Store an order's evidence and return its id; None for an order that no strategy decided.

        Raises
        ------
        NoEvidence
            When a decision input is not stored.
        """
        if intent.origin is not Origin.SIGNAL:
            return None
        inputs = self._inputs(intent)
        missing = [name for name, row in inputs.items() if row is None]
        if missing:
            remedy = REMEDIES[missing[0]]
            raise NoEvidence(f"Order {intent.client_order_id}: expected its {missing[0]} on record, found none; {remedy}.")
        row = {
            "leg": intent.leg,
            "strategy": intent.strategy,
            "symbol": intent.symbol,
            "session": intent.decision_session,
            **{name: value for part in inputs.values() if part is not None for name, value in part.items()},
        }
        row.pop("feature_timestamp", None)
        return int(self._connection.execute(sa.insert(evidence).values(row).returning(evidence.c.id)).scalar_one())

    def _inputs(self, intent: OrderIntent) -> dict[str, Columns | None]:
        """Return the columns of `trading.evidence` by decision input; None where no row is stored."""
        bar, signal = self._bar(intent), self._signal(intent)
        inputs = {
            "signal": signal,
            "bar": bar,
            "validation": None if bar is None else self._validation(intent, bar["bar_ingested_at"]),
        }
        if intent.leg is Leg.EXIT or (signal is not None and not signal["filtered"]):
            return inputs
        prediction = self._prediction(intent)
        features = None if prediction is None else self._features(intent, prediction["feature_timestamp"])
        return inputs | {"prediction": prediction, "features": features}

    def _signal(self, intent: OrderIntent) -> Columns | None:
        same = (signals.c.strategy == intent.strategy) & (signals.c.symbol == intent.symbol)
        query = sa.select(signals.c.session, signals.c.filtered).where(same, signals.c.session == intent.decision_session)
        return self._first(query)

    def _bar(self, intent: OrderIntent) -> Columns | None:
        bars = raw_prices.c
        midnight = dt.datetime.combine(intent.decision_session, dt.time(), dt.UTC)
        query = sa.select(bars.timeframe, bars.ts.label("bar_ts"), bars.ingested_at.label("bar_ingested_at"))
        same = (bars.symbol == intent.symbol) & (bars.timeframe == DAILY) & (bars.ts == midnight)
        return self._first(query.where(same).order_by(bars.ingested_at.desc()))

    def _validation(self, intent: OrderIntent, ingested_at: dt.datetime) -> Columns | None:
        """Return the run that accepted the bar: of its session or a later one, nearest in time to its ingestion."""
        runs = validation_runs.c
        query = sa.select(runs.id.label("validation_run_id"))
        same = (runs.session >= intent.decision_session) & runs.results["symbols"].contains([intent.symbol])
        apart = sa.func.abs(sa.extract("epoch", runs.created_at - ingested_at))  # the two clocks may differ by seconds
        return self._first(query.where(same).order_by(apart, runs.id))

    def _prediction(self, intent: OrderIntent) -> Columns | None:
        rows = predictions.c
        same = (rows.strategy == intent.strategy) & (rows.symbol == intent.symbol) & (rows.session == intent.decision_session)
        query = sa.select(rows.model_version, rows.feature_timestamp).where(same)
        return self._first(query.order_by(rows.created_at.desc()))

    def _features(self, intent: OrderIntent, event_timestamp: dt.datetime) -> Columns | None:
        rows = market_features.c
        query = sa.select(rows.event_timestamp.label("feature_event"), rows.created_timestamp.label("feature_created"))
        same = (rows.symbol == intent.symbol) & (rows.event_timestamp == event_timestamp)
        return self._first(query.where(same).order_by(rows.created_timestamp.desc()))

    def _first(self, query: sa.Select[Any]) -> Columns | None:
        row = self._connection.execute(query.limit(1)).mappings().first()
        return None if row is None else dict(row)
