"""The view of the risk worker's heartbeats: equity, drawdown, exposure and value at risk by time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from pipeline.resources import Resources, live
from pipeline.views.exchange_time import at_exchange
from pipeline.views.view import MOST_POINTS, NAMES, After, Filter, First, Last, Row, View

ONE_DAY = dt.timedelta(days=1)
SAMPLED = 1_000  # points of a longer span
BEGINNING, END = dt.date(1990, 1, 1), dt.date(2261, 1, 1)


class HeartbeatFilter(Filter):
    """A book and a span of days."""

    book: Annotated[str | None, Field(max_length=100, pattern=NAMES, description="Omitted: the default deployment's.")] = None
    first: First = None
    last: Last = None


class HeartbeatRow(Row):
    """A book's risk at a moment, marked to the last prices; of more than 2,000 heartbeats 1,000, evenly spread."""

    book: str
    at: Annotated[dt.datetime, Field(description="When it was measured, UTC.")]
    at_exchange: dt.datetime
    mode: Annotated[str, Field(description="MONITOR__MODE: log or enforce.")]
    level: Annotated[str, Field(description="Worst level of a rule: ok, alert or halt.")]
    equity_usd: Annotated[float, Field(description="Value of the book, in USD.")]
    peak_usd: Annotated[float, Field(description="Highest value since a person last resumed, in USD.")]
    drawdown_pct: Annotated[float, Field(description="Fall from that peak, in %.")]
    gross_usd: Annotated[float, Field(description="Longs plus shorts, in USD.")]
    net_usd: Annotated[float, Field(description="Longs less shorts, in USD.")]
    var_historical_usd: Annotated[
        float | None, Field(description="Value at risk of a session at 95 %, by historical simulation, in USD.")
    ]
    var_parametric_usd: Annotated[float | None, Field(description="The same by the variance-covariance method, in USD.")]
    positions: Annotated[int, Field(description="Open positions.")]
    breaches: Annotated[list[str], Field(description="Names of the broken rules, sorted.")]


def read_heartbeats(
    wanted: HeartbeatFilter, after: After = None, limit: int = MOST_POINTS, *, resources: Resources | None = None
) -> Sequence[HeartbeatRow]:
    """Return the heartbeats of a book, oldest first, at most 2,000."""
    resources = resources or live()
    book = wanted.book or resources.desk_portfolio
    first, last = midnight(wanted.first or BEGINNING), midnight(wanted.last or END) + ONE_DAY
    beats = resources.heartbeat_points.between(book, first, last, MOST_POINTS, SAMPLED)
    later = [beat for beat in beats if after is None or beat["at"] > after[0]]
    return HEARTBEATS.rows([row_of(book, beat) for beat in later[:limit]])


def row_of(book: str, beat: Any) -> dict[str, Any]:  # noqa: ANN401  # a row of the database
    """Return the values of a row."""
    return {**beat, "book": book, "at_exchange": at_exchange(beat["at"]), "breaches": sorted(beat["breaches"])}


def midnight(day: dt.date) -> dt.datetime:
    """Return the moment at which a day begins in UTC."""
    return dt.datetime.combine(day, dt.time(), dt.UTC)


HEARTBEATS = View(
    name="heartbeats",
    summary="Risk of a book as the risk worker measured it, by time, oldest first; at most 2,000 points.",
    filter=HeartbeatFilter,
    row=HeartbeatRow,
    read=read_heartbeats,
    key=("at",),
    shown=(
        "at",
        "level",
        "equity_usd",
        "peak_usd",
        "drawdown_pct",
        "gross_usd",
        "net_usd",
        "var_historical_usd",
        "var_parametric_usd",
        "positions",
        "breaches",
    ),
    most=MOST_POINTS,
)
