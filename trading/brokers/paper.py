"""The paper broker: fills the desk's orders on real bars by the backtest's fill rules. No network and no money.

Its orders rest in the desk's own book. `advance` processes one session, each in its order; again it changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

import structlog

from core.models import (
    FINAL,
    SENT,
    Answer,
    Fill,
    Instrument,
    Leg,
    OrderState,
    OrderType,
    OrderView,
    Origin,
    Refused,
    Side,
    VenuePosition,
)
from core.sessions import calendar_name, close_of, open_of
from trading.brokers.base import unfenced
from trading.brokers.intake import position_after
from trading.brokers.listing import Listing
from trading.costs import commission_usd, exit_price, slipped
from trading.fills import HELD, REASONS, RISK, exit_at_bar, exit_due, is_tradable
from trading.orders import exact, exit_order
from trading.portfolio import Account, account, sessions_held

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    import pandas as pd

    from core.models import OrderIntent, Position
    from trading.brokers.base import Fence
    from trading.brokers.book import Book
    from trading.costs import Costs

log = structlog.get_logger()
CENT = Decimal("0.01")  # what a size computed in floats may be off its limit


@dataclass(frozen=True)
class Bar:
    """Raw prices and volume of one symbol's session."""

    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True)
class PaperRules:
    """Rules of the simulated venue. The defaults are the backtest's: it fills whole and refuses nothing.

    Parameters
    ----------
    volume_share
        Part of a bar's volume that one order may take; the rest of an entry expires, the rest of an exit goes on at the next
        open. None fills whole. Orders in the same bar do not compete for it.
    price_of
        Last price of a symbol at the close of a session, None when there is none. With it an entry must be covered by buying
        power when it is sent; an exit never is refused for it.
    leverage
        Buying power is equity times this, less the exposure of positions and entries.
    instruments
        Grids and smallest orders that differ from the default, by symbol.
    """

    volume_share: float | None = None
    price_of: Callable[[str, dt.date], float | None] | None = None
    leverage: float = 1.0
    instruments: Mapping[str, Instrument] = field(default_factory=dict)


