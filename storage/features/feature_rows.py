"""Store feature rows in PostgreSQL, the offline store's table: every version that was ever known."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from core.frames import FEATURE_FRAME, FEATURES
from storage.features.feature_copy import binary_sheet
from storage.features.tables import market_features as stored

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

COLUMNS = tuple(FEATURE_FRAME.columns)
ROWS_AT_ONCE = 50_000  # bounds the memory of a long write
# A difference below this (relative above 1, absolute below) is arithmetic of another machine or library version, not news.
SAME_WITHIN = 1e-9
_TICK: sa.ColumnElement[Any] = sa.literal_column("interval '1 microsecond'")


class FeatureRows:
    """Rows of `features.market_features`. Each write is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def write(self, frame: pd.DataFrame, written_at: dt.datetime) -> int:
        """Add the rows that are new or whose values differ from the newest stored version, and return their number.

        A new row keeps its `created_timestamp`. A changed one became known no earlier than the version it replaces, and when
        its own `created_timestamp` does not say when, it counts from `written_at`: it never hides what was known before.

        Parameters
        ----------
        frame
            `FEATURE_FRAME`.
        written_at
            The present moment, aware.

        Raises
        ------
        DataError
            When `frame` is no `FEATURE_FRAME`.
        """
        FEATURE_FRAME.check(frame)
        with self._engine.begin() as connection:
            connection.execute(
                sa.text("LOCK TABLE features.market_features IN SHARE ROW EXCLUSIVE MODE")
            )  # one writer at a time
            connection.execute(sa.text("CREATE TEMP TABLE incoming (LIKE features.market_features) ON COMMIT DROP"))
            _copy_in(connection, frame)
            connection.execute(sa.text("ANALYZE incoming"))
            return connection.execute(_insert_changes(written_at)).rowcount

    def count(self) -> int:
        """Return the number of stored rows, every version included."""
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(stored)).scalar_one())

    def last_event(self, until: dt.datetime | None = None) -> dt.datetime | None:
        """Return the newest stored event timestamp, up to `until` if given; None when there is none."""
        query = sa.select(sa.func.max(stored.c.event_timestamp))
        if until is not None:
            query = query.where(stored.c.event_timestamp <= until)
        with self._engine.connect() as connection:
            newest: dt.datetime | None = connection.execute(query).scalar()
            return newest


def _copy_in(connection: sa.Connection, frame: pd.DataFrame) -> None:
    """Send all rows into the table `incoming`."""
    cursor = connection.connection.cursor()
    for first in range(0, len(frame), ROWS_AT_ONCE):
        sheet = io.BytesIO(binary_sheet(frame[first : first + ROWS_AT_ONCE]))
        cursor.copy_expert(f"COPY incoming ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)", sheet, size=1 << 20)


def _insert_changes(written_at: dt.datetime) -> sa.Insert:
    """Compare incoming rows with the newest version of each and insert what differs."""
    incoming = sa.table("incoming", *(sa.column(name, stored.c[name].type) for name in COLUMNS))
    newest = (
        sa.select(stored)
        .where(stored.c.symbol.in_(sa.select(incoming.c.symbol).distinct()))
        .ext(distinct_on(stored.c.symbol, stored.c.event_timestamp))
        .order_by(stored.c.symbol, stored.c.event_timestamp, stored.c.created_timestamp.desc())
        .subquery("newest")
    )
    is_new = newest.c.symbol.is_(None)
    created = sa.case(
        (is_new | (incoming.c.created_timestamp > newest.c.created_timestamp), incoming.c.created_timestamp),
        else_=sa.func.greatest(sa.literal(written_at, sa.DateTime(timezone=True)), newest.c.created_timestamp + _TICK),
    )
    values = [created if name == "created_timestamp" else incoming.c[name] for name in COLUMNS]
    changes = (
        sa.select(*values)
        .select_from(
            incoming.outerjoin(
                newest, (incoming.c.symbol == newest.c.symbol) & (incoming.c.event_timestamp == newest.c.event_timestamp)
            )
        )
        .where(is_new | sa.or_(*(_differs(incoming.c[name], newest.c[name]) for name in FEATURES)))
    )
    return sa.insert(stored).from_select(list(COLUMNS), changes)


def _differs(new: sa.ColumnElement[Any], old: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Return the condition that one is NULL and the other not, or that they differ by more than `SAME_WITHIN`."""
    differs = sa.func.abs(new - old) > SAME_WITHIN * sa.func.greatest(1.0, sa.func.least(sa.func.abs(new), sa.func.abs(old)))
    return new.is_distinct_from(old) & sa.func.coalesce(differs, sa.true())  # equal values, nearly all, end at the first test
