"""Findings of data-guard by symbol and session: a table that only grows, of which the newest row counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from storage.trading.control_tables import data_guard

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    Finding = dict[str, Any]


class GuardFindings:
    """Rows of `trading.data_guard`; they are only added."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Store rows of symbol, session, blocked and findings."""
        values = [dict(row) for row in rows]
        if values:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(data_guard), values)

    def blocking(self, session: dt.date, symbol: str) -> list[Finding] | None:
        """Return the findings that block entries in the symbol at the session; None when entries are allowed."""
        blocked, findings = self._newest(session, [symbol]).get(symbol, (False, []))
        return findings if blocked else None

    def last(self, session: dt.date, symbols: Iterable[str]) -> dict[str, list[Finding]]:
        """Return the newest findings of each symbol at a session; symbols that were never checked are absent."""
        return {symbol: findings for symbol, (_, findings) in self._newest(session, symbols).items()}

    def _newest(self, session: dt.date, symbols: Iterable[str]) -> dict[str, tuple[bool, list[Finding]]]:
        """Return by symbol the newest row's `blocked` and its findings."""
        table = data_guard.c
        query = (
            sa.select(table.symbol, table.blocked, table.findings)
            .ext(distinct_on(table.symbol))
            .where(table.session == session, table.symbol.in_(list(symbols)))
            .order_by(table.symbol, table.id.desc())
        )
        with self._engine.connect() as connection:
            return {symbol: (blocked, list(findings)) for symbol, blocked, findings in connection.execute(query)}
