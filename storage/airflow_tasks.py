"""Reads which tasks of Airflow wait in its queue, from its database on the desk's cluster. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from storage.engine import has_database

if TYPE_CHECKING:
    import datetime as dt

TASKS: Final = sa.table(  # a light copy of Airflow's own
    "task_instance", *(sa.column(name) for name in ("dag_id", "task_id", "run_id", "state", "queued_dttm", "scheduled_dttm"))
)
WAITING: Final = ("queued", "scheduled")


@dataclass(frozen=True)
class WaitingTask:
    """A task that waits for a worker, and since when."""

    dag_id: str
    task_id: str
    run_id: str
    since: dt.datetime


class AirflowTasks:
    """Tasks of Airflow, read from the database with a name on the server of an engine."""

    def __init__(self, engine: sa.Engine, database: str) -> None:
        self._desk, self._database = engine, database

    def waiting_since(self, before: dt.datetime) -> list[WaitingTask] | None:
        """Return the tasks that wait since a moment or longer, oldest first; None where there is no Airflow's database."""
        rows = TASKS.c
        since = sa.func.coalesce(rows.queued_dttm, rows.scheduled_dttm)
        query = (
            sa.select(rows.dag_id, rows.task_id, rows.run_id, since)
            .where(rows.state.in_(WAITING), since <= before)
            .order_by(since)
        )
        if not has_database(self._desk, self._database):
            return None
        engine = sa.create_engine(self._desk.url.set(database=self._database), poolclass=sa.NullPool)
        with engine.connect() as connection:
            if not sa.inspect(connection).has_table(TASKS.name):
                return None
            return [WaitingTask(*row) for row in connection.execute(query)]
