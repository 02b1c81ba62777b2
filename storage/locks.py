"""Allow one executor per portfolio by a PostgreSQL advisory lock, which ends with the process that holds it."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from core.errors import ExecutorBusy

if TYPE_CHECKING:
    from collections.abc import Iterator

EXECUTOR: Final = 7_103_221  # the first half of the key; the second is made from the portfolio's name
HOLDER = sa.text(
    "SELECT a.application_name, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.classid = :namespace AND l.objid = CAST(:key AS oid) "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class ExecutorLock:
    """A lock that is held; `require` asks the server, for a connection that broke has lost it."""

    def __init__(self, connection: sa.Connection, portfolio: str) -> None:
        self._connection = connection
        self._portfolio = portfolio

    def require(self) -> None:
        """Raise `ExecutorBusy` when the lock is gone with its connection: another executor may hold it by now."""
        try:
            self._connection.execute(sa.select(1))
        except sa.exc.DBAPIError as error:
            raise ExecutorBusy(
                f"The lock of portfolio {self._portfolio!r} was lost with its connection to PostgreSQL; nothing more is sent. "
                "Run the step again."
            ) from error


@contextlib.contextmanager
def executor_lock(engine: sa.Engine, portfolio: str) -> Iterator[ExecutorLock]:
    """Hold the portfolio while the block runs. PostgreSQL releases the lock of a process that died.

    Raises
    ------
    core.errors.ExecutorBusy
        When another process holds it; the message says which and since when.
    """
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        name = f"executor {portfolio} pid {os.getpid()} on {socket.gethostname()}"[:63]  # as much as PostgreSQL keeps
        connection.execute(sa.select(sa.func.set_config("application_name", name, False)))
        key = connection.execute(sa.select(sa.func.hashtext(portfolio))).scalar_one()
        if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(EXECUTOR, key))).scalar():
            raise ExecutorBusy(_who(connection, portfolio, key))
        try:
            yield ExecutorLock(connection, portfolio)
        finally:
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # a connection that broke has lost it already
                connection.execute(sa.select(sa.func.pg_advisory_unlock(EXECUTOR, key)))  # now, not when the server notices
    finally:
        connection.invalidate()  # closes it, and whatever it holds goes with it
        connection.close()


def _who(connection: sa.Connection, portfolio: str, key: int) -> str:
    row = connection.execute(HOLDER, {"namespace": EXECUTOR, "key": key % 2**32}).first()
    holder = f"{row[0]}, since {row[1]:%Y-%m-%d %H:%M:%S} UTC" if row else "one that has just finished"
    return f"Portfolio {portfolio!r} is being worked on by another executor ({holder}). Let it finish, then run this again."
