"""Stops and targets at Alpaca: move them, send them anew, take them back for an exit. Owns these requests, and no decision.

Alpaca keeps the shares of a position for its children: a stop and a target that cancel each other (OCO) hold them once, and
what they hold cannot be sold otherwise.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import structlog
from alpaca.trading.enums import OrderClass, TimeInForce

from core.errors import RetryLater
from core.models import FINAL, Refused, Side
from trading.brokers.alpaca.read import STATES, SUSPENDED, number, venue_symbol
from trading.brokers.alpaca.terms import to_tick
from trading.brokers.alpaca.wire import DUPLICATE, VenueRefusal
from trading.brokers.children import STOP, TARGET, ChildName, child_name
from trading.brokers.listing import UNREADABLE
from trading.brokers.protection import LIVING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.models import OrderIntent, OrderState, Position
    from trading.brokers.alpaca.families import Families
    from trading.brokers.alpaca.wire import AlpacaClient

    Json = dict[str, Any]

log = structlog.get_logger()
PRICE_FIELDS = {STOP: "stop_price", TARGET: "limit_price"}
RELEASE_SECONDS = 5.0
ATTEMPTS = 50


@dataclass(frozen=True)
class Cover:
    """A stop, a target or both, for a quantity of one entry's position; prices as Alpaca writes them."""

    entry: str
    symbol: str
    side: str
    quantity: Decimal
    stop: str | None
    target: str | None

    @classmethod
    def of(cls, position: Position, quantity: Decimal) -> Cover:
        """Return the cover of a part of a position, at its own prices."""
        stop, target = (
            None if price is None else f"{to_tick(price):f}" for price in (position.stop_price, position.target_price)
        )
        side = Side.SELL if position.quantity > 0 else Side.BUY
        return cls(position.entry_order_id, venue_symbol(position.symbol), side.value, quantity, stop, target)

    def body(self, attempt: int) -> Json:
        """Return the request: both as one order that cancels the other, or the one alone."""
        kind = STOP if self.target is None else TARGET
        body: Json = {
            "symbol": self.symbol,
            "qty": f"{self.quantity:f}",
            "side": self.side,
            "time_in_force": TimeInForce.GTC.value,
            "type": "stop" if kind == STOP else "limit",
            "client_order_id": str(ChildName(self.entry, kind, attempt)),
        }
        if self.stop is not None and self.target is not None:
            both = {"take_profit": {"limit_price": self.target}, "stop_loss": {"stop_price": self.stop}}
            return body | {"order_class": OrderClass.OCO.value, **both}
        return body | {PRICE_FIELDS[kind]: self.stop if kind == STOP else self.target}


class StillCancelling(RetryLater):
    """Children that Alpaca was asked to cancel are still there."""


@dataclass(frozen=True)
class Released:
    """Children that an exit took back: the covers to put back if it is refused, and whether one of them filled first."""

    covers: list[Cover]
    filled: bool = False


