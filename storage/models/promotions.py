"""The log of every move of the champion's alias, and the lock that lets one happen at a time."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from core.errors import RetryLater
from storage.models.tables import promotions

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

PROMOTION_LOCK: Final = 7_103_231


@dataclass(frozen=True)
class Promotion:
    """A move of the alias; `kind` is promote, rollback or manual."""

    model_name: str
    kind: str
    from_version: str | None
    to_version: str
    reason: str
    author: str
    decision_id: int | None = None
    created_at: dt.datetime | None = None


class Promotions:
    """Rows of `ml.promotions`; they are only added."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @contextlib.contextmanager
    def one_at_a_time(self, model_name: str) -> Iterator[sa.Connection]:
        """Hold the lock of a model's alias, and a transaction that ends with the block.

        Raises
        ------
        RetryLater
            When somebody else is moving it.
        """
        with self._engine.begin() as connection:
            key = sa.func.hashtext(model_name)
            if not connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(PROMOTION_LOCK, key))).scalar():
                raise RetryLater(f"Another promotion of {model_name!r} is under way. Look at `desk models list` and try again.")
            yield connection

    def add(self, connection: sa.Connection, promotion: Promotion) -> None:
        """Add a row within the transaction of `one_at_a_time`."""
        row = {name: value for name, value in promotion.__dict__.items() if name != "created_at"}
        connection.execute(sa.insert(promotions).values(row))

    def history(self, model_name: str, limit: int = 100) -> list[Promotion]:
        """Moves of the alias, the newest first."""
        columns = promotions.c
        query = (
            sa.select(*(columns[name] for name in Promotion.__dataclass_fields__))
            .where(columns.model_name == model_name)
            .order_by(columns.id.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [Promotion(**row) for row in connection.execute(query).mappings()]
