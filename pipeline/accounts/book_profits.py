"""Profit of books today, this week, this month and since their start, by sleeve and symbol, from the record and the bars.

A span goes from one close on record to another, so that the parts add up to the change of `trading.equity`. Only the fills and
trades of the spans are read; since the start the trades on record stand for their fills.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pipeline.accounts.past_positions import held_at, rebuilt_quantities, symbols_with_new_terms
from pipeline.accounts.profit import CASH_KINDS, NOBODY, Key, Profit, Record, in_span, profit_by_key, transfers_usd
from storage.views.book_figures import Since, Window

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from core.book_events import BookEvent
    from core.models import Position
    from storage.market.bars import BarStore
    from storage.trading.ledger import Ledger
    from storage.views.book_figures import BookFigures, Close, FillFigures

Period = Literal["today", "week", "month", "start"]
PERIODS: Final[tuple[Period, ...]] = ("today", "week", "month", "start")
ONE_DAY: Final = dt.timedelta(days=1)
FAR: Final = dt.date.max


class Span(NamedTuple):
    """A period of a book between two closes on record.

    Attributes
    ----------
    after
        Session of the close before it; None before the first.
    until
        Session of its last close.
    equity_before_usd, equity_usd
        Value at both.
    """

    period: Period
    book: str
    after: dt.date | None
    until: dt.date
    equity_before_usd: float
    equity_usd: float


@dataclass(frozen=True)
class BookProfit:
    """Profit of a book in a period.

    Attributes
    ----------
    span
        None for a book without a close on record.
    transfers_usd
        Deposits less withdrawals in the period; they are no profit.
    by_key
        Profit by sleeve and symbol; what the record does not explain stands under empty names.
    unpriced
        Symbols held at one of its ends that had no price then: nothing of them is counted.
    """

    book: str
    period: Period
    span: Span | None
    transfers_usd: float = 0.0
    by_key: Mapping[Key, Profit] = field(default_factory=dict)
    unpriced: tuple[str, ...] = ()


def first_day(period: Period, session: dt.date) -> dt.date:
    """Return the date from which a period counts: closes before it belong to the one before.

    >>> [str(first_day(period, dt.date(2018, 12, 13))) for period in ("today", "week", "month")]
    ['2018-12-13', '2018-12-10', '2018-12-01']
    """
    if period == "week":
        return session - dt.timedelta(days=session.weekday())
    return session.replace(day=1) if period == "month" else session


@dataclass(frozen=True)
class ProfitReader:
    """Reads the profit of books.

    Attributes
    ----------
    initial_usd
        Equity that each book started with; None where nobody stated it, and the first close on record stands for it.
    """

    figures: BookFigures
    ledger: Ledger
    bars: BarStore
    initial_usd: Mapping[str, float | None]

    def read(self, periods: Sequence[Period] = PERIODS, session: dt.date | None = None) -> list[BookProfit]:
        """Return the profit of each book in each period, up to the newest close on record or the newest up to a session."""
        spans = self._spans(periods, session)
        if not spans:
            return [BookProfit(book, period, None) for book in self.initial_usd for period in periods]
        record = _Reading.of(self, spans, session)
        return [
            record.profit(spans[book, period]) if (book, period) in spans else BookProfit(book, period, None)
            for book in self.initial_usd
            for period in periods
        ]

    def _spans(self, periods: Sequence[Period], session: dt.date | None) -> dict[tuple[str, Period], Span]:
        """Return the span of each period; none of a book without a close."""
        end = FAR if session is None else session + ONE_DAY
        newest = {book: close for (book, _), close in self.figures.closes_before([(book, end) for book in self.initial_usd]).items()}
        if not newest:
            return {}
        present = max(close.session for close in newest.values())
        days: dict[Period, dt.date] = {period: first_day(period, present) for period in periods if period != "start"}
        before = self.figures.closes_before([(book, day) for book in newest for day in days.values()])
        starts = self._starts(newest)
        spans = {}
        for book, close in newest.items():
            for period in periods:
                start = before.get((book, days[period])) if period in days else None
                after, value = (start.session, start.equity_usd) if start else starts[book]
                spans[book, period] = Span(period, book, after, close.session, value, close.equity_usd)
        return spans

    def _starts(self, books: Collection[str]) -> dict[str, tuple[dt.date | None, float]]:
        """Return the session and value that each book starts from: no session before the initial cash."""
        stated = {book: value for book, value in self.initial_usd.items() if value is not None and book in books}
        firsts = self.figures.first_closes([book for book in books if book not in stated])
        return {book: (None, value) for book, value in stated.items()} | {
            book: (close.session, close.equity_usd) for book, close in firsts.items()
        }


@dataclass(frozen=True)
class _Reading:
    """The rows behind some spans, and the values of what was held at their ends."""

    positions: Mapping[str, list[Position]]
    events: Mapping[str, list[BookEvent]]
    fills: Mapping[str, list[FillFigures]]
    values: Mapping[tuple[str, dt.date], Mapping[Key, float]]
    unpriced: Mapping[tuple[str, dt.date], Sequence[str]]
    open_fills: Mapping[tuple[str, dt.date], list[FillFigures]]
    opened: Mapping[tuple[str, dt.date], Mapping[Key, dt.date]]
    trades: Mapping[Window, Mapping[tuple[str, str], object]]