class PaperBroker:
    """Executes orders on the bars it is shown.

    Parameters
    ----------
    book
        The desk's record; the paper broker keeps no other.
    costs
        Commission and slippage of its fills.
    rules
        Partial fills, buying power and grids; by default those of the backtest.
    """

    name = "paper"
    holds_brackets = True

    def __init__(
        self,
        book: Book,
        costs: Costs,
        *,
        portfolio: str = "main",
        initial_cash_usd: float = 100_000.0,
        rules: PaperRules = PaperRules(),
    ) -> None:
        self.book = book
        self.costs = costs
        self.portfolio = portfolio
        self.initial_cash_usd = initial_cash_usd
        self.rules = rules

    # The port `trading.brokers.base.Broker`.

    def submit(self, order: OrderIntent, fence: Fence = unfenced) -> Answer:
        """Accept the order, which then rests in the book until `advance` reaches its session, or say what it lacks."""
        fence()
        objection = self.instrument(order.symbol).objection(order) or self._beyond_buying_power(order)
        if objection is None:
            return Answer(OrderState.ACCEPTED)
        return Answer(OrderState.REJECTED, *objection)

    def find(self, client_order_id: str) -> OrderView | None:
        """An order that was marked as submitted has arrived, for the book is the venue."""
        stored = self.book.order(client_order_id)
        if stored is None or stored[1] is OrderState.INTENT:
            return None
        return self._view(*stored)

    def cancel(self, client_order_id: str) -> Answer:
        """Done at once, unless the order is over."""
        stored = self.book.order(client_order_id)
        if stored is None or stored[1] is OrderState.INTENT:
            return Answer(OrderState.CANCELLED, Refused.UNKNOWN_ORDER)
        if stored[1] in FINAL:
            return Answer(stored[1], Refused.TOO_LATE)
        return Answer(OrderState.CANCELLED)

    def open_orders(self) -> Listing[OrderView]:
        """Orders that wait for a session, sorted by client order id."""
        waiting = [pair for pair in self.book.open_orders(self.portfolio) if pair[1] is not OrderState.INTENT]
        return Listing(sorted((self._view(*pair) for pair in waiting), key=lambda view: view.client_order_id))

    def positions(self) -> Listing[VenuePosition]:
        """Net position of each symbol, strategies taken together."""
        held: dict[str, list[Position]] = {}
        for position in self.book.positions(self.portfolio):
            held.setdefault(position.symbol, []).append(position)
        return Listing(_netted(symbol, parts) for symbol, parts in sorted(held.items()) if sum(part.quantity for part in parts))

    def fills(self, since: dt.datetime) -> Listing[Fill]:
        """Fills at or after an instant, oldest first."""
        return Listing(fill for _, fill in self.book.fills(self.portfolio) if fill.filled_at >= since)

    def cash_usd(self) -> Decimal:
        """Initial cash and what the fills brought."""
        return exact(self.initial_cash_usd) + self.book.cash_flow_usd(self.portfolio)

    def account(self, prices: Mapping[str, float]) -> Account:
        """Cash and positions marked to `prices`."""
        return account(self.cash_usd(), self.book.positions(self.portfolio), (), prices)

    def instrument(self, symbol: str) -> Instrument:
        """The symbol's grid: millionths of a share unless the rules say otherwise."""
        return self.rules.instruments.get(symbol) or Instrument(symbol)

    # The venue's life.

    def advance(self, session: dt.date, bars: pd.DataFrame) -> list[Fill]:
        """Live through one session: entries and exits ordered for its open, then stops and targets, then exits at its close.

        Call it once the session's bars are known, and once more after placing orders for its close (`exit="close"`).

        Parameters
        ----------
        bars
            BARS; rows of other sessions and rows with a price that is not positive are passed over.

        Returns
        -------
        list of Fill
            Those this call added.
        """
        by_symbol = _bars_of(session, bars)
        fills = [self._open(order, state, session, by_symbol) for order, state in self._due(session, Leg.ENTRY)]
        fills += [self._close(order, state, session, by_symbol) for order, state in self._due(session, Leg.EXIT)]
        leaving = self._leaving()
        held = [part for part in self.book.positions(self.portfolio) if (part.strategy, part.symbol) not in leaving]
        fills += [self._protect(position, session, by_symbol) for position in held]
        return [fill for fill in fills if fill is not None]

    def _due(self, session: dt.date, leg: Leg) -> list[tuple[OrderIntent, OrderState]]:
        orders = self.book.open_orders(self.portfolio)
        return [(order, state) for order, state in orders if order.leg is leg and order.session <= session]

    def _open(self, order: OrderIntent, state: OrderState, session: dt.date, bars: Mapping[str, Bar]) -> Fill | None:
        """Fill an entry in its session; what cannot be filled then expires."""
        bar = bars.get(order.symbol)
        lapsed = _why_not(order, state, session, bar)
        if lapsed is not None or bar is None:
            self._lapse(order, state, lapsed or "no bar")
            return None
        raw, at_open = _reached(order, bar)
        side = 1 if order.side is Side.BUY else -1
        price = raw if order.order_type is OrderType.LIMIT else slipped(raw, side, self.costs.slippage_bps)
        quantity = Decimal(0) if math.isnan(raw) else self._executable(order, order.quantity, bar)
        fill = self._execute(order, session, quantity, raw, price, "entry", at_open=at_open)
        if quantity < order.quantity:
            self._lapse(order, state, f"{quantity} of {order.quantity} filled in its session")
        return fill

    def _close(self, order: OrderIntent, state: OrderState, session: dt.date, bars: Mapping[str, Bar]) -> Fill | None:
        """Fill an exit that was decided: at the open, or at the close it was decided at. Without a bar it goes on waiting."""
        held = {(position.strategy, position.symbol): position for position in self.book.positions(self.portfolio)}
        position = held.get((order.strategy, order.symbol))
        if position is None or state is OrderState.CANCEL_PENDING:
            self._lapse(order, state, "nothing to close" if position is None else "cancelled", OrderState.CANCELLED)
            return None
        bar = bars.get(order.symbol)
        if state is OrderState.INTENT or bar is None:
            return None
        raw, at_open = _reached(order, bar)
        if order.decision_session == order.session == session:
            raw, at_open = bar.close, False
        if math.isnan(raw):
            return None
        return self._leave(position, order, session, raw, self._exit_reason(order, state, position), bar, at_open=at_open)

    def _exit_reason(self, order: OrderIntent, state: OrderState, position: Position) -> int:
        """Return the reason of an exit; the rest of one that was filled in part has the reason of the first part."""
        if state is OrderState.PARTIALLY_FILLED:
            earlier = next(
                fill for own, fill in self.book.fills(self.portfolio) if own.client_order_id == order.client_order_id
            )
            return REASONS.index(earlier.reason)
        if order.origin is Origin.RISK:
            return RISK
        return exit_due(
            True, sessions_held(order.symbol, position.entry_session, order.decision_session), position.max_sessions or 0
        )

    def _protect(self, position: Position, session: dt.date, bars: Mapping[str, Bar]) -> Fill | None:
        """Try a position's stop and target on the session's bar."""
        bar = bars.get(position.symbol)
        if bar is None or position.entry_session > session:
            return None
        side = 1 if position.quantity > 0 else -1
        stop, target = _or_nan(position.stop_price), _or_nan(position.target_price)
        reason, raw = exit_at_bar(side, position.entry_session == session, bar.open, bar.high, bar.low, stop, target)
        if reason == HELD:
            return None
        order = exit_order(position, decision_session=session, session=session, origin=Origin.VENUE)
        stored = self.book.order(order.client_order_id)
        if stored is not None and stored[1] is OrderState.INTENT:  # a run died before it sent an exit for this session
            self.book.transition(order.client_order_id, OrderState.SUBMITTED, "its stop or target came first")
        return self._leave(position, order, session, raw, reason, bar, at_open=False)

    def _leave(  # noqa: PLR0917  # private, two calls
        self, position: Position, order: OrderIntent, session: dt.date, raw: float, reason: int, bar: Bar, *, at_open: bool
    ) -> Fill | None:
        side = 1 if position.quantity > 0 else -1
        resting = order.order_type is OrderType.LIMIT
        price = raw if resting else exit_price(raw, reason, side, self.costs.slippage_bps)
        wanted = min(order.quantity - self.book.filled(order.client_order_id), abs(position.quantity))
        quantity = self._executable(order, wanted, bar)
        return self._execute(order, session, quantity, raw, price, REASONS[reason], at_open=at_open)

    def _execute(  # noqa: PLR0917  # private, two calls
        self, order: OrderIntent, session: dt.date, quantity: Decimal, raw: float, price: float, reason: str, *, at_open: bool
    ) -> Fill | None:
        """Book a fill; None when there is nothing to fill or it is stored already. One a session for an order."""
        if quantity <= 0:
            return None
        calendar = calendar_name(order.symbol)
        part = "" if quantity == order.quantity else f"-{session:%Y%m%d}"
        fill = Fill(
            fill_id=f"{self.name}-{order.client_order_id}{part}",
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=exact(price),
            raw_price=exact(raw),
            commission_usd=exact(commission_usd(float(quantity), price, self.costs.commission_bps)),
            session=session,
            filled_at=open_of(session, calendar) if at_open else close_of(session, calendar),
            reason=reason,
        )
        if not self.book.record_fill(fill, order, lambda before: position_after(before, order, fill)):
            return None
        log.info("fill", symbol=fill.symbol, side=fill.side, price=str(fill.price), session=str(session), reason=reason)
        return fill

    def _executable(self, order: OrderIntent, wanted: Decimal, bar: Bar) -> Decimal:
        """Of the quantity wanted, what the bar's volume gives."""
        if self.rules.volume_share is None:
            return wanted
        share = 0.0 if math.isnan(bar.volume) else bar.volume * self.rules.volume_share
        return min(wanted, self.instrument(order.symbol).rounded(exact(share)))

    def _leaving(self) -> set[tuple[str, str]]:
        """Positions whose exit is filled in part: they need no stop, the rest goes at the next open."""
        if self.rules.volume_share is None:
            return set()
        orders = self.book.open_orders(self.portfolio)
        return {
            (order.strategy, order.symbol)
            for order, state in orders
            if order.leg is Leg.EXIT and state is OrderState.PARTIALLY_FILLED
        }

    def _beyond_buying_power(self, order: OrderIntent) -> tuple[Refused, str] | None:
        """Return why an entry is not covered by buying power, or None."""
        if self.rules.price_of is None or order.leg is Leg.EXIT:
            return None
        waiting = [waits for waits, state in self.book.open_orders(self.portfolio) if state is not OrderState.INTENT]
        others = [each for each in waiting if each.client_order_id != order.client_order_id]
        held = self.book.positions(self.portfolio)
        names = {order.symbol, *(position.symbol for position in held), *(other.symbol for other in others)}
        prices = {name: self.rules.price_of(name, order.decision_session) for name in names}
        unpriced = sorted(name for name, price in prices.items() if price is None or not price > 0)
        if unpriced:
            return Refused.UNKNOWN_SYMBOL, f"No price for {unpriced[0]}. Load its bars first."
        priced = {name: price for name, price in prices.items() if price is not None}
        value = account(self.cash_usd(), held, others, priced)
        free = exact(value.equity_usd * self.rules.leverage - value.exposure_usd)
        needed = order.quantity * exact(priced[order.symbol])
        if needed <= max(free, Decimal(0)) + CENT:
            return None
        return Refused.BUYING_POWER, f"Buying power: expected at least ${needed:.2f}, found ${free:.2f}."

    def _view(self, order: OrderIntent, state: OrderState) -> OrderView:
        filled = self.book.filled(order.client_order_id)
        average = None
        if filled:
            parts = [fill for own, fill in self.book.fills(self.portfolio) if own.client_order_id == order.client_order_id]
            average = sum((part.quantity * part.price for part in parts), Decimal(0)) / filled
        answer = self.submit(order) if state in SENT else Answer(state)
        return OrderView(
            order.client_order_id, order.symbol, order.side, order.quantity, answer.state, filled, average, reason=answer.reason
        )

    def _lapse(self, order: OrderIntent, state: OrderState, reason: str, end: OrderState = OrderState.EXPIRED) -> None:
        self.book.transition(order.client_order_id, OrderState.CANCELLED if state is OrderState.CANCEL_PENDING else end, reason)
        log.info("order_lapsed", client_order_id=order.client_order_id, symbol=order.symbol, reason=reason)


