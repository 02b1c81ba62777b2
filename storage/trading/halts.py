"""The halt switch of each portfolio: a table that only grows. Whoever sends orders reads it before each one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from core.errors import ConfigError
from storage.trading.control_tables import halts

if TYPE_CHECKING:
    import datetime as dt


@dataclass(frozen=True)
class Halt:
    """One turn of the switch."""

    id: int
    portfolio: str
    halted: bool
    reason: str
    author: str
    created_at: dt.datetime


class Halts:
    """Rows of `trading.halts`; they are only added, and the newest of a portfolio counts."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def halt(self, portfolio: str, *, reason: str, author: str) -> Halt:
        """Stop a portfolio's orders; a second halt adds its own reason."""
        return self._turn(portfolio, halted=True, reason=reason, author=author)

    def resume(self, portfolio: str, *, reason: str, author: str) -> Halt:
        """Let the portfolio trade again."""
        return self._turn(portfolio, halted=False, reason=reason, author=author)

    def current(self, portfolio: str) -> Halt | None:
        """Return the newest turn of the switch; None when it was never turned, and the portfolio may trade."""
        query = sa.select(halts).where(halts.c.portfolio == portfolio).order_by(halts.c.id.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return Halt(**row) if row else None

    def _turn(self, portfolio: str, *, halted: bool, reason: str, author: str) -> Halt:
        for name, value in (("reason", reason), ("author", author)):
            if not value.strip():
                raise ConfigError(f"Halt switch: expected {name}, found none. State it for whoever reads the record.")
        row = {"portfolio": portfolio, "halted": halted, "reason": reason.strip(), "author": author.strip()}
        with self._engine.begin() as connection:
            # One writer at a time, so that the row with the highest id is the newest turn.
            connection.execute(sa.text("LOCK TABLE trading.halts IN SHARE ROW EXCLUSIVE MODE"))
            stored = connection.execute(sa.insert(halts).values(row).returning(halts)).mappings().one()
        return Halt(**stored)
