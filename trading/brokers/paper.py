"""The paper broker: fills the desk's orders on real bars by the backtest's fill rules. No network and no money.

Its orders rest in the desk's own book. `advance` lets it live through one session and must be called for every session in
order; calling it again for the same session changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from core.models import Fill, Leg, OrderState, Position, Side
from core.sessions import calendar_name, close_of, open_of
from trading.costs import commission_usd, exit_price, slipped
from trading.fills import HELD, REASONS, brackets, exit_at_bar, exit_due, is_tradable
from trading.orders import exact, exit_order
from trading.portfolio import Account, account, sessions_held

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from decimal import Decimal

    import pandas as pd

    from core.models import OrderIntent
    from trading.brokers.book import Book
    from trading.costs import Costs

log = structlog.get_logger()


@dataclass(frozen=True)
class Bar:
    """Raw prices of one symbol's session."""

    open: float
    high: float
    low: float
    close: float


class PaperBroker:
    """Executes orders on the bars it is shown.

    Parameters
    ----------
    book
        The desk's record; the paper broker keeps no other.
    costs
        Commission and slippage of its fills.
    """

    def __init__(self, book: Book, costs: Costs, *, portfolio: str = "main", initial_cash_usd: float = 100_000.0) -> None:
        self.book = book
        self.costs = costs
        self.portfolio = portfolio
        self.initial_cash_usd = initial_cash_usd

    def submit(self, order: OrderIntent) -> OrderState:
        """Accept any order for a positive quantity; it rests in the book until `advance` reaches its session."""
        return OrderState.ACCEPTED if order.quantity > 0 else OrderState.REJECTED

    def find(self, client_order_id: str) -> OrderState | None:
        """An order that was marked as submitted has arrived, for the book is the venue."""
        known = self.book.order(client_order_id)
        if known is None or known[1] is OrderState.INTENT:
            return None
        return OrderState.ACCEPTED if known[1] in {OrderState.SUBMITTED, OrderState.UNKNOWN} else known[1]

    def open_orders(self) -> list[str]:
        """Client order ids that wait for a session, sorted."""
        return sorted(
            order.client_order_id for order, state in self.book.open_orders(self.portfolio) if state is not OrderState.INTENT
        )

    def positions(self) -> list[Position]:
        """Open positions of the portfolio."""
        return self.book.positions(self.portfolio)

    def cash_usd(self) -> Decimal:
        """Initial cash and what the fills brought."""
        return exact(self.initial_cash_usd) + self.book.cash_flow_usd(self.portfolio)

    def account(self, prices: Mapping[str, float]) -> Account:
        """Cash and positions marked to `prices`."""
        return account(self.cash_usd(), self.positions(), (), prices)

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
        known = _bars_of(session, bars)
        fills = [self._open(order, state, session, known) for order, state in self._due(session, Leg.ENTRY)]
        fills += [self._close(order, state, session, known) for order, state in self._due(session, Leg.EXIT)]
        fills += [self._protect(position, session, known) for position in self.positions()]
        return [fill for fill in fills if fill is not None]

    def _due(self, session: dt.date, leg: Leg) -> list[tuple[OrderIntent, OrderState]]:
        orders = self.book.open_orders(self.portfolio)
        return [(order, state) for order, state in orders if order.leg is leg and order.session <= session]

    def _open(self, order: OrderIntent, state: OrderState, session: dt.date, bars: Mapping[str, Bar]) -> Fill | None:
        """Fill an entry at the open of its session, or let it lapse: it was never sent, or its session had no bar."""
        if state is OrderState.INTENT or order.session < session or order.symbol not in bars:
            self._lapse(order, state, "never sent" if state is OrderState.INTENT else "no bar in its session")
            return None
        raw = bars[order.symbol].open
        side = 1 if order.side is Side.BUY else -1
        stop, target = brackets(side, raw, _or_nan(order.stop_pct), _or_nan(order.target_pct))
        fill = self._fill(order, session, raw, slipped(raw, side, self.costs.slippage_bps), "entry", at_open=True)
        position = Position(
            portfolio=order.portfolio,
            strategy=order.strategy,
            symbol=order.symbol,
            quantity=side * order.quantity,
            entry_session=session,
            entry_price=fill.price,
            stop_price=None if math.isnan(stop) else exact(stop),
            target_price=None if math.isnan(target) else exact(target),
            max_sessions=order.max_sessions,
            entry_order_id=order.client_order_id,
        )
        return self._record(fill, order, position)

    def _close(self, order: OrderIntent, state: OrderState, session: dt.date, bars: Mapping[str, Bar]) -> Fill | None:
        """Fill an exit that was decided: at the open, or at the close it was decided at. Without a bar it goes on waiting."""
        held = {(position.strategy, position.symbol): position for position in self.positions()}
        position = held.get((order.strategy, order.symbol))
        if position is None:
            self._lapse(order, state, "nothing to close")
            return None
        if state is OrderState.INTENT or order.symbol not in bars:
            return None
        at_open = not order.decision_session == order.session == session
        sessions = sessions_held(order.symbol, position.entry_session, order.decision_session)
        reason = exit_due(True, sessions, position.max_sessions or 0)
        bar = bars[order.symbol]
        return self._leave(position, order, session, bar.open if at_open else bar.close, reason, at_open=at_open)

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
        order = exit_order(position, decision_session=session, session=session)
        return self._leave(position, order, session, raw, reason, at_open=False)

    def _leave(
        self, position: Position, order: OrderIntent, session: dt.date, raw: float, reason: int, *, at_open: bool
    ) -> Fill | None:
        side = 1 if position.quantity > 0 else -1
        price = exit_price(raw, reason, side, self.costs.slippage_bps)
        fill = self._fill(order, session, raw, price, REASONS[reason], at_open=at_open)
        return self._record(fill, order, None)

    def _fill(self, order: OrderIntent, session: dt.date, raw: float, price: float, reason: str, *, at_open: bool) -> Fill:
        calendar = calendar_name(order.symbol)
        return Fill(
            fill_id=f"paper-{order.client_order_id}",
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            price=exact(price),
            raw_price=exact(raw),
            commission_usd=exact(commission_usd(float(order.quantity), price, self.costs.commission_bps)),
            session=session,
            filled_at=open_of(session, calendar) if at_open else close_of(session, calendar),
            reason=reason,
        )

    def _record(self, fill: Fill, order: OrderIntent, position: Position | None) -> Fill | None:
        if not self.book.record_fill(fill, order, position):
            return None
        log.info(
            "fill", symbol=fill.symbol, side=fill.side, price=str(fill.price), session=str(fill.session), reason=fill.reason
        )
        return fill

    def _lapse(self, order: OrderIntent, state: OrderState, reason: str) -> None:
        if state in {OrderState.SUBMITTED, OrderState.UNKNOWN}:
            self.book.transition(order.client_order_id, OrderState.ACCEPTED, "found at the broker")
        self.book.transition(order.client_order_id, OrderState.CANCELLED, reason)
        log.info("order_lapsed", client_order_id=order.client_order_id, symbol=order.symbol, reason=reason)


def _bars_of(session: dt.date, bars: pd.DataFrame) -> dict[str, Bar]:
    """Tradable bars of the session by symbol."""
    rows = bars[bars["session"].dt.date == session]
    return {
        row.symbol: Bar(row.open, row.high, row.low, row.close)
        for row in rows.itertuples()
        if is_tradable(row.open, row.high, row.low, row.close)
    }


def _or_nan(value: Decimal | float | None) -> float:
    return math.nan if value is None else float(value)
