"""Interactive Brokers as a venue, through TWS or IB Gateway. Owns brackets as parent and children, and the reading of refusals.

US shares; market, limit and stop orders. The client order id travels as `orderRef`, which TWS keeps but does not hold unique:
the broker looks before it sends. Children of an entry carry `<entry>.stop` and `<entry>.target`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import re
import time
import zoneinfo
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from ib_async import ExecutionFilter, LimitOrder, MarketOrder, Stock, StopOrder

from core.errors import RetryLater, UnknownSymbol
from core.models import FINAL, Answer, Fill, Instrument, Leg, OrderState, OrderType, OrderView, Refused, Side, VenuePosition
from core.sessions import calendar_name, normalise_symbol
from trading.brokers.children import entry_of
from trading.fills import brackets
from trading.orders import exact, figure
from trading.portfolio import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ib_async import IB, Order, Trade
    from ib_async import Fill as Execution

    from core.models import OrderIntent
    from trading.brokers.ib_wire import IBWire

NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
CENT = Decimal("0.01")
POLL_SECONDS = 0.02
UNPROVEN = frozenset({"PendingSubmit", "ApiPending", ""})  # ib_async writes them down before TWS has reported anything
STATES = {
    "Filled": OrderState.FILLED,
    "Cancelled": OrderState.CANCELLED,
    "ApiCancelled": OrderState.CANCELLED,
    "Inactive": OrderState.REJECTED,
    "PendingCancel": OrderState.CANCEL_PENDING,
}
REFUSALS = frozenset({103, 104, 110, 200, 201, 203, 321, 387, 404, 434})
_REASONS = (
    (r"margin|equity with loan|available funds|buying power", Refused.BUYING_POWER),
    (r"day trad|pattern", Refused.DAY_TRADES),
    (r"halt", Refused.HALTED),
    (r"no security definition|not found", Refused.UNKNOWN_SYMBOL),
    (r"short", Refused.NOT_SHORTABLE),
    (r"price", Refused.PRICE),
    (r"\bsize|quantity|qty", Refused.QUANTITY),
    (r"market is closed|trading hours", Refused.MARKET_CLOSED),
    (r"account|permission", Refused.ACCOUNT),
)


class IBBroker:
    """One account at Interactive Brokers; see `trading.brokers.base.Broker`.

    Parameters
    ----------
    wire
        The connection, which decides by its port between paper and real money.
    price_of
        Last price of a symbol: what stop and target of a market entry are reckoned from when it is sent.
    """

    name = "ib"
    holds_brackets = True

    def __init__(self, wire: IBWire, price_of: Callable[[str], float | None] = lambda _symbol: None) -> None:
        self.wire = wire
        self.price_of = price_of

    def submit(self, order: OrderIntent) -> Answer:
        """Look for the order, then send it once; an exit first takes back the stop and target that rest for its shares."""
        objection = self._objection(order)
        if objection is not None:
            return Answer(OrderState.REJECTED, *objection)
        return self.wire.call(lambda ib: self._submit(ib, order))

    def find(self, client_order_id: str) -> OrderView | None:
        """The order among those that work, are over, or were executed today."""
        return self.wire.call(lambda ib: self._find(ib, client_order_id))

    def cancel(self, client_order_id: str) -> Answer:
        """Ask for the cancellation of an order that this client id sent."""
        return self.wire.call(lambda ib: self._cancel(ib, client_order_id))

    def open_orders(self) -> list[OrderView]:
        """Orders that work at TWS, children included, sorted by the desk's ids."""

        async def work(ib: IB) -> list[OrderView]:
            await self._refresh(ib)
            return [_view(ib, trade) for trade in ib.trades() if _is_proven(trade) and not trade.isDone()]

        return sorted(self.wire.call(work), key=lambda view: view.client_order_id)

    def positions(self) -> list[VenuePosition]:
        """Return the positions of the account, sorted by symbol."""

        async def work(ib: IB) -> list[VenuePosition]:
            found = await self.wire.within(ib.reqPositionsAsync())
            return [
                VenuePosition(normalise_symbol(held.contract.symbol), exact(held.position), exact(held.avgCost))
                for held in found
                if held.position
            ]

        return sorted(self.wire.call(work), key=lambda position: position.symbol)

    def fills(self, since: dt.datetime) -> list[Fill]:
        """Executions at or after an instant; TWS tells those since midnight, to the second."""

        async def work(ib: IB) -> list[Fill]:
            await self.wire.within(ib.reqExecutionsAsync(ExecutionFilter()))
            return [_fill(execution) for execution in ib.fills()]

        found = sorted(self.wire.call(work), key=lambda fill: fill.filled_at)
        return [fill for fill in _in_order(found) if fill.filled_at >= since]

    def cash_usd(self) -> Decimal:
        """Cash of the account; NaN where TWS wrote no number."""
        return exact(self.account({}).cash_usd)

    def account(self, prices: Mapping[str, float]) -> Account:
        """Cash, equity and exposure as Interactive Brokers marks them; NaN where it wrote no number."""
        del prices

        async def work(ib: IB) -> dict[str, float]:
            (name, *_) = ib.managedAccounts()
            await self.wire.within(ib.reqAccountUpdatesAsync(name))
            return {
                row.tag: float(figure(row.value)) for row in ib.accountValues(name) if row.tag in tags and row.currency == "USD"
            }

        tags = ("TotalCashValue", "NetLiquidation", "GrossPositionValue")
        found = self.wire.call(work)
        if set(tags) - set(found):
            raise RetryLater(f"TWS has not reported {sorted(set(tags) - set(found))} of the account yet.")
        return Account(*(found[tag] for tag in tags))

    def instrument(self, symbol: str) -> Instrument:
        """Whole shares, and the least price variation that TWS tells."""
        details = self.wire.call(lambda ib: self.wire.within(ib.reqContractDetailsAsync(_contract(symbol))))
        if not details:
            raise UnknownSymbol(symbol)
        return Instrument(symbol, Decimal(1), Decimal(1), Decimal(0), exact(details[0].minTick))

    def _objection(self, order: OrderIntent) -> tuple[Refused, str] | None:
        """Return why Interactive Brokers cannot take the order, as reason and words, or None."""
        if calendar_name(order.symbol) == "24/7":
            return Refused.OTHER, "Crypto pairs are not sent to Interactive Brokers."
        if order.quantity <= 0 or order.quantity % 1:
            return Refused.QUANTITY, f"Quantity: expected whole shares, found {order.quantity}."
        price = {OrderType.LIMIT: order.limit_price, OrderType.STOP: order.stop_price}.get(order.order_type, Decimal(1))
        if price is None or price <= 0 or price % CENT:
            return Refused.PRICE, f"Price: expected a positive multiple of {CENT}, found {price}."
        if _has_children(order) and order.limit_price is None and not self.price_of(order.symbol):
            return Refused.PRICE, f"No price of {order.symbol} is known to reckon its stop and target from."
        return None

    async def _submit(self, ib: IB, order: OrderIntent) -> Answer:
        sent = await self._find(ib, order.client_order_id)
        if sent is not None:
            return Answer(sent.state, None, "sent before", sent.venue_order_id)
        details = await self.wire.within(ib.reqContractDetailsAsync(_contract(order.symbol)))
        if not details or details[0].contract is None:
            return Answer(OrderState.REJECTED, Refused.UNKNOWN_SYMBOL, f"TWS knows no {order.symbol}.")
        if order.leg is Leg.EXIT:
            await self._release(ib, order)
        trades = [ib.placeOrder(details[0].contract, part) for part in self._orders(ib, order)]
        await self._proven(ib, trades[0])
        return _answer(trades[0])

    def _orders(self, ib: IB, order: OrderIntent) -> list[Order]:
        """The order and its children; TWS holds them until the last one is there."""
        action = order.side.value.upper()
        quantity = float(order.quantity)
        terms = {"orderRef": order.client_order_id, "tif": _tif(order), "orderId": ib.client.getReqId()}
        entry: Order
        if order.order_type is OrderType.LIMIT:
            entry = LimitOrder(action, quantity, float(order.limit_price or 0), **terms)
        elif order.order_type is OrderType.STOP:
            entry = StopOrder(action, quantity, float(order.stop_price or 0), **terms)
        else:
            entry = MarketOrder(action, quantity, **terms)
        children = self._children(ib, order, entry.orderId) if _has_children(order) else []
        parts = [entry, *children]
        for part in parts:
            part.transmit = part is parts[-1]
        return parts

    def _children(self, ib: IB, order: OrderIntent, parent: int) -> list[Order]:
        side, away = (1, "SELL") if order.side is Side.BUY else (-1, "BUY")
        reference = float(order.limit_price) if order.limit_price is not None else self.price_of(order.symbol)
        percentages = (math.nan if pct is None else pct for pct in (order.stop_pct, order.target_pct))
        stop, target = brackets(side, reference or math.nan, *percentages)
        terms = {"tif": "GTC", "parentId": parent}
        quantity, ref = float(order.quantity), order.client_order_id
        children: list[Order] = []
        if not math.isnan(stop):
            children.append(
                StopOrder(away, quantity, _tick(stop), orderRef=f"{ref}.stop", orderId=ib.client.getReqId(), **terms)
            )
        if not math.isnan(target):
            name = f"{ref}.target"
            children.append(LimitOrder(away, quantity, _tick(target), orderRef=name, orderId=ib.client.getReqId(), **terms))
        return children

    async def _proven(self, ib: IB, trade: Trade) -> None:
        """Wait until TWS has reported on the order."""
        until = time.monotonic() + self.wire.timeout_seconds
        while trade.orderStatus.status in UNPROVEN:
            if time.monotonic() > until or not ib.isConnected():
                raise TimeoutError
            await asyncio.sleep(POLL_SECONDS)

    async def _refresh(self, ib: IB) -> None:
        """Ask for every order and execution, so that `ib.trades()` and `ib.fills()` hold what TWS holds."""
        await self.wire.within(ib.reqAllOpenOrdersAsync())
        await self.wire.within(ib.reqCompletedOrdersAsync(apiOnly=False))
        await self.wire.within(ib.reqExecutionsAsync(ExecutionFilter()))

    async def _trade(self, ib: IB, client_order_id: str) -> Trade | None:
        await self._refresh(ib)
        found = [trade for trade in ib.trades() if trade.order.orderRef == client_order_id and _is_proven(trade)]
        return found[-1] if found else None

    async def _find(self, ib: IB, client_order_id: str) -> OrderView | None:
        trade = await self._trade(ib, client_order_id)
        return None if trade is None else _view(ib, trade)

    async def _cancel(self, ib: IB, client_order_id: str) -> Answer:
        trade = await self._trade(ib, client_order_id)
        if trade is None:
            return Answer(OrderState.UNKNOWN, Refused.UNKNOWN_ORDER, "TWS has no such order")
        if trade.isDone():
            return Answer(_view(ib, trade).state, Refused.TOO_LATE, f"the order is {trade.orderStatus.status}")
        ib.cancelOrder(trade.order)
        until = time.monotonic() + self.wire.timeout_seconds
        while not trade.isDone() and time.monotonic() < until:
            await asyncio.sleep(POLL_SECONDS)
        state = _view(ib, trade).state
        return Answer(state if state in FINAL else OrderState.CANCEL_PENDING)

    async def _release(self, ib: IB, order: OrderIntent) -> None:
        """Take back the children that would sell the shares of an exit a second time, and wait until they are gone."""
        resting = [
            trade
            for trade in ib.trades()
            if not trade.isDone()
            and entry_of(trade.order.orderRef) is not None
            and normalise_symbol(trade.contract.symbol) == order.symbol
            and trade.order.action == order.side.value.upper()
        ]
        same = [trade for trade in resting if exact(trade.order.totalQuantity) == order.quantity]
        for trade in same[:2] or resting:
            if not trade.isDone():  # its sibling's cancellation may have taken it along
                ib.cancelOrder(trade.order)
        until = time.monotonic() + self.wire.timeout_seconds
        while not all(trade.isDone() for trade in same[:2] or resting):
            if time.monotonic() > until:
                raise TimeoutError
            await asyncio.sleep(POLL_SECONDS)


