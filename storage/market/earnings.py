"""Store announcement dates of results, point-in-time.

A date is added once and never changed. When a company moves its announcement, the old date stays beside the new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from core.frames import EARNINGS
from storage.engine import records
from storage.market.tables import earnings

if TYPE_CHECKING:
    import datetime as dt


class EarningsStore:
    """Rows of `market.earnings`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def write(self, dates: pd.DataFrame, *, source: str, ingested_at: dt.datetime) -> int:
        """Add the dates (EARNINGS) that are not known yet; return how many were new.

        A date keeps the moment and the source it was first seen with.
        """
        rows = [
            {**row, "announced": row["announced"].date(), "source": source, "ingested_at": ingested_at}
            for row in records(EARNINGS.check(dates))
        ]
        if not rows:
            return 0
        query = insert(earnings).on_conflict_do_nothing().returning(earnings.c.symbol)
        with self._engine.begin() as connection:
            return len(connection.execute(query, rows).all())

    def read(self, as_of: dt.datetime | None = None) -> pd.DataFrame:
        """Return EARNINGS with the columns source and ingested_at (UTC), as known at a moment (aware), or all when None."""
        columns = earnings.c
        query = sa.select(columns.symbol, columns.announced, columns.source, columns.ingested_at)
        if as_of is not None:
            query = query.where(columns.ingested_at <= as_of)
        with self._engine.connect() as connection:
            frame = pd.DataFrame(connection.execute(query).all(), columns=["symbol", "announced", "source", "ingested_at"])
        frame = frame.astype({"symbol": object, **EARNINGS.columns})
        frame["ingested_at"] = pd.to_datetime(frame["ingested_at"], utc=True)
        return EARNINGS.check(frame.sort_values(list(EARNINGS.key), kind="stable", ignore_index=True))

    def calendar(self, as_of: dt.datetime | None = None) -> dict[str, tuple[dt.date, ...]]:
        """Return the dates by symbol, ascending, as `trading.strategies.earnings_filter.EarningsFilter` takes."""
        dates = self.read(as_of)
        return {str(symbol): tuple(days.dt.date) for symbol, days in dates.groupby("symbol")["announced"]}
