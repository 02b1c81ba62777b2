"""Figures of books between closes: values, fills, finished trades, positions and events, several books at once.

Each method is one query that reads the sessions wanted alone, so that the length of the record does not matter.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple

from core.models import OrderState
from storage.trading.orders import to_event, to_position, to_present_intent
from storage.views import book_statements as statements
from storage.views.places import arrays_of
from storage.views.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from decimal import Decimal

    from core.book_events import BookEvent
    from core.models import OrderIntent, Position

Key = tuple[str, str, str]  # book, sleeve, symbol
LONG_AGO: Final = dt.date(1678, 1, 1)


class Close(NamedTuple):
    """The value of a book at a close on record."""

    session: dt.date
    equity_usd: float


class FillFigures(NamedTuple):
    """A fill as money: `quantity` is signed, `cash_usd` what it brought after commission, `slippage_usd` what it lost to it."""

    book: str
    sleeve: str
    symbol: str
    session: dt.date
    quantity: Decimal
    cash_usd: Decimal
    commission_usd: Decimal
    slippage_usd: Decimal


class Execution(NamedTuple):
    """A fill as it was executed: side `buy` or `sell`, price in USD with slippage."""

    book: str
    sleeve: str
    leg: str
    session: dt.date
    side: str
    quantity: Decimal
    price: Decimal
    client_order_id: str
    reason: str


class TradeFigures(NamedTuple):
    """Finished trades of a sleeve in a symbol: their number, the winners among them, profit net of costs, costs."""

    trades: int
    winners: int
    pnl_usd: float
    cost_usd: float


class Window(NamedTuple):
    """Sessions of a book: those after one, up to another; None has no beginning."""

    book: str
    after: dt.date | None
    until: dt.date


class Open(NamedTuple):
    """A trade that was open at a close: its entry session and that close."""

    book: str
    sleeve: str
    symbol: str
    first: dt.date
    until: dt.date


class BookFigures(Reader):
    """Reads of the schema `trading`, each for several books."""

    def deployed(self) -> dict[str, float]:
        """Return the capital (USD) of each deployment with sleeves, in the order in which they were made."""
        return {row.name: row.capital_usd for row in self._all(statements.DEPLOYED, {})}

    def closes_before(self, wanted: Collection[tuple[str, dt.date]]) -> dict[tuple[str, dt.date], Close]:
        """Return for each book and session the newest close before that session; absent where there is none."""
        rows = self._all(statements.CLOSES_BEFORE, arrays_of(statements.book_days, dict.fromkeys(wanted)))
        return {(book, day): Close(session, equity_usd) for book, day, session, equity_usd in rows}

    def first_closes(self, books: Collection[str]) -> dict[str, Close]:
        """Return the first close on record of each book that has one."""
        rows = self._all(statements.FIRST_CLOSES, {"books": list(books)}) if books else ()
        return {book: Close(session, equity_usd) for book, session, equity_usd in rows}

    def closes(self, book: str) -> list[Close]:
        """Return every close of a book on record, oldest first."""
        return [Close._make(row) for row in self._all(statements.CLOSES, {"book": book})]

    def positions(self, books: Collection[str]) -> list[Position]:
        """Return the open positions of books, sorted by book, sleeve and symbol."""
        return [to_position(row._mapping) for row in self._all(statements.POSITIONS, {"books": list(books)})]  # noqa: SLF001  # a public name of SQLAlchemy

    def positions_in(self, symbol: str) -> list[Position]:
        """Return the open positions of every book in a symbol, sorted by book and sleeve."""
        return [to_position(row._mapping) for row in self._all(statements.POSITIONS_IN, {"symbol": symbol})]  # noqa: SLF001

    def events(self, books: Collection[str]) -> list[BookEvent]:
        """Return the book events of books, sorted by session and id."""
        return [to_event(row._mapping) for row in self._all(statements.EVENTS, {"books": list(books)})]  # noqa: SLF001

    def waiting_entries(self, books: Collection[str], first: dt.date) -> list[tuple[OrderIntent, OrderState]]:
        """Return the entry orders in no final state for sessions from `first` on; an entry is good for its session alone."""
        rows = [row._mapping for row in self._all(statements.WAITING_ENTRIES, {"books": list(books), "first": first})]  # noqa: SLF001
        return [(to_present_intent(row), OrderState(row["state"])) for row in rows]

    def fills(self, books: Collection[str], after: dt.date, until: dt.date) -> list[FillFigures]:
        """Return the fills of books in the sessions after one, up to another, as they were executed."""
        rows = self._all(statements.FILLS, {"books": list(books), "after": after, "until": until})
        return [FillFigures._make(row) for row in rows]

    def executions(self, symbol: str, after: dt.date, until: dt.date) -> list[Execution]:
        """Return the fills of a symbol in the sessions after one, up to another, oldest first, of every book."""
        rows = self._all(statements.FILLS_OF_SYMBOL, {"symbol": symbol, "after": after, "until": until})
        return [Execution._make(row) for row in rows]

    def fills_since(self, wanted: Iterable[Open]) -> dict[Open, list[FillFigures]]:
        """Return the fills of sleeves in symbols from an entry to a close, as they were executed."""
        rows = list(dict.fromkeys(wanted))
        found: dict[Open, list[FillFigures]] = {row: [] for row in rows}
        numbered = ((number, *row) for number, row in enumerate(rows))
        for number, *figures in self._all(statements.FILLS_SINCE, arrays_of(statements.open_trades, numbered)) if rows else ():
            found[rows[number]].append(FillFigures._make(figures))
        return found

    def net_quantities(self, books: Collection[str], after: dt.date) -> dict[Key, Decimal]:
        """Return what the fills of the sessions after one bought less what they sold, as they were executed."""
        rows = self._all(statements.NET_QUANTITIES, {"books": list(books), "after": after})
        return {(book, sleeve, symbol): net for book, sleeve, symbol, net in rows}

    def trades(self, windows: Sequence[Window]) -> dict[Window, dict[tuple[str, str], TradeFigures]]:
        """Return for each window its finished trades by sleeve and symbol; a trade counts in its exit session."""
        found: dict[Window, dict[tuple[str, str], TradeFigures]] = {window: {} for window in windows}
        rows = ((number, each.book, each.after or LONG_AGO, each.until) for number, each in enumerate(windows))
        for number, sleeve, symbol, *figures in self._all(statements.TRADES, arrays_of(statements.windows, rows)):
            found[windows[number]][sleeve, symbol] = TradeFigures._make(figures)
        return found

    def finished_later(self, ends: Collection[tuple[str, dt.date]]) -> list[Open]:
        """Return the trades that were open at closes, each of a book and a session, and have finished since."""
        rows = self._all(statements.FINISHED_LATER, arrays_of(statements.book_days, ends)) if ends else ()
        return [Open._make(row) for row in rows]

    def entries_ordered(self, books: Collection[str], after: dt.date) -> dict[tuple[str, str, dt.date], int]:
        """Return by book, sleeve and session the number of entry orders for the sessions after one."""
        rows = self._all(statements.ENTRIES_ORDERED, {"books": list(books), "after": after})
        return {(book, sleeve, session): count for book, sleeve, session, count in rows}

    def last_losses(self, books: Collection[str], after: dt.date) -> dict[Key, dt.date]:
        """Return by book, sleeve and symbol the session in which the newest losing trade ended; those after a session."""
        rows = self._all(statements.LAST_LOSSES, {"books": list(books), "after": after})
        return {(book, sleeve, symbol): session for book, sleeve, symbol, session in rows}

    def entered(self, books: Collection[str], after: dt.date) -> list[tuple[str, str, dt.date]]:
        """Return book, sleeve and entry session of the finished trades that were entered after a session, oldest first."""
        return [tuple(row) for row in self._all(statements.ENTERED, {"books": list(books), "after": after})]
