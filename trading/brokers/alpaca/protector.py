"""Keeps stops over what is held at Alpaca: moves them, sends them anew, gives up the rest of an entry, or tells a person.

The listener calls it after each event that may uncover a position, and at each poll. What it cannot cover the watch sells at
the stop (`pipeline.execution.position_watch`): both ask `trading.brokers.protection.uncovered`.
"""

from __future__ import annotations

import math
import time
from decimal import Decimal
from typing import TYPE_CHECKING

import structlog

from core.errors import UnreadableAnswer
from core.models import OrderState
from trading.brokers.children import entry_of
from trading.brokers.placing import Patience, cancel
from trading.brokers.protection import uncovered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from core.models import OrderIntent, OrderView, Position
    from trading.brokers.alpaca.broker import AlpacaBroker
    from trading.brokers.book import Book
    from trading.brokers.listing import Listing

log = structlog.get_logger()
RENEW_SECONDS, SOON_SECONDS = 3600.0, 4.0
ONE_TRY = Patience(deadline_seconds=0.0)


class Protector:
    """The protection of one portfolio at Alpaca.

    Parameters
    ----------
    alarm
        Told of a position that stays without protection.
    partial_seconds
        How long an entry may work on after it has filled in part. Its children sleep meanwhile, so its remainder is cancelled.
    others
        Returns the other books in the account: what they hold is part of the venue's one position a symbol.

    Attributes
    ----------
    due
        Moment (monotonic) at which to check again at the latest.
    """

    def __init__(
        self,
        broker: AlpacaBroker,
        book: Book,
        portfolio: str,
        *,
        alarm: Callable[[str], object],
        partial_seconds: float = 60.0,
        others: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.broker = broker
        self.book = book
        self.portfolio = portfolio
        self.alarm = alarm
        self.partial_seconds = partial_seconds
        self.others = others
        self.due = math.inf
        self._alarmed: set[str] = set()
        self._renewed: dict[str, tuple[float, Decimal]] = {}  # when children were last sent anew, for what was held, by entry
        self._partial: dict[str, float] = {}  # since when an entry that works has filled in part

    def check(self) -> int:
        """Put stops and targets at what the fill made of them, and see that they cover what is held; return how many changed.

        They were sent on the last price before the fill. Left alone are a position whose exit works, which takes them back
        first, and a symbol of which the venue does not hold what the book does. The book is asked last: what made the children
        vanish is in it by then, or the position is gone from the venue.
        """
        self.due = math.inf
        if not self.broker.holds_brackets or not self.book.positions(self.portfolio):
            return 0
        working = self.broker.open_orders()
        at_venue = {position.symbol: position.quantity for position in self.broker.positions()}
        busy = self._busy()
        positions, changed = self.book.positions(self.portfolio), 0
        in_account = [*positions, *(each for other in self.others() for each in self.book.positions(other))]
        for position in positions:
            held = sum(each.quantity for each in in_account if each.symbol == position.symbol)
            order, state = busy.get((position.strategy, position.symbol), (None, None))
            try:
                if order is None:
                    changed += self._align(position, working, as_held=at_venue.get(position.symbol, Decimal(0)) == held)
                elif order.client_order_id == position.entry_order_id:
                    self._end_entry(position, state, working)
                elif uncovered(position, working, [order.client_order_id]):
                    self._soon()  # its exit has taken the children back, and may be refused
            except UnreadableAnswer as error:  # about this position alone
                log.warning("position_unreadable", entry=position.entry_order_id, symbol=position.symbol, reason=str(error))
                self._alarm_once(position, uncovered(position, working), "Alpaca's answer about them cannot be read")
        return changed

    def _soon(self) -> None:
        """Check again before the next poll."""
        self.due = min(self.due, time.monotonic() + SOON_SECONDS)

    def _busy(self) -> dict[tuple[str, str], tuple[OrderIntent, OrderState]]:
        """Return the open entry or exit of each strategy and symbol; a stop that has filled in part is no exit of its own."""
        orders = [pair for pair in self.book.open_orders(self.portfolio) if entry_of(pair[0].client_order_id) is None]
        return {(order.strategy, order.symbol): (order, state) for order, state in orders}

    def _align(self, position: Position, working: Listing[OrderView], *, as_held: bool) -> int:
        """Move the children of a position, or send new ones for what they do not cover; return how many changed."""
        entry, missing = position.entry_order_id, uncovered(position, working)
        if not as_held:  # a fill on its way, or a split that the book does not know yet: its prices may be on another scale
            return 0
        if not missing:
            self._alarmed.discard(entry)
            self._partial.pop(entry, None)
            return self.broker.move_children(entry, position.stop_price, position.target_price)
        missing = self._seen_again(position)
        if not missing:
            self._soon()
            return 0
        if position.quantity % 1 or not self._may_renew(position, missing):
            return 0
        if self.broker.protect(position, missing):
            self._renewed[entry] = time.monotonic(), position.quantity
            return 1
        self._alarm_once(position, missing, "new ones were refused")
        return 0

    def _seen_again(self, position: Position) -> Decimal:
        """Return what is uncovered at a second look; nothing when an exit, which takes the children back, came meanwhile."""
        missing = uncovered(position, self.broker.open_orders())
        settled = (position.strategy, position.symbol) not in self._busy() and position in self.book.positions(self.portfolio)
        return missing if settled else Decimal(0)

    def _may_renew(self, position: Position, missing: Decimal) -> bool:
        """Return True unless children sent anew for the same quantity are gone so soon that somebody takes them away."""
        at, quantity = self._renewed.get(position.entry_order_id, (-math.inf, None))
        if quantity != position.quantity or time.monotonic() - at > RENEW_SECONDS:
            return True
        self._alarm_once(position, missing, "new ones vanished again")
        return False

    def _alarm_once(self, position: Position, missing: Decimal, why: str) -> None:
        """Tell a person of a position without protection, once until it is protected again."""
        if not missing or position.entry_order_id in self._alarmed:
            return
        self._alarmed.add(position.entry_order_id)
        self.alarm(
            f"{missing} of {position.quantity} {position.symbol} are held at Alpaca without a stop: those of "
            f"{position.entry_order_id} are gone, and {why}. The watch sells at the stop, while it runs and has a price. "
            "Set them there, or close the position."
        )

    def _end_entry(self, position: Position, state: OrderState | None, working: Listing[OrderView]) -> None:
        """Give up the rest of an entry that has filled in part and works on: its children sleep until it has ended."""
        entry = position.entry_order_id
        if not uncovered(position, working) or state is OrderState.CANCEL_PENDING:
            return
        since = self._partial.setdefault(entry, time.monotonic())
        due = since + self.partial_seconds
        if time.monotonic() < due:
            self.due = min(self.due, due)
            return
        log.warning("entry_ended_in_part", entry=entry, symbol=position.symbol, held=str(position.quantity))
        cancel(self.book, self.broker, entry, "filled in part: no stop can rest while the remainder works", patience=ONE_TRY)
        self._soon()
