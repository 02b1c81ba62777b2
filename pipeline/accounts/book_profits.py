"""Profit of books today, this week, this month and since their start, by sleeve and symbol, from the record and the bars.

A span goes from one close on record to another, so that the parts add up to the change of `trading.equity`. Only the fills and
trades of the spans are read; since the start the trades on record stand for their fills.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from core.book_events import CASH_KINDS
from pipeline.accounts.closing_values import Holdings
from pipeline.accounts.profit import NOBODY, Key, Profit, Record, profit_by_key, transfers_usd
from storage.views.book_figures import Open, Window

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from core.book_events import BookEvent
    from core.models import Position
    from pipeline.accounts.closing_values import ClosingValues, End, Valuer
    from storage.views.book_figures import BookFigures, FillFigures, TradeFigures

Period = Literal["today", "week", "month", "start"]
PERIODS: Final[tuple[Period, ...]] = ("today", "week", "month", "start")
ONE_DAY: Final = dt.timedelta(days=1)
FAR: Final = dt.date.max


class Span(NamedTuple):
    """A period of a book between two closes on record.

    Attributes
    ----------
    after
        Session of the close before it; None where the initial cash stands for one.
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

    @property
    def window(self) -> Window:
        """Its sessions."""
        return Window(self.book, self.after, self.until)

    @property
    def by_trades(self) -> bool:
        """True for the span that is too long for its fills."""
        return self.period == "start" or self.after is None

    @property
    def ends(self) -> tuple[End, ...]:
        """Its closes."""
        last = (self.book, self.until)
        return (last,) if self.after is None else ((self.book, self.after), last)


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
    valuer: Valuer
    initial_usd: Mapping[str, float | None]

    def read(self, periods: Sequence[Period] = PERIODS, session: dt.date | None = None) -> list[BookProfit]:
        """Return the profit of each book in each period, up to the newest close on record or the newest up to a session."""
        spans = self._spans(periods, session)
        rows = self._rows(list(spans.values()), session) if spans else None
        return [
            rows.profit(spans[book, period]) if rows and (book, period) in spans else BookProfit(book, period, None)
            for book in self.initial_usd
            for period in periods
        ]

    def _spans(self, periods: Sequence[Period], session: dt.date | None) -> dict[tuple[str, Period], Span]:
        """Return the span of each period; none of a book without a close."""
        end = FAR if session is None else session + ONE_DAY
        closes = self.figures.closes_before([(book, end) for book in self.initial_usd])
        newest = {book: close for (book, _), close in closes.items()}
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
        """Return the session and value that each book starts from; no session where its initial cash is stated."""
        stated = {book: value for book in books if (value := self.initial_usd[book]) is not None}
        firsts = self.figures.first_closes([book for book in books if book not in stated])
        return {book: (None, value) for book, value in stated.items()} | {
            book: (close.session, close.equity_usd) for book, close in firsts.items()
        }

    def _rows(self, spans: Sequence[Span], session: dt.date | None) -> SpanRows:
        """Return what is on record of the spans."""
        figures, books = self.figures, sorted({span.book for span in spans})
        positions, events = figures.positions(books), figures.events(books)
        far = [(span.book, span.after) for span in spans if span.by_trades and span.after]
        near = {end for span in spans for end in span.ends} - set(far)
        last = FAR if session is None else max(span.until for span in spans)
        by_trades = {end for span in spans if span.by_trades for end in span.ends}
        open_trades = self._open_trades(by_trades, positions, events)
        holdings = Holdings(
            positions,
            events,
            figures.fills(books, min(day for _, day in near), last),
            {} if session is None else figures.net_quantities(books, last),
            {end: open_trades[end].quantities() for end in far},
        )
        values = self.valuer.value({*near, *far}, holdings)
        return SpanRows(holdings, values, figures.trades([span.window for span in spans]), open_trades)

    def _open_trades(
        self, ends: Collection[End], positions: Sequence[Position], events: Sequence[BookEvent]
    ) -> dict[End, OpenTrades]:
        """Return what was open at closes, with its fills up to each."""
        opened = self.figures.finished_later(ends)
        for book, day in ends:
            held = (each for each in positions if each.portfolio == book and each.entry_session <= day)
            opened += [Open(book, each.strategy, each.symbol, each.entry_session, day) for each in held]
        for event in sorted((each for each in events if each.new_symbol), key=lambda each: each.session, reverse=True):
            opened = [name for each in opened for name in _names_before(each, event)]
        fills = self.figures.fills_since(opened)
        return {end: OpenTrades({each: fills[each] for each in opened if (each.book, each.until) == end}) for end in ends}