def _why_not(order: OrderIntent, state: OrderState, session: dt.date, bar: Bar | None) -> str | None:
    """Return why an entry cannot be tried in this session, or None."""
    if state is OrderState.INTENT:
        return "never sent"
    if state is OrderState.CANCEL_PENDING:
        return "cancelled"
    if state is OrderState.PARTIALLY_FILLED:
        return "the rest was not filled in its session"
    return "no bar in its session" if bar is None or order.session < session else None


def _reached(order: OrderIntent, bar: Bar) -> tuple[float, bool]:
    """The raw price at which a bar fills the order, NaN when it does not reach it, and whether that is its open.

    A limit fills at the open or at its price, whichever is better for us; a stop at the one that is worse.
    """
    if order.order_type is OrderType.MARKET:
        return bar.open, True
    side = 1 if order.side is Side.BUY else -1
    limit = order.order_type is OrderType.LIMIT
    level = _or_nan(order.limit_price if limit else order.stop_price)
    toward = -side if limit else side  # a buy limit waits below, a buy stop above
    furthest = bar.high if toward > 0 else bar.low
    if toward * bar.open >= toward * level:
        return bar.open, True
    return (level, False) if toward * furthest >= toward * level else (math.nan, False)


def _netted(symbol: str, parts: list[Position]) -> VenuePosition:
    quantity = sum((part.quantity for part in parts), Decimal(0))
    cost = sum((part.quantity * part.entry_price for part in parts), Decimal(0))
    return VenuePosition(symbol, quantity, cost / quantity if len(parts) > 1 else parts[0].entry_price)


def _bars_of(session: dt.date, bars: pd.DataFrame) -> dict[str, Bar]:
    """Tradable bars of the session by symbol."""
    rows = bars[bars["session"].dt.date == session]
    return {
        row.symbol: Bar(row.open, row.high, row.low, row.close, row.volume)
        for row in rows.itertuples()
        if is_tradable(row.open, row.high, row.low, row.close)
    }


def _or_nan(value: Decimal | float | None) -> float:
    return math.nan if value is None else float(value)
