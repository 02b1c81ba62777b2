"""Results of reconciliations with the venue: a table that only grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from storage.trading.control_tables import reconciliations

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Reconciliation:
    """A stored reconciliation; `differences` are JSON values, empty when ledger and venue agreed."""

    session: dt.date
    broker: str
    differences: Sequence[Mapping[str, Any]]
    halted: bool
    created_at: dt.datetime


class Reconciliations:
    """Rows of `trading.reconciliations`; they are only added."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(
        self, *, portfolio: str, session: dt.date, broker: str, differences: Sequence[Mapping[str, Any]], halted: bool
    ) -> None:
        """Store the result of one reconciliation; `differences` are JSON values."""
        row = {
            "portfolio": portfolio,
            "session": session,
            "broker": broker,
            "differences": [dict(each) for each in differences],
            "halted": halted,
        }
        with self._engine.begin() as connection:
            connection.execute(sa.insert(reconciliations).values(row))

    def last(self, portfolio: str) -> Reconciliation | None:
        """Return the newest reconciliation of a portfolio; None before the first."""
        columns = reconciliations.c
        query = (
            sa.select(columns.session, columns.broker, columns.differences, columns.halted, columns.created_at)
            .where(columns.portfolio == portfolio)
            .order_by(columns.id.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else Reconciliation(**row)
