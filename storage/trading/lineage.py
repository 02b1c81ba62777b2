"""Where an order came from: the rows behind it, from its intent down to the versions of its bars. Owns how they are found.

Reads alone. Which rows an order was decided on is on record since `storage.trading.evidence` linked them.
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
    """Rows behind an order; a method that finds none answers None, or an empty list."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def order(self, client_order_id: str) -> Row | None:
        """The intent, with its present state."""
        query = sa.select(order_intents, orders.c.state).join(orders)
        return self._first(query.where(order_intents.c.client_order_id == client_order_id))

    def like(self, beginning: str) -> list[str]:
        """Ids of orders that begin so, at most ten."""
        wanted = order_intents.c.client_order_id
        query = sa.select(wanted).where(wanted.startswith(beginning, autoescape=True)).order_by(wanted).limit(10)
        return [row["client_order_id"] for row in self._all(query)]

    def events(self, client_order_id: str) -> list[Row]:
        """Its moves, oldest first: state, reason, created_at."""
        wanted = order_events.c
        query = sa.select(wanted.state, wanted.reason, wanted.created_at)
        return self._all(query.where(wanted.client_order_id == client_order_id).order_by(wanted.id))

    def fills(self, client_order_id: str) -> list[Row]:
        """Its executions, oldest first."""
        return self._all(sa.select(fills).where(fills.c.client_order_id == client_order_id).order_by(fills.c.filled_at))

    def evidence(self, order: Row) -> Row | None:
        """What the order was decided on; None when no strategy decided it, or before evidence was kept."""
        return self._first(sa.select(evidence).where(evidence.c.id == order["evidence_id"]))

    def signal(self, proof: Row) -> Row | None:
        """What the strategy said."""
        wanted = signals.c
        return self._first(sa.select(signals).where(*(wanted[name] == proof[name] for name in KEY)))

    def prediction(self, proof: Row) -> Row | None:
        """What the filter answered about an entry."""
        wanted = predictions.c
        return self._first(sa.select(predictions).where(*(wanted[name] == proof[name] for name in (*KEY, "model_version"))))

    def served(self, prediction: Row, by: dt.datetime) -> Row | None:
        """The API's own record of that answer, with the names of its features."""
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
        """The feature row of an entry, in its version."""
        wanted = market_features.c
        query = sa.select(market_features).where(
            wanted.symbol == proof["symbol"],
            wanted.event_timestamp == proof["feature_event"],
            wanted.created_timestamp == proof["feature_created"],
        )
        return self._first(query)

    def bar_versions(self, symbol: str, session: dt.date) -> list[Row]:
        """Every version of a session's daily bar, oldest first."""
        wanted = raw_prices.c
        day = sa.cast(sa.func.timezone("UTC", wanted.ts), sa.Date)
        query = sa.select(raw_prices).where(wanted.symbol == symbol, wanted.timeframe == "1d", day == session)
        return self._all(query.order_by(wanted.ingested_at))

    def validation(self, proof: Row) -> Row | None:
        """The validation run that let the bar in."""
        wanted = validation_runs.c
        query = sa.select(wanted.id, wanted.session, wanted.passed, wanted.created_at)
        return self._first(query.where(wanted.id == proof["validation_run_id"]))

    def _all(self, query: sa.Select[Any]) -> list[Row]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _first(self, query: sa.Select[Any]) -> Row | None:
        rows = self._all(query)
        return rows[0] if rows else None
