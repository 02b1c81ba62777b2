"""Serialise work between processes by a PostgreSQL advisory lock that a second process waits for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterator

MLFLOW: Final = 7_103_222
VENUE_ACCOUNT: Final = 7_103_223  # orders of several books at one venue account


@contextlib.contextmanager
def in_turn(engine: sa.Engine, key: int) -> Iterator[None]:
    """Hold the lock while the block runs; whoever comes second waits. PostgreSQL releases the lock of a process that died."""
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        connection.execute(sa.select(sa.func.pg_advisory_lock(key)))
        yield
    finally:
        connection.invalidate()  # closes it, and the lock goes with it
        connection.close()
