"""Read the rows behind an order, from its intent down to the versions of its bars.

`storage.trading.evidence` linked them when the order was recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from storage.features.tables import feature_sets, market_features
from storage.market.tables import raw_prices, validation_runs
from storage.trading.served import ENTRY
from storage.trading.tables import (
    evidence,
    fills,
    order_events,
    order_intents,
    orders,
    predictions,
    served_predictions,
    signals,
)

if TYPE_CHECKING:
    import datetime as dt

Row = dict[str, Any]
KEY = ("strategy", "symbol", "session")


class Lineage:
    """Rows behind an order; a method without a result returns None or an empty list."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def order(self, client_order_id: str) -> Row | None:
        """Return the intent with its present state."""
        query = sa.select(order_intents, orders.c.state).join(orders)
        return self._first(query.where(order_intents.c.client_order_id == client_order_id))

    def ids_with_prefix(self, prefix: str) -> list[str]:
        """Return the ids of orders with this prefix, at most ten."""
        wanted = order_intents.c.client_order_id
        query = sa.select(wanted).where(wanted.startswith(prefix, autoescape=True)).order_by(wanted).limit(10)
        return [row["client_order_id"] for row in self._all(query)]

    def events(self, client_order_id: str) -> list[Row]:
        """Return the order's state changes, oldest first: state, reason, created_at."""
        wanted = order_events.c
        query = sa.select(wanted.state, wanted.reason, wanted.created_at)
        return self._all(query.where(wanted.client_order_id == client_order_id).order_by(wanted.id))

    def fills(self, client_order_id: str) -> list[Row]:
        """Return the order's fills, oldest first."""
        return self._all(sa.select(fills).where(fills.c.client_order_id == client_order_id).order_by(fills.c.filled_at))

    def evidence(self, order: Row) -> Row | None:
        """Return the row of an order's decision inputs; None when no strategy decided it, or before evidence was stored."""
        return self._first(sa.select(evidence).where(evidence.c.id == order["evidence_id"]))

    def signal(self, proof: Row) -> Row | None:
        """Return the strategy's signal."""
        wanted = signals.c
        return self._first(sa.select(signals).where(*(wanted[name] == proof[name] for name in KEY)))

    def prediction(self, proof: Row) -> Row | None:
        """Return the filter's prediction for an entry."""
        wanted = predictions.c
        return self._first(sa.select(predictions).where(*(wanted[name] == proof[name] for name in (*KEY, "model_version"))))

    def served(self, prediction: Row, by: dt.datetime) -> Row | None:
        """Return the API's own record of that prediction, with the names of its features."""
        wanted = served_predictions.c
        same = [
            wanted[name] == prediction[name] for name in ("symbol", "session", "model_name", "model_version", "probability")
        ]
        query = sa.select(served_predictions, feature_sets.c.names).join(
            feature_sets, feature_sets.c.digest == wanted.feature_set, isouter=True
        )
        mine = (wanted.kind == ENTRY) & (wanted.served_at <= by)
        return self._first(query.where(*same, mine).order_by(wanted.id.desc()).limit(1))

    def features(self, proof: Row) -> Row | None:
        """Return the version of the feature row that an entry was decided on."""
        wanted = market_features.c
        query = sa.select(market_features).where(
            wanted.symbol == proof["symbol"],
            wanted.event_timestamp == proof["feature_event"],
            wanted.created_timestamp == proof["feature_created"],
        )
        return self._first(query)

    def bar_versions(self, symbol: str, session: dt.date) -> list[Row]:
        """Return every version of a session's daily bar, oldest first."""
        wanted = raw_prices.c
        day = sa.cast(sa.func.timezone("UTC", wanted.ts), sa.Date)
        query = sa.select(raw_prices).where(wanted.symbol == symbol, wanted.timeframe == "1d", day == session)
        return self._all(query.order_by(wanted.ingested_at))

    def validation(self, proof: Row) -> Row | None:
        """Return the validation run that accepted the bar."""
        wanted = validation_runs.c
        query = sa.select(wanted.id, wanted.session, wanted.passed, wanted.created_at)
        return self._first(query.where(wanted.id == proof["validation_run_id"]))

    def _all(self, query: sa.Select[Any]) -> list[Row]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _first(self, query: sa.Select[Any]) -> Row | None:
        rows = self._all(query)
        return rows[0] if rows else None
