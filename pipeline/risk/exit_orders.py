"""Exits that no strategy decided: sales for risk, and at stops that the desk watches. It makes the orders and sends none.

An arm in the id tells them from the strategy's own exit, which may have been cancelled for the same session, and numbers the
attempts of a session: an exit that is working is never doubled, one that failed is followed by another.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self

import structlog

from core.models import FINAL, SENT, Leg, OrderState, Origin, client_order_id
from core.sessions import calendar_name, last_closed_session, next_session, present_session
from pipeline.accounts.corporate_actions import collect_fills
from pipeline.sessions import new_york_date
from trading.brokers.children import entry_of
from trading.brokers.placing import cancel
from trading.orders import exit_order

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from core.models import OrderIntent, Position
    from pipeline.accounts.trading_account import TradingAccount
    from pipeline.resources import Resources
    from storage.trading.ledger import Ledger

log = structlog.get_logger()
FLATTEN, WATCH = "flatten", "watch"  # the arms
ORIGINS = {FLATTEN: Origin.RISK, WATCH: Origin.WATCH}
ATTEMPTS = 99


class OrderSessions(NamedTuple):
    """The session at which an order is decided, and the one at which it trades; the same during a session."""

    decided: dt.date
    traded: dt.date


@dataclass(frozen=True)
class ExitOrders:
    """Makes the exits of an account's positions.

    Attributes
    ----------
    historical
        True where the bars are a finished history: its newest session is then the present.
    """

    account: TradingAccount
    clock: Callable[[], dt.datetime]
    historical: bool

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build from the desk's account and clock."""
        return cls(resources.account, resources.clock, resources.historical)

    def today(self) -> dt.date:
        """Return the date in New York; in a finished history the day of its newest bar."""
        if not self.historical:
            return new_york_date(self.clock())
        return max(self.account.bars.last_sessions().values(), default=dt.date.min)

    def exit_for(self, position: Position, arm: str, day: dt.date | None = None) -> OrderIntent | None:
        """Return the exit of a position under an arm: the working one, else a new one; None when the venue holds nothing.

        Parameters
        ----------
        day
            The session at whose close the exit is decided; None: the present moment.
        """
        decided, session = self.sessions_for(position.symbol, day)
        quantity = self._quantity_at_venue(position)
        if quantity <= 0:
            log.error("position_not_at_venue", symbol=position.symbol, quantity=str(position.quantity), remedy="desk reconcile")
            return None
        order = exit_order(position, decision_session=decided, session=session, origin=ORIGINS[arm])
        order = replace(order, quantity=quantity)
        for attempt in range(1, ATTEMPTS + 1):
            name = f"{arm}-{attempt}"
            number = client_order_id(order.portfolio, order.strategy, order.symbol, order.session, order.leg, arm=name)
            recorded = self.account.ledger.order(number)
            if recorded is None:
                return replace(order, client_order_id=number, arm=name)
            if recorded[1] not in FINAL:
                return recorded[0]
        log.error("exit_never_filled", symbol=position.symbol, attempts=ATTEMPTS)
        return None

    def sessions_for(self, symbol: str, day: dt.date | None = None) -> OrderSessions:
        """Return the sessions of an order decided at the close of `day`, or now when None."""
        calendar = calendar_name(symbol)
        if day is None and self.historical:
            day = max(self.account.bars.last_sessions().values())
        if day is not None:
            return OrderSessions(day, next_session(day, calendar))
        now = self.clock()
        coming = next_session(last_closed_session(now, calendar), calendar)
        return OrderSessions(present_session(now, calendar), coming)

    def _quantity_at_venue(self, position: Position) -> Decimal:
        """Return the quantity to sell: at most the venue's in that direction, or the exit would open the other side.

        The ledger's when the venue shows a position of the symbol that cannot be read: an exit does not wait for that.
        """
        side = 1 if position.quantity > 0 else -1
        nothing = position.quantity * 0
        ledger, broker = self.account.ledger, self.account.broker
        book = [each.quantity for each in ledger.positions(position.portfolio) if each.symbol == position.symbol]
        held = broker.positions()
        if any(each.symbol == position.symbol for each in held.unreadable):
            log.error("position_unreadable", symbol=position.symbol, quantity=str(position.quantity), remedy="desk reconcile")
            return abs(position.quantity)
        venue = {each.symbol: each.quantity for each in held}.get(position.symbol, nothing)
        if venue == sum(book, nothing):  # strategies on both sides of a symbol are netted at the venue
            return abs(position.quantity)
        return min(abs(position.quantity), side * venue)


def end_entry(account: TradingAccount, position: Position, since: dt.datetime, day: dt.date) -> Position | None:
    """Cancel what has not filled of a position's entry, which would buy again what is sold; return the position after it.

    None while the venue has not ended the entry, or nothing is held any more.

    Parameters
    ----------
    since, day
        Start of the fill query and the present session: the entry may have bought more meanwhile.
    """
    ledger, entry = account.ledger, position.entry_order_id
    stored = ledger.order(entry)
    if stored is None or stored[1] in FINAL:
        return position
    cancel(ledger, account.broker, entry, "its position is sold", patience=account.patience)
    collect_fills(account, since, day)
    stored = ledger.order(entry)
    if stored is None or stored[1] not in FINAL:
        return None
    return next((each for each in ledger.positions(account.portfolio) if each.entry_order_id == entry), None)


def working_exits(ledger: Ledger, portfolio: str) -> dict[tuple[str, str], tuple[OrderIntent, OrderState]]:
    """Return the open exit of each strategy and symbol with its state; of several the one that has come farthest.

    A stop that has filled in part is none: what is left of it protects as a stop does.
    """
    orders = [
        pair for pair in ledger.open_orders(portfolio) if pair[0].leg is Leg.EXIT and entry_of(pair[0].client_order_id) is None
    ]
    progress = {OrderState.INTENT: 0} | dict.fromkeys(SENT, 1)
    ordered = sorted(orders, key=lambda pair: progress.get(pair[1], 2))
    return {(order.strategy, order.symbol): (order, state) for order, state in ordered}
