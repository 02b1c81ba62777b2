"""Orders of the TWS stand-in, and the messages of the TWS socket protocol in which it tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.standins.alpaca_orders import text

if TYPE_CHECKING:
    from tests.standins.alpaca_orders import VenueOrder

ACCOUNT = "DU1234567"
TYPES = {"MKT": "market", "LMT": "limit", "STP": "stop"}
STATUS = {
    "accepted": "PreSubmitted",
    "held": "PreSubmitted",
    "new": "Submitted",
    "partially_filled": "Submitted",
    "filled": "Filled",
}


@dataclass
class Sent:
    """An order as a client sent it, and the venue's order once it was transmitted."""

    client: int
    order_id: int
    symbol: str
    action: str
    qty: str
    type: str
    limit: str
    stop: str
    tif: str
    ref: str
    parent: int
    word: str = ""
    venue: VenueOrder | None = None

    @property
    def perm(self) -> int:
        """The id TWS gives an order for ever."""
        return 1_000_000 + self.client * 10_000 + self.order_id


def status_of(order: Sent) -> str:
    """TWS's word for the state of an order."""
    assert order.venue is not None
    if order.word and order.venue.status in {"accepted", "held", "new"}:
        return order.word
    return STATUS.get(order.venue.status, "Inactive" if order.venue.status == "rejected" else "Cancelled")


def conid(symbol: str) -> int:
    """A number for a symbol, always the same."""
    return 1000 + sum(map(ord, symbol))


def contract(symbol: str) -> tuple[object, ...]:
    """conId, symbol, secType, month, strike, right, multiplier, exchange, currency, local symbol, trading class."""
    return (conid(symbol), symbol, "STK", "", 0, "", "", "SMART", "USD", symbol, symbol)


def _terms(order: Sent) -> tuple[object, ...]:
    return (order.action, order.qty, order.type, order.limit or 0, order.stop or 0, order.tif, "", ACCOUNT, "", 0, order.ref)


def open_order(order: Sent) -> list[object]:
    """Message 5: places of the fields as ib_async's decoder reads them at this version."""
    head = (5, order.order_id, *contract(order.symbol), *_terms(order), order.client, order.perm)
    before_parent = [""] * 32  # outsideRth to nbboPriceCap
    after_parent = [""] * 12  # triggerMethod to comboLegsDescrip, with no delta-neutral part
    counts = [0, 0, 0, *[""] * 8, 0, ""]  # legs, parameters, scale, hedge, clearing, delta-neutral, algorithm
    state = ["", 0, status_of(order)] + [""] * 16
    return [*head, *before_parent, order.parent, *after_parent, *counts, *state, 0, *[""] * 16]


def completed_order(order: Sent) -> list[object]:
    """Message 101: the same for an order that is over."""
    assert order.venue is not None
    head = (101, *contract(order.symbol), *_terms(order), order.perm)
    counts = [0, 0, 0, "", "", "", "", "", "", "", 0, ""]
    tail = ["", "", "", "", "", "", text(order.venue.filled_qty), *[""] * 8]
    return [*head, *[""] * 31, *[""] * 5, *counts, "", status_of(order), "", "", 0, *tail]
