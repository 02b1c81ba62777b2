"""Alpaca's JSON as the desk's nouns. Owns symbols, states, names of children and fill ids; it requests nothing.

A field that is missing or of an unknown kind raises KeyError, TypeError, ValueError or ArithmeticError: the adapter takes each
as an answer that cannot be read.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from core.models import Fill, OrderState, OrderView, Side, VenuePosition
from core.sessions import calendar_name, normalise_symbol
from trading.brokers.children import ChildName, child_name
from trading.brokers.listing import Unreadable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    Json = Mapping[str, Any]

NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
LEG_NAMES = {"limit": "target", "stop": "stop", "stop_limit": "stop"}
ENDED = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
SUSPENDED = "suspended"
STATES = {
    "partially_filled": OrderState.PARTIALLY_FILLED,
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELLED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
    "pending_cancel": OrderState.CANCEL_PENDING,
} | dict.fromkeys(
    (
        *("new", "accepted", "pending_new", "accepted_for_bidding", "held", "pending_review", "pending_replace", "replaced"),
        *("stopped", "suspended", "calculated", "done_for_day"),
    ),
    OrderState.ACCEPTED,
)


def venue_symbol(symbol: str) -> str:
    """The desk's symbol as Alpaca spells it.

    >>> [venue_symbol(symbol) for symbol in ("AAPL", "BRK-B", "BTC-USD")]
    ['AAPL', 'BRK.B', 'BTC/USD']
    """
    return symbol.replace("-", "/" if is_crypto(symbol) else ".")


def is_crypto(symbol: str) -> bool:
    """Return True for a crypto pair.

    >>> is_crypto("BTC/USD"), is_crypto("SPY")
    (True, False)
    """
    return calendar_name(symbol) == "24/7"


def child_id(parent: str, venue_type: str) -> str:
    """The name the desk gives a child of a bracket or of a target, which Alpaca gives an id of its own.

    >>> child_id("20261123-entry-AAPL-1f", "limit"), child_id("20261123-entry-AAPL-1f.target-2", "stop")
    ('20261123-entry-AAPL-1f.target', '20261123-entry-AAPL-1f.stop-2')
    """
    above = child_name(parent)
    kind = LEG_NAMES[venue_type]
    return str(ChildName(parent, kind) if above is None else replace(above, kind=kind))


def state_of(order: Json) -> OrderState:
    """Alpaca's status as a state; one that works and has fills is PARTIALLY_FILLED whatever it is called."""
    state = STATES.get(order["status"])
    if state is None:
        raise ValueError(f"Expected a status that is known, found {order['status']!r}.")
    return OrderState.PARTIALLY_FILLED if state is OrderState.ACCEPTED and number(order["filled_qty"]) > 0 else state


def view_of(order: Json, client_order_id: str, *, dormant: bool = False) -> OrderView:
    """An order under the desk's name for it."""
    average = order.get("filled_avg_price")
    return OrderView(
        client_order_id=client_order_id,
        symbol=symbol_of(order),
        side=Side(order["side"]),
        quantity=number(order["qty"]),
        state=state_of(order),
        filled_quantity=number(order["filled_qty"]),
        average_price=None if average is None else number(average),
        venue_order_id=order["id"],
        reason="refused after it was accepted; Alpaca does not say why" if order["status"] == "rejected" else "",
        dormant=dormant,
    )


def is_dormant(order: Json, client_order_id: str, working: Collection[str]) -> bool:
    """Return True for a child that Alpaca holds until its entry, which is among the working orders, has filled.

    A stop is held beside a target that works, too, and protects all the same; one that Alpaca has suspended does not.
    """
    child = child_name(client_order_id)
    if order["status"] == SUSPENDED:
        return True
    return child is not None and order["status"] == "held" and child.attempt == 1 and child.entry in working


def fill_id(venue_order_id: str, filled_so_far: Decimal) -> str:
    """One id for one execution, the same from the stream and from the list of activities.

    The two name an execution differently, but both say how much of the order was filled after it, and no two executions of an
    order say the same.
    """
    return f"alpaca-{venue_order_id}-{filled_so_far.normalize():f}"


def fill_of_event(event: Json, client_order_id: str) -> Fill:
    """The fill of a trade update `fill` or `partial_fill`."""
    order = event["order"]
    execution = {"symbol": order["symbol"], "side": order["side"], "order_id": order["id"], "cum_qty": order["filled_qty"]}
    return fill_of_activity({**event, **execution, "transaction_time": event["timestamp"]}, client_order_id)


def fill_of_activity(row: Json, client_order_id: str) -> Fill:
    """The fill of an account activity FILL."""
    symbol, price, at = symbol_of(row), number(row["price"]), instant(row["transaction_time"])
    child = child_name(client_order_id)
    return Fill(
        fill_id=fill_id(row["order_id"], number(row["cum_qty"])),
        client_order_id=client_order_id,
        symbol=symbol,
        side=Side(row["side"].partition("_")[0]),  # an activity may say sell_short
        quantity=number(row["qty"]),
        price=price,
        raw_price=price,
        commission_usd=Decimal(0),
        session=at.date() if is_crypto(symbol) else at.astimezone(NEW_YORK).date(),
        filled_at=at,
        reason="order" if child is None else child.kind,
    )


def position_of(position: Json) -> VenuePosition:
    """A position; Alpaca writes a short with a sign, or without it and the side."""
    quantity = abs(number(position["qty"]))
    return VenuePosition(
        symbol=symbol_of(position),
        quantity=quantity * {"long": 1, "short": -1}[position["side"]],
        average_price=number(position["avg_entry_price"]),
    )


def unreadable_order(order: object, client_order_id: str, problem: str) -> Unreadable:
    """An order that cannot be read, in words: a row of any kind."""
    row = order if isinstance(order, dict) else {}
    shown = {name: row.get(name) for name in ("side", "qty", "notional", "symbol", "order_class", "type", "status")}
    words = " ".join(f"{name} {value}" for name, value in shown.items() if value)
    if row and row.get("qty") is None and row.get("notional") is not None:
        problem = "an order in dollars, without a quantity"
    return Unreadable(client_order_id or str(row.get("id") or ""), _symbol_of(row), words or repr(order), problem)


def unreadable_position(position: object, problem: str) -> Unreadable:
    """A position that cannot be read, in words: a row of any kind."""
    row = position if isinstance(position, dict) else {}
    words = " ".join(f"{name} {row[name]}" for name in ("side", "qty", "symbol", "asset_class") if row.get(name))
    return Unreadable("", _symbol_of(row), words or repr(position), problem)


def _symbol_of(row: Json) -> str:
    """The symbol that a row shows, empty without one."""
    symbol = row.get("symbol")
    return normalise_symbol(symbol) if isinstance(symbol, str) else ""


def number(text: str | float) -> Decimal:
    """A number that Alpaca wrote as text, exact."""
    value = Decimal(str(text))
    if not value.is_finite():
        raise ValueError(f"Expected a number, found {text!r}.")
    return value


def symbol_of(row: Json) -> str:
    """The desk's symbol of a row; one that shows none, as orders of several legs do, raises ValueError."""
    symbol = normalise_symbol(row["symbol"])
    if not symbol:
        raise ValueError("Expected a symbol, found none.")
    return symbol


def instant(text: str) -> dt.datetime:
    """A time with an offset, in UTC."""
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
