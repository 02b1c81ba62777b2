"""Drift and skew of each session, in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from storage.models.tables import drift

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

COLUMNS = tuple(column.name for column in drift.c if column.name != "created_at")
KEY = ("session", "family", "name")


class DriftLog:
    """Rows of `ml.drift`, one a session, family and name; a second run of a session replaces them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def save(self, session: dt.date, rows: Iterable[Mapping[str, Any]]) -> None:
        """Store rows with the columns of `COLUMNS` but session."""
        values = [{"session": session, **row} for row in rows]
        if not values:
            return
        query = insert(drift)
        changed = {name: query.excluded[name] for name in COLUMNS if name not in KEY}
        with self._engine.begin() as connection:
            connection.execute(query.on_conflict_do_update(index_elements=list(KEY), set_=changed), values)

    def read(self, since: dt.date, family: str | None = None) -> pd.DataFrame:
        """Rows of a session or later, sorted by session, family and name."""
        query = sa.select(*(drift.c[name] for name in COLUMNS)).where(drift.c.session >= since)
        if family is not None:
            query = query.where(drift.c.family == family)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(*(drift.c[name] for name in KEY))).all()
        return pd.DataFrame(rows, columns=list(COLUMNS))
