"""The view of how what is held moves together: the correlation of each pair of symbols."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Annotated

import pandas as pd
from pydantic import Field

from core.models import Position
from pipeline.resources import Resources, live
from pipeline.views.money.books import initial_equities
from pipeline.views.view import MOST_ROWS, After, Book, Filter, Row, View, part
from storage.views.book_figures import BookFigures
from storage.views.reading import snapshot
from trading.correlation import MIN_COMMON_SESSIONS

TOO_FEW = f"Fewer than {MIN_COMMON_SESSIONS} common sessions."


class CorrelationFilter(Filter):
    """Books whose symbols are compared with each other."""

    book: Book = None


class CorrelationRow(Row):
    """Two symbols that a book holds; each pair is one row."""

    book: str
    symbol: str
    other: str
    correlation: Annotated[float | None, Field(description="Pearson's, of daily returns; null: see reason.")]
    effective: Annotated[
        float | None, Field(description="The same, its sign turned when one is held long and the other short: 1 is one bet.")
    ]
    n: Annotated[int, Field(description="Sessions in which both have a return.")]
    sessions: Annotated[int, Field(description="Sessions looked at: RISK__CORRELATION_SESSIONS.")]
    last: Annotated[dt.date | None, Field(description="Newest session among them.")]
    reason: Annotated[str | None, Field(description="Why there is no figure; null: there is.")]


def read_correlation(
    wanted: CorrelationFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[CorrelationRow]:
    """Return the correlation of each pair of symbols that a book holds."""
    resources = resources or live()
    sessions = resources.settings.risk.correlation_sessions
    with snapshot(resources.engine) as connection:
        figures, history = BookFigures(connection), resources.bar_history.on(connection)
        books = initial_equities(wanted.book, figures, (resources.parent or resources).settings)
        positions = figures.positions(books)
        returns = history.returns(sorted({each.symbol for each in positions}), sessions)
    rows = [
        row
        for book in books
        for row in pairs_of(book, (each for each in positions if each.portfolio == book), returns, sessions)
    ]
    return part(rows, CORRELATION.key, after, limit)


def pairs_of(book: str, positions: Iterable[Position], returns: pd.DataFrame, sessions: int) -> list[CorrelationRow]:
    """Return a row for each pair of symbols held.

    Parameters
    ----------
    returns
        Daily returns, one column a symbol, NaN where there is no bar; the newest `sessions` count.
    """
    quantity: defaultdict[str, float] = defaultdict(float)
    for each in positions:
        quantity[each.symbol] += float(each.quantity)
    held = sorted(symbol for symbol, shares in quantity.items() if shares)
    recent = returns.reindex(columns=held).tail(sessions)
    figures = recent.corr(min_periods=MIN_COMMON_SESSIONS).to_numpy()
    common = recent.notna().to_numpy(dtype="int64")
    counts, last = common.T @ common, recent.index[-1].date() if len(recent) else None
    rows = []
    for one, other in combinations(range(len(held)), 2):
        value = float(figures[one, other])
        known = not math.isnan(value)
        sign = math.copysign(1.0, quantity[held[one]]) * math.copysign(1.0, quantity[held[other]])
        rows.append(
            CorrelationRow(
                book=book,
                symbol=held[one],
                other=held[other],
                correlation=value if known else None,
                effective=sign * value if known else None,
                n=int(counts[one, other]),
                sessions=sessions,
                last=last,
                reason=None if known else TOO_FEW if counts[one, other] < MIN_COMMON_SESSIONS else "One of them did not move.",
            )
        )
    return rows


CORRELATION = View(
    name="correlation",
    summary="Correlation of the daily returns of each pair of symbols that a book holds.",
    filter=CorrelationFilter,
    row=CorrelationRow,
    read=read_correlation,
    key=("book", "symbol", "other"),
    shown=("book", "symbol", "other", "correlation", "effective", "n", "sessions", "last", "reason"),
)