class Children:
    """The stops and targets of one account."""

    def __init__(self, client: AlpacaClient, families: Families) -> None:
        self.client = client
        self.families = families

    def of_entry(self, entry: str) -> list[tuple[ChildName, Json]]:
        """Open children of an entry, those sent in the place of others included."""
        named = [(child_name(self.families.shown_name(order)), order) for order in self.families.open_children(entry=entry)]
        return [(name, order) for name, order in named if name is not None]

    def move(self, entry: str, stop_price: Decimal | None, target_price: Decimal | None) -> int:
        """Put the children of an entry at these prices, rounded to the tick; return how many moved."""
        moved = 0
        for name, child in self.of_entry(entry):
            field, price = PRICE_FIELDS[name.kind], stop_price if name.kind == STOP else target_price
            if price is None or _state(child) in FINAL or _price(child, field) in {None, to_tick(price)}:
                continue
            try:
                self.client.one("PATCH", f"/orders/{child['id']}", {field: f"{to_tick(price):f}"})
                moved += 1
            except VenueRefusal as refusal:  # filled or cancelled in the same moment: its event says which
                log.warning("child_not_moved", entry=entry, child=name.kind, reason=refusal.message)
        return moved

    def protect(self, position: Position, quantity: Decimal) -> bool:
        """Send a stop and target for the quantity of a position that has none; False when Alpaca refuses.

        What rests for the remainder stays while Alpaca has shares for both. Otherwise, and where a target rests without its
        stop or one of them is suspended, everything of the entry is taken back first, and the whole position gets new ones.
        """
        if position.quantity % 1 or (position.stop_price is None and position.target_price is None):
            return False
        whole = Cover.of(position, abs(position.quantity))
        resting = self.of_entry(position.entry_order_id)
        if not _must_go(resting):
            refusal = self._place(Cover.of(position, quantity))
            if refusal is None:
                return True
            if refusal.refused is not Refused.QUANTITY or not resting:
                return False
        try:
            before = _covers(self.take_back(order for _, order in resting))
        except StillCancelling as error:
            log.warning("position_unprotected", symbol=whole.symbol, entry=whole.entry, reason=str(error))
            return False
        if self._place(whole) is None:
            return True
        self.restore(before)
        return False

    def release(self, order: OrderIntent) -> Released:
        """Take back the children that hold the shares an exit wants to sell.

        Those of the exit's entry. Where the exit names none: those of the same quantity, or all of the symbol, for Alpaca nets
        the strategies of an account.
        """
        if order.entry_order_id is not None:
            chosen = [child for _, child in self.of_entry(order.entry_order_id)]
        else:
            held = [
                child
                for child in self.families.open_children(venue_symbol(order.symbol))
                if child.get("side") == order.side.value
            ]
            chosen = [child for child in held if child.get("qty") == f"{order.quantity.normalize():f}"][:2] or held
        ended = self.take_back(chosen)
        return Released(_covers(ended), filled=any(child.get("status") == "filled" for _, child in ended))

    def take_back(self, children: Iterable[Json]) -> list[tuple[ChildName, Json]]:
        """Cancel children and wait until they are gone; return them as they were when they ended.

        Raises
        ------
        StillCancelling
            When Alpaca takes longer than `RELEASE_SECONDS`.
        """
        asked = list(children)
        for child in asked:
            self.cancel(child["id"])
        until = time.monotonic() + RELEASE_SECONDS
        ended: list[tuple[ChildName, Json]] = []
        for child in asked:
            now = self.client.one("GET", f"/orders/{child['id']}")
            while _state(now) not in FINAL:
                if time.monotonic() > until and _state(now) is not None:
                    raise StillCancelling(f"Alpaca has not cancelled the stop and target of {child['symbol']} yet.")
                if time.monotonic() > until:
                    break  # of a status that nobody knows: Alpaca refuses an exit if it still holds the shares
                time.sleep(0.1)
                now = self.client.one("GET", f"/orders/{child['id']}")
            name = child_name(self.families.shown_name(child))
            if name is not None:
                ended.append((name, now))
        return ended

    def restore(self, covers: Iterable[Cover]) -> None:
        """Send children again that were taken back for nothing; one that Alpaca refuses is logged."""
        for cover in covers:
            try:
                refusal = self._place(cover)
            except RetryLater as error:
                log.warning("children_not_restored", entry=cover.entry, symbol=cover.symbol, reason=str(error))
            else:
                reason = None if refusal is None else refusal.message
                log.warning("children_restored", entry=cover.entry, symbol=cover.symbol, refused=reason)

    def cancel(self, venue_order_id: str) -> VenueRefusal | None:
        """Ask for a cancellation; return why it was refused."""
        try:
            self.client.send("DELETE", f"/orders/{venue_order_id}")
        except VenueRefusal as refusal:
            return refusal
        return None

    def _first_attempt(self, entry: str) -> int:
        """Return the number of the first free name: the entry's own children have none, and may have filled in part."""
        own = [self.families.order(str(ChildName(entry, kind))) for kind in (STOP, TARGET)]
        return 2 if any(child is not None and child.get("filled_qty") not in {None, "0"} for child in own) else 1

    def _place(self, cover: Cover) -> VenueRefusal | None:
        """Send a cover under the first of its names that is free; return why Alpaca refused it."""
        for attempt in range(self._first_attempt(cover.entry), ATTEMPTS + 1):
            try:
                self.families.learn(self.client.one("POST", "/orders", cover.body(attempt)))
            except VenueRefusal as refusal:
                if refusal.message == DUPLICATE and attempt < ATTEMPTS:
                    continue
                log.warning("position_unprotected", symbol=cover.symbol, entry=cover.entry, reason=refusal.message)
                return refusal
            log.warning("protected_anew", symbol=cover.symbol, entry=cover.entry, stop=cover.stop, target=cover.target)
            break
        return None


def _must_go(children: Iterable[tuple[ChildName, Json]]) -> bool:
    """Return True when more rests as targets than as stops, or a child may come back to life beside a new one."""
    left = {STOP: Decimal(0), TARGET: Decimal(0)}
    for name, child in children:
        if _state(child) not in LIVING or child.get("status") == SUSPENDED:
            return True
        left[name.kind] += _left(child)
    return left[TARGET] > left[STOP]


def _covers(ended: Iterable[tuple[ChildName, Json]]) -> list[Cover]:
    """Return what children covered when they ended, a stop and a target of one number as one."""
    pairs: dict[int, dict[str, tuple[ChildName, Json]]] = {}
    for name, child in ended:
        pairs.setdefault(name.attempt, {})[name.kind] = (name, child)
    found = []
    for pair in pairs.values():
        name, child = pair.get(STOP) or pair[TARGET]
        if any(each.get("status") == "filled" for _, each in pair.values()) or not (left := _left(child)):
            continue  # it has closed what it covered
        prices = {kind: each.get(PRICE_FIELDS[kind]) for kind, (_, each) in pair.items()}
        found.append(Cover(name.entry, child["symbol"], child["side"], left, prices.get(STOP), prices.get(TARGET)))
    return found


def _left(child: Json) -> Decimal:
    """Return what of a child is not filled; nothing of one whose numbers cannot be read."""
    try:
        return number(child["qty"]) - number(child["filled_qty"])
    except UNREADABLE:
        return Decimal(0)


def _price(child: Json, field: str) -> Decimal | None:
    """Return the price of a child; None where it cannot be read."""
    try:
        return number(child[field])
    except UNREADABLE:
        return None


def _state(child: Json) -> OrderState | None:
    """Return the state of a child; None for a status that is not known."""
    return STATES.get(child.get("status") or "")
