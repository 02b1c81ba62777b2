"""The ledger: intents, orders, fills, positions, trades and equity. It decides nothing.

Every method commits before it returns. Orders implement `trading.brokers.book.Book`: an intent is written once under its client
order id, and an execution with all its consequences is one transaction.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on, insert

from core.failpoints import reach
from core.frames import BAND_COLUMNS, SESSION, SIGNALS, TRADES
from core.models import FINAL, OrderState, require_transition, state_after_fill
from storage.columns import TRADE_COLUMNS
from storage.engine import records
from storage.trading.book_rows import (
    PRESENT_COLUMNS,
    change_position,
    filled_quantity,
    locked_state,
    move_order,
    record_intent,
    reorder_open,
    set_state,
)
from storage.trading.control_tables import risk_events
from storage.trading.evidence import Evidence
from storage.trading.orders import to_event, to_fill, to_position, to_present_intent, to_row
from storage.trading.tables import (
    book_events,
    equity,
    fills,
    order_events,
    order_intents,
    orders,
    positions,
    predictions,
    signals,
    trades,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from core.book_events import BookEvent
    from core.models import Fill, OrderIntent, Position

SIGNAL_COLUMNS = ("strategy", "symbol", *SIGNALS.columns, "close")
PREDICTION_COLUMNS = ("symbol", "model_version", "model_name", "probability", "predicted_return", "signal", "feature_timestamp")


class Ledger:
    """Signals, predictions, orders, fills, positions, trades and equity in the schema `trading`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    # Orders: the port `trading.brokers.book.Book`.

    def record_intents(self, intents: Sequence[OrderIntent]) -> int:
        """Store the intents that are new, in state INTENT; return their number."""
        with self._engine.begin() as connection:
            return sum(record_intent(connection, intent) for intent in intents)

    def missing_evidence(self, intents: Iterable[OrderIntent]) -> dict[str, list[str]]:
        """Return by order id the decision inputs that are not stored (`evidence.REMEDIES`); complete orders are absent."""
        with self._engine.connect() as connection:
            evidence = Evidence(connection)
            missing = {intent.client_order_id: evidence.missing(intent) for intent in intents}
        return {order_id: names for order_id, names in missing.items() if names}

    def order(self, client_order_id: str) -> tuple[OrderIntent, OrderState] | None:
        """Return the intent and its present state, or None."""
        orders = self._orders(order_intents.c.client_order_id == client_order_id)
        return orders[0] if orders else None

    def open_orders(self, portfolio: str) -> list[tuple[OrderIntent, OrderState]]:
        """Return the orders in no final state, sorted by (session, client_order_id)."""
        return self._orders((order_intents.c.portfolio == portfolio) & orders.c.state.not_in(FINAL))

    def orders_decided(self, portfolio: str, decision_session: dt.date) -> list[tuple[OrderIntent, OrderState]]:
        """Return the orders decided at a session, in any state, sorted by (session, client_order_id)."""
        return self._orders((order_intents.c.portfolio == portfolio) & (order_intents.c.decision_session == decision_session))

    def orders_for(self, portfolio: str, after: dt.date, last: dt.date) -> list[tuple[OrderIntent, OrderState, str]]:
        """Return the orders for the sessions after `after`, up to `last`, each with its state and the reason for it.

        The reason of a cancelled order is that of the cancellation request, not of its confirmation.
        """
        mine = order_intents.c.portfolio == portfolio
        orders = self._orders(mine & (order_intents.c.session > after) & (order_intents.c.session <= last))
        reasons = self._reasons([order.client_order_id for order, _ in orders])
        return [(order, state, reasons[order.client_order_id]) for order, state in orders]

    def transition(self, client_order_id: str, state: OrderState, reason: str = "") -> bool:
        """Move the order and append the event; False when it is in that state already, and nothing changes.

        Raises
        ------
        core.errors.IllegalTransition
            When the move is not allowed or there is no such order.
        """
        with self._engine.begin() as connection:
            return move_order(connection, client_order_id, state, reason)

    def record_fill(self, fill: Fill, order: OrderIntent, change: Callable[[Position | None], Position | None]) -> bool:
        """Record an execution, its order's move and the position after it, in one transaction.

        Returns False when the fill is on record.

        Raises
        ------
        core.errors.IllegalTransition
            When the fills would exceed the order, or it was refused or never sent.
        """
        with self._engine.begin() as connection:
            if record_intent(connection, order):
                move_order(connection, order.client_order_id, OrderState.SUBMITTED, "executed by the broker itself")
            state = locked_state(connection, order.client_order_id)
            stored = insert(fills).values(to_row(fill)).on_conflict_do_nothing().returning(fills.c.fill_id)
            if connection.execute(stored).first() is None:
                return False
            reach("ledger.fill_halfway")
            reached = state_after_fill(order, state, filled_quantity(connection, order.client_order_id))
            if reached is not state:
                require_transition(state, reached)
            set_state(connection, order.client_order_id, reached, f"{fill.reason}: {fill.quantity} at {fill.price}")
            key = {"portfolio": order.portfolio, "strategy": order.strategy, "symbol": order.symbol}
            change_position(connection, key, change)
            return True

    def record_event(
        self,
        event: BookEvent,
        change: Callable[[Position], Position | None],
        reorder: Callable[[OrderIntent], OrderIntent],
    ) -> bool:
        """Record a book event, the position and the open orders after it, in one transaction; False when it is on record."""
        with self._engine.begin() as connection:
            row = {name: value for name, value in to_row(event).items() if value is not None}
            stored = insert(book_events).values(row).on_conflict_do_nothing().returning(book_events.c.event_id)
            if connection.execute(stored).first() is None:
                return False
            reach("ledger.event_halfway")
            reorder_open(connection, event, reorder)
            key = {"portfolio": event.portfolio, "strategy": event.strategy, "symbol": event.symbol}
            change_position(connection, key, lambda before: None if before is None else change(before))
            return True

    def book_events(self, portfolio: str) -> list[BookEvent]:
        """Return the book events of a portfolio, sorted by (session, event_id)."""
        event = book_events.c
        query = sa.select(book_events).where(event.portfolio == portfolio).order_by(event.session, event.event_id)
        return [to_event(row) for row in self._rows(query)]

    def filled(self, client_order_id: str) -> Decimal:
        """Return the quantity filled so far, in the terms of today."""
        with self._engine.connect() as connection:
            return filled_quantity(connection, client_order_id)

    def reasons(self, client_order_ids: Sequence[str]) -> dict[str, str]:
        """Return the reason of each order's newest event, by order id."""
        event = order_events.c
        query = (
            sa.select(event.client_order_id, event.reason)
            .ext(distinct_on(event.client_order_id))
            .where(event.client_order_id.in_(client_order_ids))
            .order_by(event.client_order_id, event.id.desc())
        )
        return {row["client_order_id"]: row["reason"] for row in self._rows(query)}

    def fills(self, portfolio: str, symbols: Collection[str] | None = None) -> list[tuple[OrderIntent, Fill]]:
        """Return every fill with its order, sorted by `filled_at`, then `fill_id`; those in some symbols alone where named."""
        intents = [column.label(f"intent_{column.name}") for column in order_intents.c]
        query = (
            sa.select(fills, *intents, *PRESENT_COLUMNS)
            .join(order_intents, order_intents.c.client_order_id == fills.c.client_order_id)
            .join(orders, orders.c.client_order_id == fills.c.client_order_id)
            .where(order_intents.c.portfolio == portfolio)
            .order_by(fills.c.filled_at, fills.c.fill_id)
        )
        if symbols is not None:
            query = query.where(fills.c.symbol.in_(symbols))
        return [
            (to_present_intent(row | {column.name: row[f"intent_{column.name}"] for column in order_intents.c}), to_fill(row))
            for row in self._rows(query)
        ]

    def positions(self, portfolio: str) -> list[Position]:
        """Return the open positions, sorted by (strategy, symbol)."""
        query = sa.select(positions).where(positions.c.portfolio == portfolio)
        return sorted((to_position(row) for row in self._rows(query)), key=lambda held: (held.strategy, held.symbol))

    def cash_flow_usd(self, portfolio: str, strategy: str | None = None) -> Decimal:
        """Return the cash flow of all fills and events: sales minus purchases minus commissions, and the events' cash.

        Parameters
        ----------
        strategy
            Of this strategy alone; transfers belong to none.
        """
        signed = sa.case((fills.c.side == "sell", fills.c.quantity), else_=-fills.c.quantity)
        query = (
            sa.select(sa.func.sum(signed * fills.c.price - fills.c.commission_usd))
            .join(order_intents, order_intents.c.client_order_id == fills.c.client_order_id)
            .where(order_intents.c.portfolio == portfolio)
        )
        events = sa.select(sa.func.sum(book_events.c.cash_usd)).where(book_events.c.portfolio == portfolio)
        if strategy is not None:
            query = query.where(order_intents.c.strategy == strategy)
            events = events.where(book_events.c.strategy == strategy)
        with self._engine.connect() as connection:
            return (connection.execute(query).scalar() or Decimal(0)) + (connection.execute(events).scalar() or Decimal(0))

    # Results of the daily trade.

    def save_signals(self, frame: pd.DataFrame) -> None:
        """Upsert SIGNALS rows with the columns strategy, symbol and close.

        In a frame without it `filtered` is true, and without `BAND_COLUMNS` the bands are NULL.
        """
        filtered = frame["filtered"].tolist() if "filtered" in frame else [True] * len(frame)
        rows = [
            {**row, "session": row["session"].date(), "filtered": bool(asked)}
            for row, asked in zip(records(frame.reindex(columns=[*SIGNAL_COLUMNS, *BAND_COLUMNS])), filtered, strict=True)
        ]
        self._upsert(signals, rows, ("strategy", "symbol", "session"))

    def signals(self, session: dt.date, strategy: str | None = None) -> pd.DataFrame:
        """Return the SIGNALS of a session with strategy, symbol and close, sorted by strategy and symbol."""
        query = sa.select(*(signals.c[name] for name in SIGNAL_COLUMNS)).where(signals.c.session == session)
        if strategy is not None:
            query = query.where(signals.c.strategy == strategy)
        frame = pd.DataFrame(self._rows(query), columns=list(SIGNAL_COLUMNS))
        frame["session"] = pd.to_datetime(frame["session"]).astype(SESSION)
        kinds = {name: kind for name, kind in SIGNALS.columns.items() if name != "session"}
        return frame.astype({**kinds, "close": "float64"}).sort_values(["strategy", "symbol"], ignore_index=True)

    def save_predictions(self, session: dt.date, answers: Iterable[Mapping[str, Any]]) -> None:
        """Upsert the prediction API's answers about the candidates of a session, each with its strategy."""
        columns = ("strategy", *PREDICTION_COLUMNS)
        rows = [
            {"session": session, "ab_arm": answer.get("ab_arm", ""), **{name: answer[name] for name in columns}}
            for answer in answers
        ]
        self._upsert(predictions, rows, ("strategy", "symbol", "session", "model_version"))

    def predictions(self, session: dt.date) -> pd.DataFrame:
        """Return the newest predictions: strategy, symbol, model_version, probability, predicted_return, signal, arm."""
        columns = ["strategy", "symbol", "model_version", "probability", "predicted_return", "signal", "ab_arm"]
        wanted = predictions.c
        query = (
            sa.select(*(wanted[name] for name in columns))
            .ext(distinct_on(wanted.strategy, wanted.symbol))
            .where(wanted.session == session)
            .order_by(wanted.strategy, wanted.symbol, wanted.created_at.desc())
        )
        return pd.DataFrame(self._rows(query), columns=columns)

    def save_risk_events(self, events: Iterable[Mapping[str, Any]]) -> int:
        """Store rows of portfolio, strategy, symbol, session and reason that are new; return their number."""
        rows = [dict(event) for event in events]
        if not rows:
            return 0
        stored = insert(risk_events).on_conflict_do_nothing().returning(risk_events.c.reason)
        with self._engine.begin() as connection:
            return sum(connection.execute(stored.values(row)).first() is not None for row in rows)

    def risk_events(self, portfolio: str) -> pd.DataFrame:
        """Return every refusal and breach of a portfolio: strategy, symbol ("": all of it), session, reason."""
        wanted = risk_events.c
        query = sa.select(wanted.strategy, wanted.symbol, wanted.session, wanted.reason).where(wanted.portfolio == portfolio)
        frame = pd.DataFrame(self._rows(query), columns=["strategy", "symbol", "session", "reason"])
        return frame.sort_values(["session", "symbol"], ignore_index=True)

    def save_trades(self, portfolio: str, frame: pd.DataFrame) -> None:
        """Upsert closed trades (TRADES)."""
        days = [name for name, kind in TRADES.columns.items() if kind == SESSION]
        rows = [
            {"portfolio": portfolio, **row, **{name: row[name].date() for name in days}}
            for row in records(frame[list(TRADE_COLUMNS)])
        ]
        self._upsert(trades, rows, ("portfolio", *TRADES.key))

    def portfolios(self) -> list[str]:
        """Return the portfolios with an order or a value at a close, sorted."""
        names = sa.union(sa.select(order_intents.c.portfolio), sa.select(equity.c.portfolio)).subquery()
        return sorted(str(row["portfolio"]) for row in self._rows(sa.select(names)))

    def trades(self, portfolio: str) -> pd.DataFrame:
        """Return the TRADES of a portfolio."""
        query = sa.select(*(trades.c[name] for name in TRADE_COLUMNS)).where(trades.c.portfolio == portfolio)
        return TRADES.coerce(pd.DataFrame(self._rows(query), columns=list(TRADE_COLUMNS)))

    def save_equity(self, row: Mapping[str, Any]) -> None:
        """Upsert the portfolio's value at a close: portfolio, session, cash_usd, equity_usd, exposure_usd, positions."""
        self._upsert(equity, [dict(row)], ("portfolio", "session"))

    def equity(self, portfolio: str) -> pd.DataFrame:
        """Return the portfolio's value at each close: session, cash_usd, equity_usd, exposure_usd, positions."""
        columns = ["session", "cash_usd", "equity_usd", "exposure_usd", "positions"]
        query = sa.select(*(equity.c[name] for name in columns)).where(equity.c.portfolio == portfolio)
        frame = pd.DataFrame(self._rows(query.order_by(equity.c.session)), columns=columns)
        frame["session"] = pd.to_datetime(frame["session"]).astype(SESSION)
        return frame

    def _orders(self, condition: sa.ColumnElement[bool]) -> list[tuple[OrderIntent, OrderState]]:
        query = sa.select(order_intents, orders.c.state, *PRESENT_COLUMNS).join(orders).where(condition)
        pairs = [(to_present_intent(row), OrderState(row["state"])) for row in self._rows(query)]
        return sorted(pairs, key=lambda pair: (pair[0].session, pair[0].client_order_id))

    def _reasons(self, client_order_ids: Sequence[str]) -> dict[str, str]:
        events = order_events.c
        query = (
            sa.select(events.client_order_id, events.reason)
            .ext(distinct_on(events.client_order_id))
            .where(events.client_order_id.in_(client_order_ids))
            .order_by(events.client_order_id, (events.state == OrderState.CANCEL_PENDING).desc(), events.id.desc())
        )
        return {row["client_order_id"]: row["reason"] for row in self._rows(query)}

    def _rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _upsert(self, table: sa.Table, rows: list[dict[str, Any]], key: tuple[str, ...]) -> None:
        if not rows:
            return
        query = insert(table)
        changed = {name: query.excluded[name] for name in rows[0] if name not in key}
        with self._engine.begin() as connection:
            connection.execute(query.on_conflict_do_update(index_elements=list(key), set_=changed), rows)
