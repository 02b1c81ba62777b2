"""Rows of orders, fills and positions within one transaction, which the ledger opens and commits."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from core.book_events import scaled, terms_since
from core.errors import IllegalTransition
from core.failpoints import reach
from core.models import FINAL, OrderState, require_transition
from core.provenance import code_commit, dag_run
from storage.trading.evidence import Evidence
from storage.trading.orders import PRESENT_TERMS, to_event, to_position, to_present_intent, to_row
from storage.trading.tables import book_events, fills, order_events, order_intents, orders, positions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from core.book_events import BookEvent
    from core.models import OrderIntent, Position

PRESENT_COLUMNS = [orders.c[name].label(f"order_{name}") for name in PRESENT_TERMS]


def record_intent(connection: sa.Connection, intent: OrderIntent) -> bool:
    """Store an intent and its first event, unless its id is on record."""
    recorded = sa.select(order_intents.c.client_order_id).where(order_intents.c.client_order_id == intent.client_order_id)
    if connection.execute(recorded).first() is not None:
        return False
    halfway = connection.begin_nested()
    row = {
        **to_row(intent),
        "code_commit": code_commit(),
        "dag_run": dag_run(),
        "evidence_id": Evidence(connection).link(intent),
    }
    query = insert(order_intents).values(row).on_conflict_do_nothing().returning(order_intents.c.client_order_id)
    if connection.execute(query).first() is None:  # another process recorded it in the same moment
        halfway.rollback()
        return False
    halfway.commit()
    reach("ledger.intent_halfway")
    connection.execute(sa.insert(orders).values(client_order_id=intent.client_order_id, state=OrderState.INTENT))
    _event(connection, intent.client_order_id, OrderState.INTENT, "decided")
    return True


def move_order(connection: sa.Connection, client_order_id: str, state: OrderState, reason: str) -> bool:
    """Move an order and append the event; False when it is in that state already."""
    present = locked_state(connection, client_order_id)
    if present is state:
        return False
    require_transition(present, state)
    set_state(connection, client_order_id, state, reason)
    return True


def locked_state(connection: sa.Connection, client_order_id: str) -> OrderState:
    """Return the order's state, locked until this transaction ends."""
    query = sa.select(orders.c.state).where(orders.c.client_order_id == client_order_id).with_for_update()
    present = connection.execute(query).scalar()
    if present is None:
        raise IllegalTransition(f"Order {client_order_id} is not in the book; record its intent first.")
    return OrderState(present)


def set_state(connection: sa.Connection, client_order_id: str, state: OrderState, reason: str) -> None:
    """Set an order's state and append the event, whatever the state before."""
    moved = sa.update(orders).where(orders.c.client_order_id == client_order_id)
    connection.execute(moved.values(state=state, updated_at=sa.func.now()))
    _event(connection, client_order_id, state, reason)


def filled_quantity(connection: sa.Connection, client_order_id: str) -> Decimal:
    """Return the quantity filled, each fill in the terms of today."""
    intent = order_intents.c
    query = sa.select(fills.c.quantity, fills.c.session).where(fills.c.client_order_id == client_order_id)
    parts = connection.execute(query).all()
    if not parts:
        return Decimal(0)
    key = sa.select(intent.portfolio, intent.strategy, intent.symbol).where(intent.client_order_id == client_order_id)
    portfolio, strategy, symbol = connection.execute(key).one()
    rows = connection.execute(sa.select(book_events).where(book_events.c.portfolio == portfolio)).mappings()
    events = [to_event(dict(row)) for row in rows]
    return sum((scaled(each.quantity, terms_since(events, strategy, symbol, each.session)[0]) for each in parts), Decimal(0))


def reorder_open(connection: sa.Connection, event: BookEvent, reorder: Callable[[OrderIntent], OrderIntent]) -> None:
    """Store the present terms of the open orders that an event concerns."""
    intent = order_intents.c
    mine = (intent.portfolio == event.portfolio) & (intent.strategy == event.strategy) & (intent.symbol == event.symbol)
    query = (
        sa.select(order_intents, *PRESENT_COLUMNS)
        .join(orders)
        .where(mine & orders.c.state.not_in(FINAL))
        .with_for_update(of=orders)
    )
    for row in connection.execute(query).mappings().all():
        before = to_present_intent(dict(row))
        after = reorder(before)
        terms = {name: getattr(after, name) for name in PRESENT_TERMS}
        connection.execute(sa.update(orders).where(orders.c.client_order_id == before.client_order_id).values(terms))


def change_position(
    connection: sa.Connection, key: Mapping[str, str], change: Callable[[Position | None], Position | None]
) -> None:
    """Put what `change` returns in the place of the position of a portfolio, strategy and symbol."""
    mine = [positions.c[name] == value for name, value in key.items()]
    row = connection.execute(sa.select(positions).where(*mine).with_for_update()).mappings().first()
    after = change(None if row is None else to_position(dict(row)))
    connection.execute(sa.delete(positions).where(*mine))
    if after is not None:
        connection.execute(sa.insert(positions).values(to_row(after)))


def _event(connection: sa.Connection, client_order_id: str, state: OrderState, reason: str) -> None:
    connection.execute(sa.insert(order_events).values(client_order_id=client_order_id, state=state, reason=reason))
