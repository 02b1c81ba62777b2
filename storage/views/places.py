"""Rows handed to a query as arrays, so that a statement is built and compiled once for any number of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind = type[sa.types.TypeEngine[Any]]


def places(**kinds: Kind) -> sa.TableValuedAlias:
    """Return a table with the columns named, each of its type, whose rows `arrays_of` gives as parameters.

    >>> places(book=sa.Text, number=sa.Integer).c.keys()
    ['book', 'number']
    """
    arrays = [sa.bindparam(f"{name}s", type_=ARRAY(kind)) for name, kind in kinds.items()]
    columns = [sa.column(name, kind) for name, kind in kinds.items()]
    return sa.func.unnest(*arrays).table_valued(*columns).render_derived(name="places")


def arrays_of(table: sa.TableValuedAlias, rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """Return rows as the parameters of a table of `places`.

    >>> arrays_of(places(book=sa.Text, number=sa.Integer), [("main", 1), ("trio", 2)])
    {'books': ['main', 'trio'], 'numbers': [1, 2]}
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(table.c)
    return {f"{name}s": list(values) for name, values in zip(table.c.keys(), columns, strict=True)}


def one_of(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """Return the condition that a column is among the values of a parameter, a list."""
    return column == sa.any_(sa.bindparam(name, type_=ARRAY(column.type)))
