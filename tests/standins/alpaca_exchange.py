"""A small exchange behind the Alpaca stand-in: account, assets, orders and matching. Owns admission and money; no sockets."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.standins.alpaca_orders import (
    ACCOUNT_ID,
    OPEN,
    WORKING,
    Asset,
    Refusal,
    VenueOrder,
    check_brackets,
    check_form,
    check_prices,
    legs_of,
    reached,
    stamp,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Exchange:
    """One account and its orders. `trade` is the tape: it moves a price and matches what rests against it."""

    def __init__(self, cash: Decimal = Decimal(100_000)) -> None:
        self.lock = threading.RLock()
        self.cash = cash
        self.is_open = True
        self.pattern_day_trader = False
        self.trading_blocked = False
        self.refuses_wash_trades = False  # as Alpaca does; a test of several books asks for it
        self.account_says: dict[str, object] = {}  # fields of the account that the venue reports wrongly
        self.clock_ahead = dt.timedelta(0)
        self.special_days: dict[dt.date, tuple[str, str] | None] = {}  # hours in New York, None for a closed day
        self.assets: dict[str, Asset] = {}
        self.orders: dict[str, VenueOrder] = {}
        self.held: dict[str, tuple[Decimal, Decimal]] = {}
        self.tape: dict[str, tuple[Decimal, dt.datetime]] = {}  # the last trade of each symbol that has traded
        self.activities: list[dict[str, Any]] = []
        self.movements: list[dict[str, Any]] = []  # cash that moved without an order
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self.other_orders: list[Any] = []  # rows of any kind that the API lists beside the orders
        self.other_positions: list[Any] = []
        self.lists_held = True  # whether the open orders include those that are held, which they did not always

    def list_asset(self, symbol: str, price: str, **properties: Any) -> Asset:
        """Make a symbol known; one with a slash is a crypto pair."""
        kind = "crypto" if "/" in symbol else "us_equity"
        self.assets[symbol] = Asset(symbol, Decimal(price), kind, **properties)
        return self.assets[symbol]

    def now(self) -> dt.datetime:
        """The venue's clock."""
        return dt.datetime.now(dt.UTC) + self.clock_ahead

    def by_client_id(self, client_order_id: str) -> VenueOrder:
        """The order of a client id."""
        for order in self.orders.values():
            if order.client_order_id == client_order_id:
                return order
        raise Refusal(404, 40410000, f"order not found for {client_order_id}")

    def by_id(self, order_id: str) -> VenueOrder:
        """The order of the venue's id."""
        if order_id not in self.orders:
            raise Refusal(404, 40410000, f"order not found for {order_id}")
        return self.orders[order_id]

    def asset(self, symbol: str) -> Asset:
        """A known asset."""
        if symbol not in self.assets:
            raise Refusal(404, 40410000, f"asset not found for {symbol}")
        return self.assets[symbol]

    def buying_power(self) -> Decimal:
        """Cash that no resting purchase has spoken for."""
        reserved = [
            order.leaves * (order.limit_price or self.assets[order.symbol].price)
            for order in self.orders.values()
            if order.side == "buy" and order.status in OPEN and not order.parent
        ]
        return self.cash - sum(reserved, Decimal(0))

    def submit(self, body: dict[str, Any]) -> VenueOrder:
        """Admit an order, with its legs, and match it if the market is open."""
        with self.lock:
            order = self._read(body)
            self._admit(order, body)
            self._keep(order)
            for leg in order.legs:
                self._keep(leg)
            order.status = "new" if self._live(order) else "accepted"
            self.emit(order.status, order)
            if order.status == "new":
                self._match(order, self.assets[order.symbol].price, None)
            return order

    def cancel(self, order_id: str) -> None:
        """Cancel an open order and its legs."""
        with self.lock:
            order = self.by_id(order_id)
            if order.status not in OPEN:
                raise Refusal(422, 42210000, f'order is already in "{order.status}" state')
            for each in (order, *order.legs, *self._siblings(order)):
                if each.status in OPEN:
                    self._end(each, "canceled")

    def cancel_alone(self, order: VenueOrder) -> None:
        """Cancel one order of a family and leave the others, as a venue does for reasons of its own."""
        with self.lock:
            self._end(order, "canceled")

    def replace(self, order_id: str, body: dict[str, Any]) -> VenueOrder:
        """Move the price of an open order: a successor with an id of its own takes its place."""
        with self.lock:
            old = self.by_id(order_id)
            if old.status not in OPEN:
                raise Refusal(422, 42210000, f'order is already in "{old.status}" state')
            prices = {name: Decimal(str(body[name])) for name in ("limit_price", "stop_price") if name in body}
            new = replace(old, id=str(uuid.uuid4()), client_order_id=str(uuid.uuid4()), replaces=old.id, times={}, **prices)
            self._keep(new)
            if old.parent is not None:
                old.parent.legs = [new if leg is old else leg for leg in old.parent.legs]
            for leg in new.legs:
                leg.parent = new
            old.status, old.replaced_by = "replaced", new.id
            self.emit("replaced", old)
            self.emit("new", new)
            return new

    def trade(self, symbol: str, price: str, size: str | None = None) -> None:
        """A trade on the tape: everything that it reaches is filled, up to `size` in all."""
        with self.lock:
            self.assets[symbol].price = Decimal(price)
            self.tape[symbol] = (Decimal(price), self.now())
            left = None if size is None else Decimal(size)
            for order in list(self.orders.values()):
                if order.symbol == symbol and order.status in WORKING and self._live(order):
                    order.status = "new" if order.status == "accepted" else order.status
                    left = self._match(order, Decimal(price), left)

    def open_market(self) -> None:
        """Ring the bell: what waited for the open is matched at the present price."""
        self.is_open = True
        for symbol, asset in self.assets.items():
            self.trade(symbol, str(asset.price))

    def close_market(self) -> None:
        """End the day: day orders expire."""
        with self.lock:
            self.is_open = False
            for order in list(self.orders.values()):
                if order.status in WORKING and order.time_in_force == "day" and order.kind == "us_equity":
                    self._end(order, "expired")

    def refuse_later(self, client_order_id: str) -> None:
        """Reject an order that had been accepted, as a venue does when an exchange turns it down."""
        with self.lock:
            self._end(self.by_client_id(client_order_id), "rejected")

    def emit(self, event: str, order: VenueOrder, **details: Any) -> None:
        """Tell the listeners."""
        message = {
            "event": event,
            "order": order.json(),
            "timestamp": stamp(self.now()),
            "event_id": uuid.uuid4().hex,
            **details,
        }
        for listener in self.listeners:
            listener(message)

    def _read(self, body: dict[str, Any]) -> VenueOrder:
        symbol = str(body.get("symbol", ""))
        if symbol not in self.assets:
            raise Refusal(422, 42210000, f'asset "{symbol}" not found')
        price = {name: Decimal(str(body[name])) if name in body else None for name in ("limit_price", "stop_price")}
        notional = Decimal(str(body["notional"])) if "notional" in body else None
        order = VenueOrder(
            symbol=symbol,
            kind=self.assets[symbol].kind,
            side=body["side"],
            qty=Decimal(str(body["qty"])) if notional is None else round(notional / self.assets[symbol].price, 9),
            notional=notional,
            type=body["type"],
            time_in_force=body["time_in_force"],
            client_order_id=body.get("client_order_id") or str(uuid.uuid4()),
            order_class=body.get("order_class") or "simple",
            asset_id=self.assets[symbol].id,
            **price,
        )
        order.legs = list(legs_of(order, body))
        return order

    def _admit(self, order: VenueOrder, body: dict[str, Any]) -> None:
        asset = self.assets[order.symbol]
        if any(known.client_order_id == order.client_order_id for known in self.orders.values()):
            raise Refusal(422, 40010001, "client_order_id must be unique")
        if self.trading_blocked:
            raise Refusal(403, 40310000, "new orders are rejected by user request")
        if not asset.tradable:
            raise Refusal(422, 42210000, f'asset "{order.symbol}" is not tradable')
        if asset.halted:
            raise Refusal(403, 40310000, f"trading in {order.symbol} is halted")
        if order.qty <= 0:
            raise Refusal(422, 40010001, "qty must be > 0")
        check_prices(order)
        check_form(order, asset)
        check_brackets(order, asset.price, body)
        self._refuse_wash_trade(order)
        self._afford(order, asset)

    def _refuse_wash_trade(self, order: VenueOrder) -> None:
        """Refuse a simple order while one on the other side works, which it could trade with; brackets are let through."""
        if order.order_class != "simple" or not self.refuses_wash_trades:
            return
        for other in self.orders.values():
            opposite = other.symbol == order.symbol and other.side != order.side and other.status in WORKING
            if opposite and other.type in {"market", "stop"}:
                details = {"existing_order_id": other.id, "reject_reason": "opposite side market/stop order exists"}
                raise Refusal(403, 40310000, "potential wash trade detected. use complex orders", **details)

    def _afford(self, order: VenueOrder, asset: Asset) -> None:
        held = self.held.get(order.symbol, (Decimal(0), Decimal(0)))[0]
        if order.side == "sell" and held > 0:
            families: dict[str, Decimal] = {}  # a stop and the target beside it keep their shares once
            for other in self.orders.values():
                if other.symbol == order.symbol and other.side == "sell" and other.status in WORKING:
                    family = (other.parent or other).id
                    families[family] = max(families.get(family, Decimal(0)), other.leaves)
            free = held - sum(families.values())
            if order.qty > free:
                message = f"insufficient qty available for order (requested: {order.qty}, available: {free})"
                raise Refusal(403, 40310000, message, available=str(free), existing_qty=str(held), symbol=order.symbol)
            if self.pattern_day_trader:
                raise Refusal(403, 40310100, "trade denied due to pattern day trading protection")
        elif order.side == "sell" and (not asset.shortable or order.qty % 1):
            message = (
                "fractional orders cannot be sold short" if order.qty % 1 else f'asset "{order.symbol}" cannot be sold short'
            )
            raise Refusal(403, 40310000, message)
        cost = order.qty * (order.limit_price or asset.price)
        covers = order.side == "buy" and held < 0
        if not covers and not (order.side == "sell" and held > 0) and cost > self.buying_power():
            details = {"buying_power": str(self.buying_power()), "cost_basis": str(cost)}
            raise Refusal(403, 40310000, "insufficient buying power", **details)

    def _keep(self, order: VenueOrder) -> None:
        now = self.now()
        order.times = {"created_at": now, "submitted_at": now, "updated_at": now}
        self.orders[order.id] = order

    def _live(self, order: VenueOrder) -> bool:
        halted = self.assets[order.symbol].halted
        return order.status in WORKING and not halted and (self.is_open or order.kind == "crypto")

    def _match(self, order: VenueOrder, price: Decimal, left: Decimal | None) -> Decimal | None:
        """Fill what the price reaches; return what is left of the size."""
        at = reached(order, price)
        if at is None or left == 0:
            return left
        quantity = order.leaves if left is None else min(left, order.leaves)
        self._fill(order, quantity, at)
        return None if left is None else left - quantity

    def _fill(self, order: VenueOrder, quantity: Decimal, price: Decimal) -> None:
        order.filled_qty += quantity
        order.paid += quantity * price
        order.status = "filled" if order.leaves == 0 else "partially_filled"
        order.times["updated_at"] = self.now()
        if order.status == "filled":
            order.times["filled_at"] = self.now()
        self._settle(order, quantity, price)
        execution = str(uuid.uuid4())
        self._report(order, quantity, price, execution)
        event = "fill" if order.status == "filled" else "partial_fill"
        details = {
            "price": text(price),
            "qty": text(quantity),
            "position_qty": text(self.held.get(order.symbol, (Decimal(0),))[0]),
        }
        self.emit(event, order, execution_id=execution, **details)
        self._wake(order)

    def _wake(self, order: VenueOrder) -> None:
        """A filled parent wakes its legs; of two siblings, the one filled cancels the other."""
        if order.status != "filled":
            return
        for leg in order.legs:
            if order.order_class == "oco":
                self._end(leg, "canceled")
            else:
                leg.status = "new"
                self.emit("new", leg)
        for sibling in self._siblings(order):
            if sibling.status in OPEN:
                self._end(sibling, "canceled")

    def _settle(self, order: VenueOrder, quantity: Decimal, price: Decimal) -> None:
        signed = quantity if order.side == "buy" else -quantity
        held, average = self.held.get(order.symbol, (Decimal(0), Decimal(0)))
        self.cash -= signed * price
        after = held + signed
        if after == 0:
            self.held.pop(order.symbol, None)
        elif held * signed >= 0:
            self.held[order.symbol] = (after, (held * average + signed * price) / after)
        else:
            self.held[order.symbol] = (after, average)

    def _report(self, order: VenueOrder, quantity: Decimal, price: Decimal, execution: str) -> None:
        now = self.now()
        self.activities.append(
            {
                "id": f"{now:%Y%m%d%H%M%S}{now.microsecond // 1000:03d}::{execution}",
                "account_id": ACCOUNT_ID,
                "activity_type": "FILL",
                "transaction_time": stamp(now),
                "type": "fill" if order.leaves == 0 else "partial_fill",
                "price": text(price),
                "qty": text(quantity),
                "side": order.side,
                "symbol": order.symbol,
                "leaves_qty": text(order.leaves),
                "order_id": order.id,
                "cum_qty": text(order.filled_qty),
                "order_status": order.status,
            }
        )

    def _siblings(self, order: VenueOrder) -> Iterable[VenueOrder]:
        if order.parent is None:
            return []
        others = [leg for leg in order.parent.legs if leg is not order]
        return [*others, order.parent] if order.order_class == "oco" else others

    def _end(self, order: VenueOrder, status: str) -> None:
        order.status = status
        order.times[{"rejected": "failed_at"}.get(status, f"{status}_at")] = self.now()
        self.emit(status, order)
        for leg in order.legs:
            if leg.status == "held":
                self._end(leg, "canceled")
