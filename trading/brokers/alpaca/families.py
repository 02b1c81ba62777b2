"""Match orders at Alpaca with the desk's: entries by their client id, children by their entry. Owns only that memory.

Alpaca gives the children of a bracket client ids of its own, and a child alone does not name its parent. It is learned when the
entry is sent, and asked for when another process sent it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog

from trading.brokers.alpaca.read import ENDED, LEG_NAMES, child_id, instant
from trading.brokers.alpaca.wire import VenueRefusal
from trading.brokers.children import STOP, TARGET, child_name, entry_of
from trading.brokers.listing import UNREADABLE

if TYPE_CHECKING:
    from trading.brokers.alpaca.wire import AlpacaClient

    Json = dict[str, Any]

log = structlog.get_logger()
ORDERS_A_PAGE = 500
BORN_WITHIN = dt.timedelta(minutes=1)  # an entry and its children are created together
WITH_BOTH = frozenset({"bracket", "oco"})  # a stop and a target
WITH_CHILDREN = frozenset({"bracket", "oto", "oco"})


class Families:
    """Orders under the names the desk gives them."""

    def __init__(self, client: AlpacaClient) -> None:
        self.client = client
        self._names: dict[str, str] = {}

    def learn(self, order: Json) -> None:
        """Remember an order's name and those of its children."""
        self._names[order["id"]] = order["client_order_id"]
        for leg in order.get("legs") or ():
            if order.get("order_class") in WITH_CHILDREN and leg["type"] in LEG_NAMES:  # no desk sends a trailing stop
                self._names[leg["id"]] = child_id(order["client_order_id"], leg["type"])

    def name(self, order: Json) -> str:
        """The desk's name of an order that Alpaca showed; its own client id when it is no child of a known bracket."""
        known = self._names
        if not order["id"]:
            raise ValueError("Expected an order with an id, found none.")
        if order["id"] not in known and order.get("order_class") not in WITH_CHILDREN:
            self.learn(order)
        elif order["id"] not in known:
            predecessor = order.get("replaces")
            name = self.name_of_id(predecessor) if predecessor else self._ask_for_name(order)
            known.setdefault(order["id"], name)
        return known[order["id"]]

    def name_of_id(self, venue_order_id: str) -> str:
        """The desk's name of an order of which only Alpaca's id is known; KeyError when it knows no such order."""
        if venue_order_id not in self._names:
            try:
                self.name(self.client.one("GET", f"/orders/{venue_order_id}"))
            except VenueRefusal as refusal:
                raise KeyError(f"{venue_order_id}: {refusal.message}") from refusal
        return self._names[venue_order_id]

    def shown_name(self, order: object) -> str:
        """The desk's name of an order that cannot be read, as far as it shows one: of a row of any kind."""
        row = order if isinstance(order, dict) else {}
        try:
            return self.name(row)
        except UNREADABLE:
            return str(row.get("client_order_id") or "")

    def shown_name_of_id(self, execution: object) -> str:
        """The desk's name of the order of an execution that cannot be read; empty without one."""
        row = execution if isinstance(execution, dict) else {}
        try:
            return self.name_of_id(row["order_id"])
        except UNREADABLE:
            return ""

    def order(self, client_order_id: str) -> Json | None:
        """The order as Alpaca has it now, or None; a child by its entry's legs, or as one that was sent in their place."""
        child = child_name(client_order_id)
        if child is None:
            return self._by_client_id(client_order_id)
        found = self._leg(child.entry, child.kind) if child.attempt == 1 else None
        if found is None or found["status"] in ENDED:
            beside = str(replace(child, kind=TARGET))  # of a stop and a target sent together the target is the parent
            found = self._by_client_id(client_order_id) or self._leg(beside, child.kind) or found
        return found

    def open_orders(self, symbol: str | None = None, entry: str | None = None) -> list[Any]:
        """Every open order, children included, newest first, as Alpaca shows it: rows of any kind.

        Parameters
        ----------
        entry
            Look up held stops of this entry alone; None those of all.
        """
        query: Json = {"status": "open", "limit": ORDERS_A_PAGE, "nested": False, "direction": "desc"}
        if symbol is not None:
            query["symbols"] = symbol
        found: dict[str, Any] = {}
        while True:
            rows = self.client.rows("/orders", query)
            page = {_key(order): order for order in rows}
            fresh = page.keys() - found.keys()
            found |= page
            times = [order["submitted_at"] for order in page.values() if isinstance(order, dict) and order.get("submitted_at")]
            if len(rows) < ORDERS_A_PAGE or not fresh or not times:
                return self._with_held([*found.values()], entry)
            query["until"] = times[-1]

    def _with_held(self, orders: list[Any], entry: str | None) -> list[Any]:
        """Add the stops that Alpaca holds beside their target: not every listing of open orders has them."""
        names = {self.shown_name(order): order for order in orders}
        for name, order in names.items():
            child = child_name(name)
            stop = None if child is None or child.kind != TARGET else str(replace(child, kind=STOP))
            if child is not None and entry not in {None, child.entry}:
                continue
            if stop is None or stop in names or order.get("order_class") not in WITH_BOTH:
                continue
            held = self._held(stop)
            if held is not None:
                orders.append(held)
        return orders

    def _held(self, stop: str) -> Json | None:
        """The stop of a name, if it lives; None when what Alpaca says of it cannot be read."""
        try:
            held = self.order(stop)
            if held is None or held["status"] in ENDED:
                return None
            self._names[held["id"]] = stop
        except (VenueRefusal, *UNREADABLE) as error:
            log.warning("stop_unreadable", client_order_id=stop, problem=f"{type(error).__name__}: {error}")
            return None
        return held

    def open_children(self, symbol: str | None = None, entry: str | None = None) -> list[Json]:
        """Open stops and targets of a symbol, as Alpaca spells it, or of an entry. What has no id is left out."""
        named = [(entry_of(self.shown_name(order)), order) for order in self.open_orders(symbol, entry)]
        return [order for above, order in named if above is not None and entry in {None, above} and order.get("id")]

    def _leg(self, parent: str, kind: str) -> Json | None:
        """The leg of an order that is of the kind, the newest of those alive before any that is not."""
        found = self._by_client_id(parent)
        legs: list[Json] = [leg for leg in (found or {}).get("legs") or () if LEG_NAMES.get(leg["type"]) == kind]
        alive = [leg for leg in legs if leg["status"] not in ENDED]  # a child that was moved leaves its old self behind
        return next(reversed(alive or legs), None)

    def _by_client_id(self, client_order_id: str) -> Json | None:
        try:
            found = self.client.one("GET", "/orders:by_client_order_id", {"client_order_id": client_order_id})
        except VenueRefusal as refusal:
            if refusal.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        if found.get("order_class") in WITH_CHILDREN and not found.get("legs"):
            found = self.client.one("GET", f"/orders/{found['id']}", {"nested": True})
        self.learn(found)
        return found

    def _ask_for_name(self, order: Json) -> str:
        """Learn the names of the brackets created around the same moment, this one's among them.

        A child that was moved is not among its parent's legs any more; it has the name of its successor.
        """
        born = instant(order["created_at"])
        query = {
            "status": "all",
            "nested": True,
            "symbols": order["symbol"],
            "limit": ORDERS_A_PAGE,
            "after": (born - BORN_WITHIN).isoformat(),
            "until": (born + BORN_WITHIN).isoformat(),
        }
        for parent in self.client.rows("/orders", query):
            if isinstance(parent, dict) and parent.get("id"):
                self.learn(parent)
        otherwise: str = self._names.get(order.get("replaced_by") or "") or order["client_order_id"]
        return self._names.get(order["id"], otherwise)


def _key(order: object) -> str:
    """Return the key of a row in a listing: its id where it has one."""
    return str(order["id"]) if isinstance(order, dict) and order.get("id") else repr(order)
