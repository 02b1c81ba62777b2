"""Orders and assets of the Alpaca stand-in, and the rules of their form. Values only; money and matching are the exchange's.

Refusals carry the status, code and words that Alpaca's API answers with, as far as they are public.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

OPEN = {"accepted", "new", "partially_filled", "held", "pending_cancel", "suspended"}
WORKING = {"accepted", "new", "partially_filled"}
ACCOUNT_ID = str(uuid.UUID(int=7))
CENT = Decimal("0.01")


class Refusal(Exception):
    """An answer that refuses, with its HTTP status and JSON body."""

    def __init__(self, status: int, code: int, message: str, **details: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "message": message, **details}


@dataclass
class Asset:
    """What may be traded, and how."""

    symbol: str
    price: Decimal
    kind: str = "us_equity"
    tradable: bool = True
    halted: bool = False
    fractionable: bool = True
    shortable: bool = True
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class VenueOrder:
    """An order as the venue keeps it."""

    symbol: str
    kind: str
    side: str
    qty: Decimal
    type: str
    time_in_force: str
    client_order_id: str
    order_class: str = "simple"
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    status: str = "accepted"
    filled_qty: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    asset_id: str = ""
    legs: list[VenueOrder] = field(default_factory=list)
    parent: VenueOrder | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    times: dict[str, dt.datetime] = field(default_factory=dict)
    notional: Decimal | None = None
    shows: dict[str, Any] = field(default_factory=dict)  # what the API shows in place of the truth

    @property
    def leaves(self) -> Decimal:
        """Quantity still to be filled."""
        return self.qty - self.filled_qty

    @property
    def shown_status(self) -> str:
        """The status as the API shows it: a stop is held while the target beside it works, and works all the same."""
        if self.type != "stop" or self.parent is None or self.status != "new":
            return self.status
        beside = self.parent if self.order_class == "oco" else next((leg for leg in self.parent.legs if leg is not self), None)
        return "held" if beside is not None and beside.status in WORKING else self.status

    def json(self, *, nested: bool = True) -> dict[str, Any]:
        """The order as the API shows it: numbers as strings, absent values null."""
        average = self.paid / self.filled_qty if self.filled_qty else None
        stamps = (
            "created_at",
            "updated_at",
            "submitted_at",
            "filled_at",
            "expired_at",
            "canceled_at",
            "failed_at",
            "replaced_at",
        )
        return {
            "id": self.id,
            "client_order_id": self.client_order_id,
            **{name: stamp(self.times.get(name)) for name in stamps},
            "replaced_by": self.replaced_by,
            "replaces": self.replaces,
            "asset_id": self.asset_id,
            "symbol": self.symbol,
            "asset_class": self.kind,
            "notional": text(self.notional),
            "qty": text(self.qty) if self.notional is None else None,
            "filled_qty": text(self.filled_qty),
            "filled_avg_price": text(average),
            "order_class": "" if self.order_class == "simple" else self.order_class,
            "order_type": self.type,
            "type": self.type,
            "side": self.side,
            "time_in_force": self.time_in_force,
            "limit_price": text(self.limit_price),
            "stop_price": text(self.stop_price),
            "status": self.shown_status,
            "extended_hours": False,
            "legs": [leg.json() for leg in self.legs] if nested and self.legs else None,
            "trail_percent": None,
            "trail_price": None,
            "hwm": None,
            **self.shows,
        }


def stamp(moment: dt.datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return None if moment is None else moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def text(value: Decimal | None) -> str | None:
    """A number as the API writes it."""
    return None if value is None else f"{Decimal(value).normalize():f}"


def legs_of(order: VenueOrder, body: dict[str, Any]) -> Iterable[VenueOrder]:
    prices = {
        "limit": body.get("take_profit", {}).get("limit_price"),
        "stop": body.get("stop_loss", {}).get("stop_price"),
    }
    one_cancels_other = order.order_class == "oco"
    if one_cancels_other:  # the order itself is the target, and the stop beside it works at once
        order.limit_price = Decimal(str(prices.pop("limit")))
    for kind, price in prices.items():
        if price is not None:
            yield VenueOrder(
                symbol=order.symbol,
                kind=order.kind,
                side=order.side if one_cancels_other else "sell" if order.side == "buy" else "buy",
                qty=order.qty,
                type=kind,
                time_in_force=order.time_in_force,
                client_order_id=str(uuid.uuid4()),
                order_class=order.order_class,
                limit_price=Decimal(str(price)) if kind == "limit" else None,
                stop_price=Decimal(str(price)) if kind == "stop" else None,
                status="new" if one_cancels_other else "held",
                asset_id=order.asset_id,
                parent=order,
            )


def check_prices(order: VenueOrder) -> None:
    """Prices are positive and on the grid."""
    for price in (order.limit_price, order.stop_price, *(leg.limit_price or leg.stop_price for leg in order.legs)):
        if price is not None and price <= 0:
            raise Refusal(422, 40010001, "limit_price must be > 0")
        if price is not None and order.kind != "crypto" and price >= 1 and price % CENT:
            words = f"invalid limit_price {price}. sub-penny increment does not fulfill minimum pricing criteria"
            raise Refusal(422, 42210000, words)


def check_form(order: VenueOrder, asset: Asset) -> None:
    """What fractions and crypto pairs may be asked for."""
    fractional = order.qty % 1 != 0
    if asset.kind == "crypto":
        if order.time_in_force not in {"gtc", "ioc"}:
            raise Refusal(422, 42210000, "invalid crypto time_in_force")
        if order.order_class != "simple":
            raise Refusal(422, 42210000, "crypto orders not allowed for advanced order_class: otoco")
        if order.qty * asset.price < 1:
            raise Refusal(403, 40310000, "cost basis must be >= minimal amount of order 1")
        return
    if fractional and order.qty * asset.price < 1:
        raise Refusal(403, 40310000, "cost basis must be >= minimal amount of order 1")
    if fractional and not asset.fractionable:
        raise Refusal(403, 40310000, f'asset "{order.symbol}" is not fractionable')
    if fractional and order.order_class != "simple":
        raise Refusal(422, 42210000, "fractional orders must be simple orders")
    if fractional and order.time_in_force != "day":
        raise Refusal(422, 42210000, "fractional orders must be DAY orders")


def check_brackets(order: VenueOrder, last: Decimal, body: dict[str, Any]) -> None:
    if order.order_class == "bracket" and len(order.legs) != 2:
        raise Refusal(422, 40010001, "bracket orders require take_profit.limit_price and stop_loss.stop_price")
    if order.order_class == "oco":
        return
    base, sign = order.limit_price or last, 1 if order.side == "buy" else -1
    for leg in order.legs:
        if leg.type == "limit" and leg.limit_price is not None and sign * (leg.limit_price - base) < CENT:
            raise Refusal(422, 42210000, "take_profit.limit_price must be >= base_price + 0.01", base_price=str(base))
        if leg.type == "stop" and leg.stop_price is not None and sign * (base - leg.stop_price) < CENT:
            raise Refusal(422, 42210000, "stop_loss.stop_price must be <= base_price - 0.01", base_price=str(base))
    if body.get("extended_hours") and order.legs:
        raise Refusal(422, 42210000, "complex orders not supported for extended hours trading")


def reached(order: VenueOrder, price: Decimal) -> Decimal | None:
    """The price at which a trade at `price` fills the order, or None."""
    sign = 1 if order.side == "buy" else -1
    if order.limit_price is not None:
        return (
            min(price, order.limit_price)
            if sign == 1 and price <= order.limit_price
            else (max(price, order.limit_price) if sign == -1 and price >= order.limit_price else None)
        )
    if order.stop_price is not None:
        return price if sign * (price - order.stop_price) >= 0 else None
    return price
