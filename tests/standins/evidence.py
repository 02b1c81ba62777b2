"""What the daily path leaves of a session before it trades, for desks whose bars a test puts into the store by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from core.sessions import calendar_name, closes_of
from storage.features.tables import market_features
from storage.market.tables import validation_runs

if TYPE_CHECKING:
    import datetime as dt


def vouch(engine: sa.Engine, bars: pd.DataFrame, first: dt.date | None = None) -> None:
    """A validation run that let the bars in, and a row of unknown features at each close since `first`."""
    symbols = sorted(set(bars["symbol"]))
    run = {"session": bars["session"].max().date(), "passed": True, "results": {"symbols": symbols}}
    rows = []
    for symbol, part in bars.groupby("symbol"):
        days = pd.DatetimeIndex(part["session"])
        days = days if first is None else days[days >= pd.Timestamp(first)]
        for day, close in zip(days, closes_of(days, calendar_name(str(symbol))), strict=True):
            at = close.to_pydatetime()
            rows.append({"symbol": symbol, "session": day.date(), "event_timestamp": at, "created_timestamp": at})
    with engine.begin() as connection:
        connection.execute(sa.insert(validation_runs).values(run))
        if rows:
            connection.execute(insert(market_features).on_conflict_do_nothing(), rows)
