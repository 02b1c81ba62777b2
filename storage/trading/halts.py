"""The halt switch of each portfolio. Owns a table that only grows; it stops nothing itself: who sends orders asks here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from core.errors import ConfigError
from storage.trading.tables import halts

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


def halt(engine: sa.Engine, portfolio: str, *, reason: str, author: str) -> Halt:
    """Stop a portfolio's orders; a second halt adds its own reason."""
    return _turn(engine, portfolio, halted=True, reason=reason, author=author)


def resume(engine: sa.Engine, portfolio: str, *, reason: str, author: str) -> Halt:
    """Let the portfolio trade again."""
    return _turn(engine, portfolio, halted=False, reason=reason, author=author)


def current(engine: sa.Engine, portfolio: str) -> Halt | None:
    """The switch as it was turned last; None when it never was, and the portfolio may trade."""
    query = sa.select(halts).where(halts.c.portfolio == portfolio).order_by(halts.c.id.desc()).limit(1)
    with engine.connect() as connection:
        row = connection.execute(query).mappings().one_or_none()
    return Halt(**row) if row else None


def _turn(engine: sa.Engine, portfolio: str, *, halted: bool, reason: str, author: str) -> Halt:
    for name, value in (("reason", reason), ("author", author)):
        if not value.strip():
            raise ConfigError(f"Halt switch: expected {name}, found none. Say it for whoever reads the record.")
    row = {"portfolio": portfolio, "halted": halted, "reason": reason.strip(), "author": author.strip()}
    with engine.begin() as connection:
        # One at a time: the row with the highest id is then the one that was turned last.
        connection.execute(sa.text("LOCK TABLE trading.halts IN SHARE ROW EXCLUSIVE MODE"))
        stored = connection.execute(sa.insert(halts).values(row).returning(halts)).mappings().one()
    return Halt(**stored)
