"""Interactive Brokers as a venue, through TWS or IB Gateway. Owns brackets as parent and children, and the reading of refusals.

US shares; market, limit and stop orders. The client order id travels as `orderRef`, which TWS keeps but does not hold unique:
the broker looks before it sends. Children of an entry carry `<entry>.stop` and `<entry>.target`.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import structlog
from ib_async import ExecutionFilter, LimitOrder, MarketOrder, Stock, StopOrder

from core.errors import RetryLater, UnknownSymbol
from core.models import FINAL, Answer, Instrument, Leg, OrderState, OrderType, Refused, Side, VenuePosition
from core.sessions import calendar_name, normalise_symbol
from trading.brokers.base import unfenced
from trading.brokers.children import STOP, child_name, entry_of
from trading.brokers.ib.reports import CANCELLED, UNPROVEN, TwsOrders
from trading.brokers.ib.rows import order_of_share, position_of, unreadable
from trading.brokers.ib.views import answer, fill_of, in_order, refused, view
from trading.brokers.listing import Listing, read_each
from trading.fills import brackets
from trading.orders import exact, figure
from trading.portfolio import Account

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from ib_async import Contract, Order, Trade

    from core.models import Fill, OrderIntent, OrderView
    from trading.brokers.base import Fence
    from trading.brokers.ib.reports import Complaint, ReportingIB
    from trading.brokers.ib.wire import IBWire

log = structlog.get_logger()
CENT = Decimal("0.01")
POLL_SECONDS = 0.02
TOO_LATE = frozenset({161, 10147, 10148})  # a cancellation that came when there was nothing to cancel any more


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

    def submit(self, order: OrderIntent, fence: Fence = unfenced) -> Answer:
        """Look for the order, then send it once; an exit first takes back the stop and target that rest for its shares.

        A refused exit puts its stop back. One whose stop or target filled in that moment is not sent.
        """
        objection = self._objection(order)
        if objection is not None:
            return Answer(OrderState.REJECTED, *objection)
        return self.wire.call(lambda ib: self._submit(ib, order, fence))

    def find(self, client_order_id: str) -> OrderView | None:
        """The order among those that work, are over, or were executed today."""
        return self.wire.call(lambda ib: self._find(ib, client_order_id))

    def cancel(self, client_order_id: str) -> Answer:
        """Ask for the cancellation of an order that this client id sent."""
        return self.wire.call(lambda ib: self._cancel(ib, client_order_id))

    def open_orders(self) -> Listing[OrderView]:
        """Orders that work at TWS, children included, sorted by the desk's ids."""

        async def work(ib: ReportingIB) -> Listing[OrderView]:
            working = [trade for trade in (await self._listing(ib)).working if not trade.isDone()]
            return read_each(working, lambda trade: view(ib, order_of_share(trade)), unreadable)

        found = self.wire.call(work)
        return Listing(sorted(found, key=lambda order: order.client_order_id), found.unreadable)

    def positions(self) -> Listing[VenuePosition]:
        """Return the positions of the account, sorted by symbol."""

        async def work(ib: ReportingIB) -> Listing[VenuePosition]:
            found = await self.wire.within(ib.reqPositionsAsync())
            return read_each((held for held in found if held.position), position_of, unreadable)

        found = self.wire.call(work)
        return Listing(sorted(found, key=lambda position: position.symbol), found.unreadable)

    def fills(self, since: dt.datetime) -> Listing[Fill]:
        """Executions at or after an instant; TWS tells those since midnight, to the second."""

        async def work(ib: ReportingIB) -> Listing[Fill]:
            await self.wire.within(ib.reqExecutionsAsync(ExecutionFilter()))
            return read_each(ib.fills(), fill_of, unreadable)

        found = self.wire.call(work)
        ordered = in_order(sorted(found, key=lambda fill: fill.filled_at))
        return Listing((fill for fill in ordered if fill.filled_at >= since), found.unreadable)

    def cash_usd(self) -> Decimal:
        """Cash of the account; NaN where TWS wrote no number."""
        return exact(self.account({}).cash_usd)

    def account(self, prices: Mapping[str, float]) -> Account:
        """Cash, equity and exposure as Interactive Brokers marks them; NaN where it wrote no number."""
        del prices

        async def work(ib: ReportingIB) -> dict[str, float]:
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
        """Whole shares, the least price variation that TWS tells, and the contract's currency: one of a US share."""
        details = self.wire.call(lambda ib: self.wire.within(ib.reqContractDetailsAsync(_contract(symbol))))
        if not details:
            raise UnknownSymbol(symbol)
        contract = details[0].contract
        says = {"name:ib": contract.symbol, "currency": contract.currency, "calendar": "XNYS"} if contract else {}
        said = {field: value for field, value in says.items() if value}
        return Instrument(symbol, Decimal(1), Decimal(1), Decimal(0), exact(details[0].minTick), said)

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

    async def _submit(self, ib: ReportingIB, order: OrderIntent, fence: Fence) -> Answer:
        listing = await self._listing(ib)
        sent = listing.find(order.client_order_id)
        if sent is not None:
            found = view(ib, sent)
            return Answer(found.state, None, "sent before", found.venue_order_id)
        details = await self.wire.within(ib.reqContractDetailsAsync(_contract(order.symbol)))
        if not details or details[0].contract is None:
            return Answer(OrderState.REJECTED, Refused.UNKNOWN_SYMBOL, f"TWS knows no {order.symbol}.")
        resting = _resting(listing, order) if order.leg is Leg.EXIT else []
        if resting:
            fence()
        refusal = await self._release(ib, resting)
        if refusal is not None:
            return Answer(OrderState.REJECTED, *refused(refusal))
        if any(trade.orderStatus.status == "Filled" for trade in resting):
            return Answer(OrderState.REJECTED, Refused.QUANTITY, "its stop or target filled in the same moment")
        parts = self._orders(ib, order)
        fence()
        trades = [ib.placeOrder(details[0].contract, part) for part in parts]
        await self._proven(ib, trades[0])
        outcome = answer(ib, trades[0])
        if outcome.state is OrderState.REJECTED:
            await self._restore(ib, details[0].contract, resting)
        return outcome

    def _orders(self, ib: ReportingIB, order: OrderIntent) -> list[Order]:
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

    def _children(self, ib: ReportingIB, order: OrderIntent, parent: int) -> list[Order]:
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

    async def _proven(self, ib: ReportingIB, trade: Trade) -> None:
        """Wait until TWS has reported on the order: its state, or a refusal of it.

        A code that TWS documents nowhere proves nothing by itself. After a whole wait without a state TWS is asked for its
        orders: one that it spoke of and does not have was refused.
        """
        until = time.monotonic() + self.wire.timeout_seconds
        while trade.orderStatus.status in UNPROVEN:
            complaints = ib.complaints_about(trade)
            if any(each.refuses for each in complaints):
                return
            if not ib.isConnected():
                raise TimeoutError
            if time.monotonic() > until:
                spoken_of = any(not each.is_notice for each in complaints)
                if spoken_of and (await self._listing(ib)).find(trade.order.orderRef) is None:
                    return
                raise TimeoutError
            await asyncio.sleep(POLL_SECONDS)

    async def _listing(self, ib: ReportingIB) -> TwsOrders:
        """Ask for every order and execution; an order that ends meanwhile is in one of the two lists.

        What ib_async remembers of orders counts only where TWS has told their end: it keeps those that TWS has no more.
        """
        working = await self.wire.within(ib.reqAllOpenOrdersAsync())
        over = await self.wire.within(ib.reqCompletedOrdersAsync(apiOnly=False))
        await self.wire.within(ib.reqExecutionsAsync(ExecutionFilter()))
        once = {id(trade): trade for trade in working}  # news of an order comes into the list as well
        return TwsOrders([*once.values()], [*over, *(trade for trade in ib.trades() if trade.isDone())])

    async def _find(self, ib: ReportingIB, client_order_id: str) -> OrderView | None:
        trade = (await self._listing(ib)).find(client_order_id)
        return None if trade is None else view(ib, trade)

    async def _cancel(self, ib: ReportingIB, client_order_id: str) -> Answer:
        trade = (await self._listing(ib)).find(client_order_id)
        if trade is None:
            return Answer(OrderState.UNKNOWN, Refused.UNKNOWN_ORDER, "TWS has no such order")
        if trade.isDone():
            return Answer(view(ib, trade).state, Refused.TOO_LATE, f"the order is {trade.orderStatus.status}")
        refusal = await self._cancelled(ib, [trade])
        trade = (await self._listing(ib)).find(client_order_id) or trade
        state = view(ib, trade).state
        if state in FINAL or refusal is None:
            return Answer(state if state in FINAL else OrderState.CANCEL_PENDING)
        name, words = refused(refusal)
        return Answer(state, Refused.TOO_LATE if refusal.code in TOO_LATE else name, words)

    async def _release(self, ib: ReportingIB, resting: Sequence[Trade]) -> Complaint | None:
        """Take back the children that would sell the shares of an exit a second time, and wait until they are gone.

        Returns the refusal where TWS does not cancel them: they go on protecting the position, and no exit may be sent.
        """
        refusal = await self._cancelled(ib, resting)
        if all(trade.isDone() for trade in resting):
            return None
        if refusal is None or refusal.code in TOO_LATE:
            raise TimeoutError
        return refusal

    async def _restore(self, ib: ReportingIB, contract: Contract, released: Sequence[Trade]) -> None:
        """Send the stop again that an exit took back for nothing, under its next name; a target where there was no stop."""
        named = [(name, trade) for trade in released if (name := child_name(trade.order.orderRef)) is not None]
        for name, trade in [pair for pair in named if pair[0].kind == STOP] or named:
            old, left = trade.order, exact(trade.order.totalQuantity) - exact(trade.orderStatus.filled)
            if left <= 0:
                continue
            next_name = str(replace(name, attempt=name.attempt + 1))
            terms = {"orderRef": next_name, "tif": "GTC", "orderId": ib.client.getReqId()}
            kind, price = (StopOrder, old.auxPrice) if name.kind == STOP else (LimitOrder, old.lmtPrice)
            sent = ib.placeOrder(contract, kind(old.action, float(left), float(price or 0), **terms))
            try:
                await self._proven(ib, sent)
            except TimeoutError:
                log.warning("child_restored_without_answer", child=next_name)
            else:
                log.warning("child_restored", child=next_name, state=str(answer(ib, sent).state))

    async def _cancelled(self, ib: ReportingIB, trades: Sequence[Trade]) -> Complaint | None:
        """Cancel orders and wait until they are over; return TWS's refusal as soon as there is one, None after the wait."""
        said = {id(trade): len(ib.complaints_about(trade)) for trade in trades}
        for trade in trades:
            if not trade.isDone():  # its sibling's cancellation may have taken it along
                ib.cancelOrder(trade.order)
        until = time.monotonic() + self.wire.timeout_seconds
        while not all(trade.isDone() for trade in trades) and time.monotonic() < until:
            fresh = (each for trade in trades for each in ib.complaints_about(trade)[said[id(trade)] :] if not trade.isDone())
            refusal = next((each for each in fresh if each.refuses and each.code != CANCELLED), None)
            if refusal is not None:
                return refusal
            await asyncio.sleep(POLL_SECONDS)
        return None


def _resting(listing: TwsOrders, order: OrderIntent) -> list[Trade]:
    """Return the children that rest for the shares of an exit.

    Those of its entry. Where the exit names none: those of the same quantity, or all of the symbol.
    """
    found = [
        trade
        for trade in listing.working
        if not trade.isDone()
        and (entry := entry_of(trade.order.orderRef)) is not None
        and order.entry_order_id in {None, entry}
        and normalise_symbol(trade.contract.symbol) == order.symbol
        and trade.order.action == order.side.value.upper()
    ]
    same = [trade for trade in found if exact(trade.order.totalQuantity) == order.quantity]
    return found if order.entry_order_id is not None else same[:2] or found


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
