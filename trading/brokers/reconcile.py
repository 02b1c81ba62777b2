"""Differences between the ledger and the venue, by name. Pure; it requests, stores and halts nothing.

Each kind of difference has a name; the desk resolves it by itself, tolerates it, or stops trading for it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from core.models import FINAL, SENT, OrderState
from trading.brokers.children import entry_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from core.errors import StopTrading
    from core.models import Fill, OrderIntent, OrderView, Position, VenuePosition


class Mismatch(StrEnum):
    """Names of differences; docs/operating.md lists what to do about each."""

    MISSED_FILL = "missed_fill"
    NEVER_ARRIVED = "never_arrived"
    SENT_AGAIN = "sent_again"
    EXTERNAL_ORDER = "external_order"
    ORDER_QUANTITY = "order_quantity"
    QUANTITY_MISMATCH = "quantity_mismatch"
    MISSING_POSITION = "missing_position"
    EXTERNAL_POSITION = "external_position"
    CONTRADICTION = "contradiction"
    CASH = "cash"


RESOLVED = frozenset({Mismatch.MISSED_FILL, Mismatch.NEVER_ARRIVED, Mismatch.SENT_AGAIN})
TOLERATED = frozenset({Mismatch.CASH})  # fees, dividends and interest move it: a person checks, and trading goes on


@dataclass(frozen=True)
class Difference:
    """One difference: what it is about, what the desk expected, what the venue has, and what becomes of it."""

    rule: Mismatch
    subject: str
    expected: str
    found: str
    resolution: str

    @property
    def resolved(self) -> bool:
        """True when the desk has corrected its own record to the venue's."""
        return self.rule in RESOLVED

    @property
    def halts(self) -> bool:
        """True when nothing may be opened before a person has settled it."""
        return not self.resolved and self.rule not in TOLERATED


@dataclass(frozen=True)
class LedgerState:
    """The desk's record: open orders with their state, positions, cash, and the ids of its own orders."""

    orders: Sequence[tuple[OrderIntent, OrderState]]
    positions: Sequence[Position]
    cash_usd: Decimal
    own_ids: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class VenueState:
    """The venue's: the desk's open orders as it has them (None: it has no such order), all its open orders, positions, cash."""

    orders: Mapping[str, OrderView | None]
    working: Sequence[OrderView]
    positions: Sequence[VenuePosition]
    cash_usd: Decimal


def missed(fills: Iterable[Fill]) -> list[Difference]:
    """Executions that the desk learnt of only now; each is in its record by then, under the venue's own id."""
    return [
        Difference(
            Mismatch.MISSED_FILL,
            fill.client_order_id,
            "no fill",
            f"{fill.side} {fill.quantity} {fill.symbol} at {fill.price}",
            f"taken into the ledger as {fill.fill_id}",
        )
        for fill in fills
    ]


def contradiction(error: StopTrading) -> Difference:
    """Return the difference for a report that the ledger cannot take: a fill beyond its order, or of what is not held."""
    return Difference(Mismatch.CONTRADICTION, "fills", "fills that fit the ledger", str(error), "settle it by hand")


def compare(desk: LedgerState, venue: VenueState, session: dt.date, *, cash_tolerance_usd: Decimal) -> list[Difference]:
    """Every difference, sorted by rule and subject.

    Parameters
    ----------
    session
        The last one that has closed: an order for it or an earlier one can reach its open no more.
    cash_tolerance_usd
        Cash may be apart by so much.
    """
    found = [*_lost(desk, venue, session), *_strange(desk, venue), *_apart(desk, venue)]
    found += _holdings(desk, venue)
    readable = desk.cash_usd.is_finite() and venue.cash_usd.is_finite()
    if not readable or abs(desk.cash_usd - venue.cash_usd) > cash_tolerance_usd:
        found.append(
            Difference(
                Mismatch.CASH,
                "cash",
                f"{desk.cash_usd:.2f} USD",
                f"{venue.cash_usd:.2f} USD",
                "fees, dividends, interest or a transfer: look at the venue's statement",
            )
        )
    return sorted(found, key=lambda each: (each.rule, each.subject))


def expired(differences: Iterable[Difference]) -> list[str]:
    """Ids of the orders that are over without ever having arrived."""
    return [each.subject for each in differences if each.rule is Mismatch.NEVER_ARRIVED]


def _lost(desk: LedgerState, venue: VenueState, session: dt.date) -> list[Difference]:
    """Orders that were written down or sent and that the venue does not have."""
    lost = []
    for order, state in desk.orders:
        if state is not OrderState.INTENT and (state not in SENT or venue.orders.get(order.client_order_id) is not None):
            continue
        if order.session <= session:
            rule, words = Mismatch.NEVER_ARRIVED, "its open has passed: it expires"
        elif state is OrderState.INTENT:
            continue  # written down, and still in time to be sent
        else:
            rule, words = Mismatch.SENT_AGAIN, "still in time: it is sent again under the same id"
        lost.append(Difference(rule, order.client_order_id, str(state), "no such order", words))
    return lost


def _strange(desk: LedgerState, venue: VenueState) -> list[Difference]:
    """Orders that work at the venue and that the desk never meant; children of its entries are its own."""
    strange = [
        view
        for view in venue.working
        if view.client_order_id not in desk.own_ids and entry_of(view.client_order_id) not in desk.own_ids
    ]
    return [
        Difference(
            Mismatch.EXTERNAL_ORDER,
            view.client_order_id or view.venue_order_id,
            "no such order",
            f"{view.side} {view.quantity} {view.symbol}, {view.state}",
            "not of this desk: cancel it at the venue, or trade it in an account of its own",
        )
        for view in strange
    ]


def _apart(desk: LedgerState, venue: VenueState) -> list[Difference]:
    """Orders that the venue has in another size or of another symbol."""
    apart = []
    for order, state in desk.orders:
        view = venue.orders.get(order.client_order_id)
        if (
            view is None
            or state in FINAL
            or (view.symbol, view.side, view.quantity) == (order.symbol, order.side, order.quantity)
        ):
            continue
        apart.append(
            Difference(
                Mismatch.ORDER_QUANTITY,
                order.client_order_id,
                f"{order.side} {order.quantity} {order.symbol}",
                f"{view.side} {view.quantity} {view.symbol}",
                "somebody replaced it at the venue: cancel it there, then `desk reconcile`",
            )
        )
    return apart


def _holdings(desk: LedgerState, venue: VenueState) -> list[Difference]:
    """Positions of each symbol, all strategies together: a venue knows of no strategies."""
    ours: defaultdict[str, Decimal] = defaultdict(Decimal)
    for position in desk.positions:
        ours[position.symbol] += position.quantity
    theirs = {position.symbol: position.quantity for position in venue.positions if position.quantity}
    found = []
    for symbol in sorted({*ours, *theirs}):
        mine, there = ours.get(symbol, Decimal(0)), theirs.get(symbol, Decimal(0))
        if mine == there:
            continue
        rule, words = (
            Mismatch.QUANTITY_MISMATCH,
            "a fill, split or transfer that the venue tells no more: settle it by hand",
        )
        if not there:
            rule, words = Mismatch.MISSING_POSITION, "sold or moved outside the desk: settle it by hand"
        elif not mine:
            rule, words = (
                Mismatch.EXTERNAL_POSITION,
                "the desk never opened it: close it at the venue, or move it to another account",
            )
        found.append(Difference(rule, symbol, str(mine), str(there), words))
    return found