def _contract(symbol: str) -> Stock:
    """A US share; classes of shares are written with a space."""
    return Stock(symbol.replace("-", " "), "SMART", "USD")


def _has_children(order: OrderIntent) -> bool:
    return order.leg is Leg.ENTRY and (order.stop_pct is not None or order.target_pct is not None)


def _tif(order: OrderIntent) -> str:
    """An entry is good for its day, with its children good till cancelled beside it; an exit until filled."""
    return "DAY" if order.leg is Leg.ENTRY else "GTC"


def _tick(price: float) -> float:
    return float(Decimal(repr(price)).quantize(CENT))


def _is_proven(trade: Trade) -> bool:
    """Return True once TWS has reported on the order; ib_async keeps what it sent, arrived or not."""
    return trade.orderStatus.status not in UNPROVEN


def _refusal(trade: Trade) -> tuple[Refused, str] | None:
    """Return why TWS rejected the order, or None when it did not."""
    refusals = [entry for entry in trade.log if entry.errorCode in REFUSALS]
    if not refusals:
        return None
    words = re.sub(r"^(Error|Warning) \d+, reqId -?\d+: (Order rejected - reason:)?", "", refusals[-1].message)
    name = next((name for pattern, name in _REASONS if re.search(pattern, words, re.IGNORECASE)), Refused.OTHER)
    return name, words


