"""Reconciliations on record. Owns a table that only grows; it compares nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from storage.trading.tables import reconciliations

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence


def save(
    engine: sa.Engine, *, portfolio: str, session: dt.date, broker: str, differences: Sequence[Mapping[str, Any]], halted: bool
) -> None:
    """Store what one reconciliation found; `differences` are JSON values."""
    row = {
        "portfolio": portfolio,
        "session": session,
        "broker": broker,
        "differences": [dict(each) for each in differences],
        "halted": halted,
    }
    with engine.begin() as connection:
        connection.execute(sa.insert(reconciliations).values(row))


def last(engine: sa.Engine, portfolio: str) -> Mapping[str, Any] | None:
    """The newest one of a portfolio: session, broker, differences, halted, created_at; None before the first."""
    columns = reconciliations.c
    query = (
        sa.select(columns.session, columns.broker, columns.differences, columns.halted, columns.created_at)
        .where(columns.portfolio == portfolio)
        .order_by(columns.id.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)
