"""Run the statements of a view: each on a connection of its own, or all on one snapshot of the database; pages by key."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


Rows = list["Mapping[str, Any]"]


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
        with self._connection() as connection:
            return connection.execute(statement, values).all()

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        if isinstance(self._source, sa.Connection):
            yield self._source
        else:
            with self._source.connect() as connection:
                yield connection

    def _rows(self, statement: sa.Select[Any], values: Mapping[str, Any] | None = None) -> Rows:
        """Return every row of a statement, values by name."""
        names = [str(each.key) for each in statement.selected_columns]
        return [dict(zip(names, row, strict=True)) for row in self._all(statement, values or {})]


def newest_first(
    statement: sa.Select[Any], key: Sequence[sa.ColumnElement[Any]], after: Sequence[Any] | None = None
) -> sa.Select[Any]:
    """Return the statement in falling order of its key, from the row after `after` on.

    Parameters
    ----------
    key
        Columns of which no two rows share all values.
    after
        Values of the key in the last row of the page before, or parameters for them; None for the first page.
    """
    if after is not None:
        values = [
            value if isinstance(value, sa.BindParameter) else sa.literal(value, column.type)
            for value, column in zip(after, key, strict=True)
        ]
        statement = statement.where(sa.tuple_(*key) < sa.tuple_(*values))
    return statement.order_by(*(column.desc() for column in key))


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a connection whose statements see the database at one moment, whatever is written meanwhile."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        yield connection
