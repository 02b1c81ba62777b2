"""Figures of books between closes: values, fills, finished trades, positions and events, several books at once.

Each method is one query that reads the sessions wanted alone, so that the length of the record does not matter.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from core.models import FINAL, Leg, OrderState
from storage.trading.book_rows import PRESENT_COLUMNS
from storage.trading.orders import to_event, to_position, to_present_intent
from storage.trading.tables import book_events, equity, fills, order_intents, orders, positions, trades

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from core.book_events import BookEvent
    from core.models import OrderIntent, Position

Key = tuple[str, str, str]  # book, sleeve, symbol
ENTRY_LAG: Final = dt.timedelta(days=10)  # from the decision of an entry to its fill, at most
LONG_AGO: Final = dt.date(1678, 1, 1)


class Close(NamedTuple):
    """The value of a book at a close on record."""

    session: dt.date
    equity_usd: float


@dataclass(frozen=True)
class FillFigures:
    """A fill as money: `quantity` is signed, `cash_usd` what it brought after commission, `slippage_usd` what it lost to it."""

    book: str
    sleeve: str
    symbol: str
    session: dt.date
    quantity: Decimal
    cash_usd: Decimal
    commission_usd: Decimal
    slippage_usd: Decimal


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


class Since(NamedTuple):
    """Fills of a sleeve in a symbol from a session on."""

    book: str
    sleeve: str
    symbol: str
    first: dt.date


class BookFigures:
    """Reads of the schema `trading`, each for several books."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def closes_before(self, wanted: Sequence[tuple[str, dt.date]]) -> dict[tuple[str, dt.date], Close]:
        """Return for each book and session the newest close before that session; absent where there is none."""
        if not wanted:
            return {}
        places = _table(("book", sa.Text), ("before", sa.Date)).data(list(dict.fromkeys(wanted)))
        row = equity.c
        newest = (
            sa.select(row.session, row.equity_usd)
            .where(row.portfolio == places.c.book, row.session < places.c.before)
            .order_by(row.session.desc())
            .limit(1)
            .lateral("newest")
        )
        found = self._all(sa.select(*places.c, *newest.c).select_from(places.join(newest, sa.true())))
        return {(each.book, each.before): Close(each.session, each.equity_usd) for each in found}

    def first_closes(self, books: Collection[str]) -> dict[str, Close]:
        """Return the first close on record of each book that has one."""
        if not books:
            return {}
        places, row = _table(("book", sa.Text)).data([(book,) for book in books]), equity.c
        first = (
            sa.select(row.session, row.equity_usd)
            .where(row.portfolio == places.c.book)
            .order_by(row.session)
            .limit(1)
            .lateral("first")
        )
        found = self._all(sa.select(*places.c, *first.c).select_from(places.join(first, sa.true())))
        return {each.book: Close(each.session, each.equity_usd) for each in found}

    def positions(self, books: Collection[str]) -> list[Position]:
        """Return the open positions of books, sorted by book, sleeve and symbol."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(positions).where(positions.c.portfolio.in_(books))).mappings()
            held = [to_position(row) for row in rows]
        return sorted(held, key=lambda each: (each.portfolio, each.strategy, each.symbol))

    def events(self, books: Collection[str]) -> list[BookEvent]:
        """Return the book events of books, sorted by session and id."""
        event = book_events.c
        query = sa.select(book_events).where(event.portfolio.in_(books)).order_by(event.session, event.event_id)
        with self._engine.connect() as connection:
            return [to_event(dict(row)) for row in connection.execute(query).mappings()]

    def waiting_entries(self, books: Collection[str], first: dt.date) -> list[tuple[OrderIntent, OrderState]]:
        """Return the entry orders in no final state for sessions from `first` on; an entry is good for its session alone."""
        intent = order_intents.c
        query = (
            sa.select(order_intents, orders.c.state, *PRESENT_COLUMNS)
            .join(orders)
            .where(intent.portfolio.in_(books), intent.session >= first, intent.leg == Leg.ENTRY)
            .where(orders.c.state.not_in(FINAL))
            .order_by(intent.session, intent.client_order_id)
        )
        with self._engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return [(to_present_intent(row), OrderState(row["state"])) for row in rows]

    def fills(self, books: Collection[str], after: dt.date, until: dt.date) -> list[FillFigures]:
        """Return the fills of books in the sessions after one, up to another, as they were executed."""
        fill, intent = fills.c, order_intents.c
        order = (
            sa.select(intent.portfolio.label("book"), intent.strategy.label("sleeve"))
            .where(intent.client_order_id == fill.client_order_id)
            .limit(1)  # keeps the planner from reading every order there is
            .lateral("of_order")
        )
        query = (
            sa.select(*order.c, *_FILL_FIGURES)
            .select_from(fills.join(order, sa.true()))
            .where(fill.session > after, fill.session <= until, order.c.book.in_(books))
        )
        return [FillFigures(*row) for row in self._all(query)]

    def fills_since(self, wanted: Iterable[Since], until: dt.date) -> list[FillFigures]:
        """Return the fills of sleeves in symbols from a session on, up to another, as they were executed."""
        rows = list(wanted)
        if not rows:
            return []
        places = _table(("book", sa.Text), ("sleeve", sa.Text), ("symbol", sa.Text), ("first", sa.Date)).data(rows)
        fill, intent, place = fills.c, order_intents.c, places.c
        of_order = (
            sa.select(*_FILL_FIGURES)
            .where(fill.client_order_id == intent.client_order_id, fill.session >= place.first, fill.session <= until)
            .lateral("of_order")
        )
        mine = sa.and_(
            intent.strategy == place.sleeve,
            intent.symbol == place.symbol,
            intent.portfolio == place.book,
            intent.decision_session >= place.first - ENTRY_LAG,
        )
        query = sa.select(place.book, place.sleeve, *of_order.c).select_from(
            places.join(order_intents, mine).join(of_order, sa.true())
        )
        return [FillFigures(*row) for row in self._all(query)]

    def net_quantities(self, books: Collection[str], after: dt.date) -> dict[Key, Decimal]:
        """Return what the fills of the sessions after one bought less what they sold, as they were executed."""
        fill, intent = fills.c, order_intents.c
        key = (intent.portfolio, intent.strategy, fill.symbol)
        query = (
            sa.select(*key, sa.func.sum(_SIGNED))
            .join_from(fills, order_intents)
            .where(fill.session > after, intent.portfolio.in_(books))
            .group_by(*key)
        )
        return {(book, sleeve, symbol): net for book, sleeve, symbol, net in self._all(query)}

    def trades(self, windows: Sequence[Window]) -> dict[Window, dict[tuple[str, str], TradeFigures]]:
        """Return for each window its finished trades by sleeve and symbol; a trade counts in its exit session."""
        found: dict[Window, dict[tuple[str, str], TradeFigures]] = {window: {} for window in windows}
        if not windows:
            return found
        places = _table(("number", sa.Integer), ("book", sa.Text), ("after", sa.Date), ("until", sa.Date))
        places = places.data([(number, each.book, each.after or LONG_AGO, each.until) for number, each in enumerate(windows)])
        trade, place = trades.c, places.c
        finished = (
            sa.select(
                trade.strategy,
                trade.symbol,
                sa.func.count(),
                sa.func.count().filter(trade.net_return > 0),
                sa.func.sum(trade.pnl_usd),
                sa.func.sum(trade.cost_usd),
            )
            .where(trade.portfolio == place.book, trade.exit_session > place.after, trade.exit_session <= place.until)
            .group_by(trade.strategy, trade.symbol)
            .lateral("finished")
        )
        for number, sleeve, symbol, *figures in self._all(
            sa.select(place.number, *finished.c).select_from(places.join(finished, sa.true()))
        ):
            found[windows[number]][sleeve, symbol] = TradeFigures(*figures)
        return found

    def entered_before(self, books: Collection[str], session: dt.date) -> list[Since]:
        """Return the trades that were open at a close and have finished since, with their entry sessions."""
        trade = trades.c
        query = sa.select(trade.portfolio, trade.strategy, trade.symbol, trade.entry_session).where(
            trade.portfolio.in_(books), trade.exit_session > session, trade.entry_session <= session
        )
        return [Since(*row) for row in self._all(query)]

    def _all(self, query: sa.Select[Any]) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(query).all()


_SIGNED = sa.case((fills.c.side == "buy", fills.c.quantity), else_=-fills.c.quantity)
_FILL_FIGURES = (
    fills.c.symbol,
    fills.c.session,
    _SIGNED.label("signed"),
    (-_SIGNED * fills.c.price - fills.c.commission_usd).label("cash_usd"),
    fills.c.commission_usd,
    (_SIGNED * (fills.c.price - fills.c.raw_price)).label("slippage_usd"),
)


def _table(*columns: tuple[str, Any]) -> sa.Values:
    return sa.values(*(sa.column(name, kind) for name, kind in columns), name="places")
