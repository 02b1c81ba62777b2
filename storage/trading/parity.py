"""The daily parity ledger: difference between each traded day and the backtest, by cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from storage.trading.control_tables import parity_days

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

COLUMNS = tuple(column.name for column in parity_days.c if column.name not in {"id", "created_at"})


class ParityLedger:
    """Rows of `trading.parity_days`, which are only added: measuring a session again adds a row, and the newest counts."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, row: Mapping[str, Any]) -> None:
        """Store a measured day: the columns of `COLUMNS`."""
        with self._engine.begin() as connection:
            connection.execute(sa.insert(parity_days).values(dict(row)))

    def of_session(self, portfolio: str, session: dt.date) -> dict[str, Any] | None:
        """Return the newest measurement of a session; None before the first."""
        wanted = parity_days.c
        query = sa.select(*(wanted[name] for name in COLUMNS)).where(wanted.portfolio == portfolio, wanted.session == session)
        with self._engine.connect() as connection:
            row = connection.execute(query.order_by(wanted.id.desc()).limit(1)).mappings().one_or_none()
        return None if row is None else dict(row)

    def read(self, portfolio: str) -> pd.DataFrame:
        """Return the newest measurement of each session, oldest session first."""
        wanted = parity_days.c
        query = (
            sa.select(*(wanted[name] for name in COLUMNS))
            .ext(distinct_on(wanted.session))
            .where(wanted.portfolio == portfolio)
            .order_by(wanted.session, wanted.id.desc())
        )
        with self._engine.connect() as connection:
            return pd.DataFrame(connection.execute(query).all(), columns=list(COLUMNS))