def _names_before(trade: Open, event: BookEvent) -> list[Open]:
    """Return an open trade under the names that its fills may have: the old one too when it was entered before a rename."""
    if trade[:3] != (event.portfolio, event.strategy, event.new_symbol) or trade.first >= event.session:
        return [trade]
    old = trade._replace(symbol=event.symbol)
    return [old] if event.session > trade.until else [trade, old]


@dataclass(frozen=True)
class OpenTrades:
    """Trades that were open at a close, each with its fills up to it."""

    by_trade: Mapping[Open, Sequence[FillFigures]] = field(default_factory=dict)

    @property
    def fills(self) -> list[FillFigures]:
        """The fills of all of them."""
        return [fill for fills in self.by_trade.values() for fill in fills]

    def quantities(self) -> dict[tuple[str, str], float]:
        """Return the signed quantities by sleeve and symbol, as they were filled."""
        return {
            (each.sleeve, each.symbol): float(sum(fill.quantity for fill in fills)) for each, fills in self.by_trade.items()
        }

    def holds(self, event: BookEvent) -> bool:
        """Return True for a change of a trade that is still open; the cash in lieu of a finished one is in its profit."""
        return any(event.concerns(each.sleeve, each.symbol) and event.session > each.first for each in self.by_trade)


@dataclass(frozen=True)
class SpanRows:
    """The rows behind some spans, and the values of what was held at their ends."""

    holdings: Holdings
    values: ClosingValues
    trades: Mapping[Window, Mapping[tuple[str, str], TradeFigures]]
    open_trades: Mapping[End, OpenTrades]

    def profit(self, span: Span) -> BookProfit:
        """Return the profit of a span, with what nothing on record explains."""
        events = [each for each in self.holdings.events if each.portfolio == span.book and self._inside(each.session, span)]
        moved = transfers_usd(events)
        by_key = profit_by_key(self._record(span, events))
        change = span.equity_usd - span.equity_before_usd - moved
        rest = change - sum(each.total_usd for each in by_key.values())
        by_key[NOBODY] = by_key.get(NOBODY, Profit()) + Profit(unattributed_usd=rest)
        unpriced = {symbol for end in span.ends for symbol in self.values.unpriced[end]}
        return BookProfit(span.book, span.period, span, moved, by_key, tuple(sorted(unpriced)))

    def _record(self, span: Span, events: Sequence[BookEvent]) -> Record:
        before, after = self._values(span.ends[0]) if span.after else {}, self._values(span.ends[-1])
        trades = {Key(*key): figures for key, figures in self.trades[span.window].items()}
        if not span.by_trades:
            fills = [each for each in self.holdings.fills if each.book == span.book and self._inside(each.session, span)]
            return Record(before, after, fills, events, trades)
        still_open = self.open_trades[span.ends[-1]]
        earlier = self.open_trades[span.ends[0]] if span.after else OpenTrades()
        counted = [each for each in events if each.kind in CASH_KINDS or still_open.holds(each)]
        return Record(before, after, still_open.fills, counted, trades, earlier.fills, by_trades=True)

    def _values(self, end: End) -> dict[Key, float]:
        return {Key(*key): value for key, value in self.values.by_end[end].items()}

    @staticmethod
    def _inside(session: dt.date, span: Span) -> bool:
        return (span.after is None or session > span.after) and session <= span.until