def _answer(trade: Trade) -> Answer:
    refusal = _refusal(trade)
    status = trade.orderStatus.status
    if refusal is not None and trade.isDone() and status != "Filled":
        return Answer(OrderState.REJECTED, *refusal)
    if status == "Inactive":
        return Answer(OrderState.REJECTED, Refused.OTHER, "TWS holds the order inactive")
    return Answer(_state(status, exact(trade.orderStatus.filled), exact(trade.order.totalQuantity)))


def _view(ib: IB, trade: Trade) -> OrderView:
    order, refusal = trade.order, _refusal(trade)
    parts = [fill.execution for fill in ib.fills() if fill.execution.orderRef == order.orderRef]
    filled = sum((exact(part.shares) for part in parts), Decimal(0))
    paid = sum((exact(part.shares) * exact(part.price) for part in parts), Decimal(0))
    state = _state(trade.orderStatus.status, filled, exact(order.totalQuantity))
    return OrderView(
        client_order_id=order.orderRef,
        symbol=normalise_symbol(trade.contract.symbol),
        side=Side(order.action.lower()),
        quantity=exact(order.totalQuantity),
        state=OrderState.REJECTED if refusal is not None and state is OrderState.CANCELLED and not filled else state,
        filled_quantity=filled,
        average_price=paid / filled if filled else None,
        venue_order_id=str(order.permId),
        reason="" if refusal is None else refusal[1],
    )


