"""Allow one executor per portfolio by a PostgreSQL advisory lock, which ends with the process that holds it.

Each holder gets a fencing token, which rises from one to the next. An executor that was frozen or cut off, and whose lock went
to another meanwhile, finds a higher token than its own when it asks, and sends nothing more.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert

from core.errors import ExecutorBusy

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger()
EXECUTOR: Final = 7_103_221  # the first half of the key; the second is made from the portfolio's name
LEASES: Final = sa.table(  # a light copy of the table in storage.trading, which stands above this module
    "executor_leases", sa.column("portfolio"), sa.column("token"), sa.column("holder"), sa.column("taken_at"), schema="trading"
)
HOLDER = sa.text(
    "SELECT a.application_name, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.classid = :namespace AND l.objid = CAST(:key AS oid) "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class ExecutorLock:
    """A lock that is held, with the fencing token that came with it."""

    def __init__(self, connection: sa.Connection, portfolio: str, token: int) -> None:
        self.token = token
        self._connection = connection
        self._portfolio = portfolio
        self._lost = ""

    def require(self) -> None:
        """Raise `ExecutorBusy` when the lock went with its connection, or another executor has taken the portfolio since.

        A lock once lost stays lost: the connection would come back without it.
        """
        if not self._lost:
            self._lost = self._why_lost()
        if self._lost:
            raise ExecutorBusy(f"{self._lost}; nothing more is sent. Run the step again.")

    def _why_lost(self) -> str:
        lease = LEASES.c
        query = sa.select(lease.token, lease.holder).where(lease.portfolio == self._portfolio)
        try:
            found = self._connection.execute(query).first()
        except sa.exc.SQLAlchemyError as error:
            log.warning("executor_lock_lost", portfolio=self._portfolio, reason=str(error))
            return f"The lock of portfolio {self._portfolio!r} was lost with its connection to PostgreSQL"
        if found is None or found.token != self.token:
            holder = "nobody" if found is None else f"{found.holder}, token {found.token}"
            return f"The lock of portfolio {self._portfolio!r}, token {self.token}, has gone to another executor ({holder})"
        return ""


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
            yield ExecutorLock(connection, portfolio, _next_token(connection, portfolio, name))
        finally:
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # a connection that broke has lost it already
                connection.execute(sa.select(sa.func.pg_advisory_unlock(EXECUTOR, key)))  # now, not when the server notices
    finally:
        connection.invalidate()  # closes it, and whatever it holds goes with it
        connection.close()


def _next_token(connection: sa.Connection, portfolio: str, holder: str) -> int:
    """Return the token of the executor that has just taken the lock: one higher than that of the one before."""
    row = insert(LEASES).values(portfolio=portfolio, token=1, holder=holder)
    taken = row.on_conflict_do_update(
        index_elements=["portfolio"],
        set_={"token": LEASES.c.token + 1, "holder": holder, "taken_at": sa.func.clock_timestamp()},
    )
    return int(connection.execute(taken.returning(LEASES.c.token)).scalar_one())


def _who(connection: sa.Connection, portfolio: str, key: int) -> str:
    row = connection.execute(HOLDER, {"namespace": EXECUTOR, "key": key % 2**32}).first()
    holder = f"{row[0]}, since {row[1]:%Y-%m-%d %H:%M:%S} UTC" if row else "one that has just finished"
    return f"Portfolio {portfolio!r} is being worked on by another executor ({holder}). Let it finish, then run this again."
