"""The `metadata` of every table, and columns as the desk writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from core.frames import TRADES

if TYPE_CHECKING:
    from core.frames import Schema

Kind = sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]]
SCHEMAS = ("market", "features", "research", "trading", "ml")
INSTANT = sa.DateTime(timezone=True)
NOW = sa.func.now()
TYPES = {"object": sa.Text, "float64": sa.Double, "int64": sa.BigInteger, "int8": sa.SmallInteger, "datetime64[ns]": sa.Date}
TRADE_COLUMNS = tuple(TRADES.columns)
metadata = sa.MetaData()


def column(name: str, kind: Kind, **options: Any) -> sa.Column[Any]:  # noqa: ANN401  # passed on
    """A column that is never NULL."""
    return sa.Column(name, kind, nullable=False, **options)


def key(name: str, kind: Kind) -> sa.Column[Any]:
    """A column of the primary key."""
    return sa.Column(name, kind, primary_key=True)


def columns_of(frame: Schema) -> list[sa.Column[Any]]:
    """The columns of a frame, none of them NULL, its key among the primary key."""
    return [sa.Column(name, TYPES[kind], primary_key=name in frame.key, nullable=False) for name, kind in frame.columns.items()]
