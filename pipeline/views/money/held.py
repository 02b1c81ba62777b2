"""Open positions of books with their last prices and the books' equity: what the views of money and risk start from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.models import OrderIntent, Position, Side
from pipeline.accounts.past_positions import in_terms_of_bars
from pipeline.resources import Resources, live
from pipeline.views.money.books import initial_equities
from storage.market.bars import BarStore
from storage.views.bar_history import BarHistory
from storage.views.book_figures import BookFigures, Close
from storage.views.reading import snapshot

FAR = dt.date.max
LOOK_BACK = dt.timedelta(days=10)  # an entry order that waits is younger: it is good for the session after its decision


@dataclass(frozen=True)
class Quoted:
    """A close and its session."""

    session: dt.date
    price: float


@dataclass(frozen=True)
class HeldNow:
    """Positions and waiting entry orders of books, in the terms of the newest bars.

    Attributes
    ----------
    books
        Equity that each book started with; None where nobody stated it.
    waiting
        Entry orders that are not filled yet.
    prices
        Newest close of each symbol that has one.
    closes
        Newest close on record of each book that has one.
    """

    books: Mapping[str, float | None]
    positions: Sequence[Position]
    waiting: Sequence[OrderIntent]
    prices: Mapping[str, Quoted]
    closes: Mapping[str, Close]

    def equity_usd(self, book: str) -> float | None:
        """Return the newest value of a book on record, else what it started with."""
        return self.closes[book].equity_usd if book in self.closes else self.books[book]

    def value_usd(self, position: Position) -> float | None:
        """Return the signed value of a position at its last price; None without a price."""
        quoted = self.prices.get(position.symbol)
        return None if quoted is None else float(position.quantity) * quoted.price

    def ordered_usd(self, order: OrderIntent) -> float | None:
        """Return the signed notional of an entry order at the last price; None without a price."""
        quoted, side = self.prices.get(order.symbol), 1 if order.side is Side.BUY else -1
        return None if quoted is None else side * float(order.quantity) * quoted.price


def held_now(book: str | None = None, *, resources: Resources | None = None) -> HeldNow:
    """Read what every book holds, or one book alone."""
    resources = resources or live()
    with snapshot(resources.engine) as connection:
        figures, history = BookFigures(connection), resources.bar_history.on(connection)
        books = initial_equities(book, figures, (resources.parent or resources).settings)
        return read_held(books, figures, history, resources.bars, resources.clock().date())


def read_held(
    books: Mapping[str, float | None], figures: BookFigures, history: BarHistory, bars: BarStore, today: dt.date
) -> HeldNow:
    """Read what books hold; `today` matters where none has a close on record."""
    positions = figures.positions(books)
    closes = {name: close for (name, _), close in figures.closes_before([(name, FAR) for name in books]).items()}
    newest = max((close.session for close in closes.values()), default=today)
    waiting = [order for order, _ in figures.waiting_entries(books, newest - LOOK_BACK)]
    rescaled = history.last_rescaled({each.symbol for each in positions})
    if any(rescaled.get(each.symbol, each.entry_session) > each.entry_session for each in positions):
        positions = in_terms_of_bars(positions, rescaled, figures.events(books), bars)
    symbols = {each.symbol for each in positions} | {order.symbol for order in waiting}
    found = history.closes([(symbol, FAR) for symbol in symbols])
    prices = {symbol: Quoted(*quoted) for (symbol, _), quoted in found.items()}
    return HeldNow(books, positions, waiting, prices, closes)
