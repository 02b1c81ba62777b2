"""The view of a book's value at its closes, at a chosen resolution, with drawdown and profit free of transfers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any, Literal

from pydantic import Field

from core.book_events import TRANSFERS
from core.sessions import close_of, is_session
from pipeline.resources import Resources, live
from pipeline.views.exchange_time import at_exchange
from pipeline.views.view import MOST_ROWS, After, Filter, First, Last, Row, View, part

MOST_POINTS = 2_000
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
    wanted: EquityFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[EquityRow]:
    """Return a book's closes, oldest first."""
    resources = resources or live()
    book = wanted.book or resources.settings.portfolio
    closes = resources.record_pages.equity(book)
    moved = [event for event in resources.ledger.book_events(book) if event.kind in TRANSFERS]
    rows = list(curve(book, closes, dict(_by_session(moved))))
    inside = [row for row in rows if (wanted.first or row.session) <= row.session <= (wanted.last or row.session)]
    return part(thinned(inside, wanted.resolution), ("session",), after, limit)


def curve(book: str, closes: Sequence[Any], moved_usd: dict[dt.date, float]) -> Sequence[EquityRow]:
    """Return the rows of a book's closes, oldest first.

    Parameters
    ----------
    closes
        Rows with session, equity_usd, cash_usd, exposure_usd and positions, oldest first.
    moved_usd
        Deposits less withdrawals by session; those up to the first close belong to what it started with.
    """
    rows, moved, best, pending = [], 0.0, 0.0, sorted(moved_usd.items())
    start = float(closes[0]["equity_usd"]) if closes else 0.0
    pending = [(session, usd) for session, usd in pending if closes and session > closes[0]["session"]]
    for close in closes:
        while pending and pending[0][0] <= close["session"]:
            moved += pending.pop(0)[1]
        profit = close["equity_usd"] - start - moved
        best = max(best, profit)
        peak = start + moved + best
        closed_at = _close_of(close["session"])
        rows.append(
            EquityRow(
                book=book,
                **close,
                closed_at=closed_at,
                closed_at_exchange=at_exchange(closed_at),
                profit_usd=profit,
                drawdown_pct=100 * (best - profit) / peak if peak > 0 else 0.0,
            )
        )
    return rows


def thinned(rows: Sequence[EquityRow], resolution: Resolution) -> Sequence[EquityRow]:
    """Return a row a session, week or month: the last close of each, with the deepest drawdown in it."""
    if resolution == "session" or (resolution == "auto" and len(rows) <= MOST_POINTS):
        return rows
    if resolution == "auto":
        weekly = thinned(rows, "week")
        return weekly if len(weekly) <= MOST_POINTS else thinned(rows, "month")
    period = _week if resolution == "week" else _month
    found = []
    for _, members in groupby(rows, key=lambda row: period(row.session)):
        inside = list(members)
        found.append(inside[-1].model_copy(update={"drawdown_pct": max(row.drawdown_pct for row in inside)}))
    return found


def _week(session: dt.date) -> tuple[int, int]:
    return session.isocalendar()[:2]


def _month(session: dt.date) -> tuple[int, int]:
    return session.year, session.month


def _by_session(events: Sequence[Any]) -> Sequence[tuple[dt.date, float]]:
    ordered = sorted(events, key=lambda event: event.session)
    return [(day, float(sum(each.cash_usd for each in same))) for day, same in groupby(ordered, key=lambda each: each.session)]


def _close_of(session: dt.date) -> dt.datetime:
    return close_of(session) if is_session(session) else close_of(session, "24/7")


EQUITY = View(
    name="equity",
    summary="The value of a book at its closes with drawdown and profit, oldest first.",
    filter=EquityFilter,
    row=EquityRow,
    read=read_equity,
    key=("session",),
    shown=("session", "equity_usd", "cash_usd", "exposure_usd", "positions", "profit_usd", "drawdown_pct"),
)
