"""The view of a book's value at its closes, at a chosen resolution, with drawdown and profit free of transfers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from core.book_events import TRANSFERS
from core.sessions import close_of, is_session
from pipeline.resources import Resources, live
from pipeline.views.columns import Floats, Sessions, since_first
from pipeline.views.exchange_time import at_exchange
from pipeline.views.view import MOST_POINTS, After, Filter, First, Last, Row, View

Indices = npt.NDArray[np.intp]
Resolution = Literal["auto", "session", "week", "month"]


class EquityFilter(Filter):
    """A book, a span of sessions and a resolution."""

    book: Annotated[
        str | None, Field(max_length=100, pattern=r"^[^\x00]+$", description="Omitted: the default deployment's.")
    ] = None
    first: First = None
    last: Last = None
    resolution: Annotated[
        Resolution,
        Field(description=f"A point a session, week or month; auto: the finest with at most {MOST_POINTS:,} points."),
    ] = "auto"


class EquityRow(Row):
    """A book's value at a close; of a week or month the last close, with the deepest drawdown in it."""

    book: str
    session: dt.date
    closed_at: Annotated[dt.datetime, Field(description="Close of the session.")]
    closed_at_exchange: dt.datetime
    equity_usd: float
    cash_usd: float
    exposure_usd: float
    positions: int
    profit_usd: Annotated[float, Field(description="Equity less the first close's and what was deposited since.")]
    drawdown_pct: Annotated[float, Field(description="Fall from the highest close before, transfers counted as always there.")]


def read_equity(
    wanted: EquityFilter, after: After = None, limit: int = MOST_POINTS, *, resources: Resources | None = None
) -> Sequence[EquityRow]:
    """Return a book's closes, oldest first."""
    resources = resources or live()
    book = wanted.book or resources.settings.portfolio
    closes = resources.record_pages.closes(book)
    sessions = closes.sessions
    if not len(sessions):
        return []
    moved = [event for event in resources.ledger.book_events(book) if event.kind in TRANSFERS]
    profit, drawdown = measured(
        sessions,
        closes.equity_usd,
        np.array([each.session for each in moved], "datetime64[D]"),
        np.array([float(each.cash_usd) for each in moved]),
    )
    begin = 0 if wanted.first is None else int(np.searchsorted(sessions, np.datetime64(wanted.first)))
    end = len(sessions) if wanted.last is None else int(np.searchsorted(sessions, np.datetime64(wanted.last), "right"))
    if end <= begin:
        return []
    starts = period_starts(sessions[begin:end], wanted.resolution)
    deepest, ends = np.maximum.reduceat(drawdown[begin:end], starts), begin + np.append(starts[1:], end - begin) - 1
    seen = 0 if after is None else int(np.searchsorted(sessions[ends], np.datetime64(after[0]), "right"))
    ends, deepest = ends[seen : seen + limit], deepest[seen : seen + limit]
    columns = {name: values[ends].tolist() for name, values in closes._asdict().items() if name != "sessions"}
    columns |= {"profit_usd": profit[ends].tolist(), "drawdown_pct": deepest.tolist()}
    return EQUITY.rows(
        [
            {"book": book, "session": session, **_closing_times(session), **dict(zip(columns, values, strict=True))}
            for session, *values in zip(sessions[ends].tolist(), *columns.values(), strict=True)
        ]
    )


def measured(sessions: Sessions, equity_usd: Floats, moved_on: Sessions, moved_usd: Floats) -> tuple[Floats, Floats]:
    """Return profit in USD and drawdown in % at each close, both free of transfers.

    Parameters
    ----------
    sessions, equity_usd
        Closes, oldest first; at least one.
    moved_on, moved_usd
        Deposits (positive) and withdrawals; those up to the first close belong to what the book started with.

    >>> days = np.array(["2024-01-02", "2024-01-03", "2024-01-04"], "datetime64[D]")
    >>> profit, drawdown = measured(days, np.array([100.0, 110.0, 149.0]), days[2:], np.array([50.0]))
    >>> profit.tolist(), drawdown.round(2).tolist()
    ([0.0, 10.0, -1.0], [0.0, 0.0, 6.88])
    """
    moved = since_first(moved_usd, moved_on, sessions)
    profit = equity_usd - equity_usd[0] - moved
    best = np.maximum.accumulate(np.maximum(profit, 0.0))
    peak = equity_usd[0] + moved + best
    return profit, np.divide(100 * (best - profit), peak, out=np.zeros(len(peak)), where=peak > 0)


def period_starts(sessions: Sessions, resolution: Resolution) -> Indices:
    """Return the index of the first session of each session, week (from Monday) or month.

    >>> days = np.array(["2024-01-05", "2024-01-08", "2024-01-09", "2024-02-01"], "datetime64[D]")
    >>> period_starts(days, "week").tolist(), period_starts(days, "month").tolist()
    ([0, 1, 3], [0, 3])
    """
    if resolution == "session" or (resolution == "auto" and len(sessions) <= MOST_POINTS):
        return np.arange(len(sessions))
    if resolution == "auto":
        weekly = period_starts(sessions, "week")
        return weekly if len(weekly) <= MOST_POINTS else period_starts(sessions, "month")
    week = (sessions.astype("int64") + 3) // 7  # 1970-01-01 was a Thursday
    period = week if resolution == "week" else sessions.astype("datetime64[M]").astype("int64")
    return np.flatnonzero(np.diff(period, prepend=period[0] - 1)) if len(period) else np.arange(0)


@lru_cache(maxsize=20_000)
def _closing_times(session: dt.date) -> dict[str, dt.datetime]:
    """Return the close of a session in UTC and at the exchange; a day of a round-the-clock book ends at midnight."""
    closed_at = close_of(session) if is_session(session) else close_of(session, "24/7")
    return {"closed_at": closed_at, "closed_at_exchange": at_exchange(closed_at)}


EQUITY = View(
    name="equity",
    summary="The value of a book at its closes with drawdown and profit, oldest first.",
    filter=EquityFilter,
    row=EquityRow,
    read=read_equity,
    key=("session",),
    shown=("session", "equity_usd", "cash_usd", "exposure_usd", "positions", "profit_usd", "drawdown_pct"),
    most=MOST_POINTS,
)
