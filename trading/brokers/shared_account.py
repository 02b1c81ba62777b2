"""One venue account that several books share: each book sees its own part, and the sum of the parts is the account.

The venue knows one position a symbol and one cash. A book's part is what the account holds less what the other books do, so
that whatever nobody's ledger explains shows as a difference in a book that it concerns, and is lost in none.

Opposite orders are put in sequence, because venues refuse or punish trades with oneself: an exit goes first, and takes an open
entry of another book on the other side back; an entry against another book's position or open order is refused.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from core.models import FINAL, SENT, WORKING, Answer, Leg, OrderState, Refused, Side, VenuePosition
from trading.brokers.base import CashStatement, unfenced
from trading.brokers.children import entry_of
from trading.brokers.listing import Listing
from trading.brokers.placing import Patience, cancel
from trading.portfolio import account as value_account

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from core.book_events import CashMovement
    from core.models import Fill, Instrument, OrderIntent, OrderView
    from trading.brokers.base import Broker, Fence
    from trading.brokers.book import Book
    from trading.portfolio import Account

NOTHING = Decimal(0)
Row = TypeVar("Row", "OrderView", "Fill")


@dataclass
class SharedAccount:
    """A book's part of a venue account: a `Broker` for that book.

    Attributes
    ----------
    venue
        The account itself.
    others
        Initial cash (USD) of each other book in the account, by name; it may change while the part lives.
    initial_usd
        Initial cash of this book; None for the book that the account was opened with, to which all other cash belongs.
    price_of
        Newest close of a symbol; None when there is none.
    turn
        Held while an order is checked against the other books and sent: one book at a time.
    """

    venue: Broker
    book: Book
    portfolio: str
    others: Callable[[], Mapping[str, Decimal]]
    initial_usd: Decimal | None
    price_of: Callable[[str], float | None]
    turn: Callable[[], AbstractContextManager[Any]] = field(default=nullcontext)
    patience: Patience = field(default_factory=Patience)

    @property
    def name(self) -> str:
        """The venue's name: the prefix of its fill ids."""
        return self.venue.name

    @property
    def holds_brackets(self) -> bool:
        """True when stops and targets rest at the venue."""
        return self.venue.holds_brackets

    def submit(self, order: OrderIntent, fence: Fence = unfenced) -> Answer:
        """Send the order once no order of another book is on its other side; an entry that one opposes is refused."""
        others = self.others()
        if not others:
            return self.venue.submit(order, fence)
        with self.turn():
            known = self.book.order(order.client_order_id)
            if known is not None and known[1] in FINAL:  # another book took it back while this one waited for its turn
                return Answer(known[1], Refused.OTHER_BOOK, "taken back before it was sent")
            opposing = self._opposing(order, others)
            if order.leg is Leg.EXIT:
                for other in opposing:
                    fence()
                    words = f"the exit {order.client_order_id} of {order.portfolio} goes first"
                    cancel(self.book, self.venue, other.client_order_id, words, patience=self.patience)
            elif (reason := self._objection(order, opposing, others)) is not None:
                return Answer(OrderState.REJECTED, Refused.OTHER_BOOK, reason)
            return self.venue.submit(order, fence)

    def find(self, client_order_id: str) -> OrderView | None:
        """Return the order as the venue has it; None when it never arrived."""
        return self.venue.find(client_order_id)

    def cancel(self, client_order_id: str) -> Answer:
        """Ask for the cancellation of what is not filled yet."""
        return self.venue.cancel(client_order_id)

    def open_orders(self) -> Listing[OrderView]:
        """Return the orders that work at the venue, without those of the other books."""
        return self._own(self.venue.open_orders())

    def positions(self) -> Listing[VenuePosition]:
        """Return this book's part of the positions, one a symbol, sorted by symbol.

        It is the account's quantity less that of the other books. A difference that no ledger explains is shown by every book
        that holds the symbol, or by the account's first book when none does.
        """
        found, books = self.venue.positions(), self.others()
        if not books:
            return found
        there = {position.symbol: position for position in found}
        mine, others = self._quantities([self.portfolio]), self._quantities(books)
        parts = []
        for symbol in sorted({*there, *mine, *others}):
            at_venue = there[symbol].quantity if symbol in there else NOTHING
            part = at_venue - others.get(symbol, NOTHING)
            if not self._concerned(symbol, mine, others):
                part = mine.get(symbol, NOTHING)
            if part:
                price = there[symbol].average_price if symbol in there else NOTHING
                parts.append(VenuePosition(symbol, part, price))
        return Listing(parts, found.unreadable)

    def fills(self, since: dt.datetime) -> Listing[Fill]:
        """Return the executions at or after an instant, without those of the other books."""
        return self._own(self.venue.fills(since))

    def cash_usd(self) -> Decimal:
        """Return this book's part of the cash: what its ledger says, or all that the other books do not own."""
        others = self.others()
        if not others:
            return self.venue.cash_usd()
        if self.initial_usd is not None:
            return self.initial_usd + self.book.cash_flow_usd(self.portfolio)
        owned = (initial + self.book.cash_flow_usd(name) for name, initial in others.items())
        return self.venue.cash_usd() - sum(owned, NOTHING)

    def account(self, prices: Mapping[str, float]) -> Account:
        """Return the value of this book, its positions marked to `prices`, else to their newest close.

        Raises
        ------
        core.errors.DataError
            When a symbol held has no price.
        """
        if not self.others():
            return self.venue.account(prices)
        positions = self.book.positions(self.portfolio)
        closes = {each.symbol: self.price_of(each.symbol) for each in positions if each.symbol not in prices}
        marks = {symbol: close for symbol, close in closes.items() if close is not None}
        return value_account(self.cash_usd(), positions, (), {**prices, **marks})

    def instrument(self, symbol: str) -> Instrument:
        """Return the symbol's grid and smallest order."""
        return self.venue.instrument(symbol)

    def _quantities(self, names: Iterable[str]) -> dict[str, Decimal]:
        held: dict[str, Decimal] = {}
        for name in names:
            for position in self.book.positions(name):
                held[position.symbol] = held.get(position.symbol, NOTHING) + position.quantity
        return held

    def _concerned(self, symbol: str, mine: Mapping[str, Decimal], others: Mapping[str, Decimal]) -> bool:
        """Return True when a difference in a symbol is this book's to show."""
        return symbol in mine or (self.initial_usd is None and symbol not in others)

    def _own(self, found: Listing[Row]) -> Listing[Row]:
        """Return the rows whose order this book has sent; those of nobody are the first book's."""
        if not self.others():
            return found

        def is_mine(client_order_id: str) -> bool:
            known = self.book.order(entry_of(client_order_id) or client_order_id)
            return self.initial_usd is None if known is None else known[0].portfolio == self.portfolio

        mine = [row for row in found if is_mine(row.client_order_id)]
        return Listing(mine, [each for each in found.unreadable if is_mine(each.client_order_id)])

    def _opposing(self, order: OrderIntent, others: Iterable[str]) -> list[OrderIntent]:
        """Return the open orders of the other books in the symbol on the other side; stops that rest at the venue are none."""
        found = []
        for name in others:
            for other, state in self.book.open_orders(name):
                against = other.symbol == order.symbol and other.side is not order.side
                if against and (state in WORKING or state in SENT) and entry_of(other.client_order_id) is None:
                    found.append(other)
        return [other for other in found if order.leg is Leg.ENTRY or other.leg is Leg.ENTRY]

    def _objection(self, order: OrderIntent, opposing: Sequence[OrderIntent], others: Iterable[str]) -> str | None:
        """Return why an entry would trade against another book; None when it would not."""
        if opposing:
            other = opposing[0]
            return f"{other.portfolio} has {other.client_order_id} on the other side of {order.symbol}"
        long = order.side is Side.BUY
        for name in others:
            for position in self.book.positions(name):
                if position.symbol == order.symbol and (position.quantity > 0) is not long:
                    return f"{name} holds {position.quantity.normalize():f} {order.symbol}, the other way"
        return None


class FirstBook(SharedAccount):
    """The part of the book that the account was opened with: cash that the venue moved without an order is its own."""

    def cash_movements(self, since: dt.date) -> Sequence[CashMovement]:
        """Return deposits, withdrawals, dividends and fees on or after a day, oldest first."""
        return self.venue.cash_movements(since) if isinstance(self.venue, CashStatement) else []
