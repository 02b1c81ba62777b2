"""Run the statements of a view: each on a connection of its own, or all of them on one snapshot of the database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Reader:
    """Base of reads on an engine, or on one connection.

    Parameters
    ----------
    source
        With an engine each statement sees what is committed then; with the connection of a `snapshot` all see one moment.
    """

    def __init__(self, source: sa.Engine | sa.Connection) -> None:
        self._source = source

    def _all(self, statement: sa.Executable, values: Mapping[str, Any]) -> Sequence[Any]:
        """Return every row of a statement."""
        if isinstance(self._source, sa.Connection):
            return self._source.execute(statement, values).all()
        with self._source.connect() as connection:
            return connection.execute(statement, values).all()


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a connection whose statements see the database at one moment, whatever is written meanwhile."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        yield connection