def _state(status: str, filled: Decimal, quantity: Decimal) -> OrderState:
    state = STATES.get(status, OrderState.ACCEPTED)
    if state is OrderState.ACCEPTED and filled:
        return OrderState.FILLED if filled >= quantity else OrderState.PARTIALLY_FILLED
    return state


def _in_order(fills: list[Fill]) -> list[Fill]:
    """The fills with a microsecond between those of one second, or an exit could be read as coming before its entry."""
    ordered: list[Fill] = []
    for fill in fills:
        earliest = ordered[-1].filled_at + dt.timedelta(microseconds=1) if ordered else fill.filled_at
        ordered.append(replace(fill, filled_at=max(fill.filled_at, earliest)))
    return ordered


def _fill(found: Execution) -> Fill:
    """An execution; TWS tells one again under the same id."""
    execution, symbol = found.execution, normalise_symbol(found.contract.symbol)
    at = execution.time.astimezone(dt.UTC)
    child = entry_of(execution.orderRef) is not None
    return Fill(
        fill_id=f"ib-{execution.execId}",
        client_order_id=execution.orderRef,
        symbol=symbol,
        side=Side.BUY if execution.side == "BOT" else Side.SELL,
        quantity=exact(execution.shares),
        price=exact(execution.price),
        raw_price=exact(execution.price),
        commission_usd=exact(found.commissionReport.commission),
        session=at.astimezone(NEW_YORK).date(),
        filled_at=at,
        reason=execution.orderRef.rpartition(".")[2] if child else "order",
    )
