"""Differences between the ledger and the venue, by name. Pure; it requests, stores and halts nothing.

Each kind of difference has a name; the desk resolves it by itself, tolerates it, or stops trading for it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from core.models import FINAL, SENT, WORKING, Leg, OrderState
from trading.brokers.children import entry_of
from trading.brokers.protection import uncovered, wanted

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from core.errors import StopTrading
    from core.models import Fill, OrderIntent, OrderView, Position, VenuePosition
    from trading.brokers.listing import Unreadable


class Mismatch(StrEnum):
    """Names of differences; docs/operating.md lists what to do about each."""

    MISSED_FILL = "missed_fill"
    NEVER_ARRIVED = "never_arrived"
    SENT_AGAIN = "sent_again"
    VANISHED = "vanished"
    NOT_LISTED = "not_listed"
    OVERDUE = "overdue"
    STILL_WORKING = "still_working"
    FILLS_NOT_TOLD = "fills_not_told"
    EXTERNAL_ORDER = "external_order"
    ORDER_QUANTITY = "order_quantity"
    QUANTITY_MISMATCH = "quantity_mismatch"
    MISSING_POSITION = "missing_position"
    EXTERNAL_POSITION = "external_position"
    CONTRADICTION = "contradiction"
    UNREADABLE = "unreadable"
    UNPROTECTED = "unprotected"
    PROTECTED_ANEW = "protected_anew"
    CASH = "cash"


EXPIRES = {  # the state an order ends in, EXPIRED, takes a fill that comes late all the same
    Mismatch.NEVER_ARRIVED: "reconciliation: it never reached the venue",
    Mismatch.VANISHED: "reconciliation: the venue took it and does not have it any more",
}
RESOLVED = frozenset({Mismatch.MISSED_FILL, Mismatch.SENT_AGAIN, Mismatch.PROTECTED_ANEW, *EXPIRES})
# Fees, dividends and interest move cash; the listener and the watch go on protecting. A person checks, and trading goes on.
TOLERATED = frozenset({Mismatch.CASH, Mismatch.NOT_LISTED, Mismatch.OVERDUE, Mismatch.UNPROTECTED})


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

    @property
    def is_alerted(self) -> bool:
        """True when a person is told at once: whatever is open, and an order that the venue lost."""
        return not self.resolved or self.rule is Mismatch.VANISHED


@dataclass(frozen=True)
class LedgerState:
    """The desk's record: open orders with their state, positions, cash, and the ids of its own orders.

    `filled` has the quantity filled of each open order that has any, `ended` the ids of its own orders that are over.
    """

    orders: Sequence[tuple[OrderIntent, OrderState]]
    positions: Sequence[Position]
    cash_usd: Decimal
    own_ids: frozenset[str] = field(default_factory=frozenset)
    filled: Mapping[str, Decimal] = field(default_factory=dict)
    ended: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class VenueState:
    """The venue's: the desk's open orders as it has them (None: it has no such order), all its open orders, positions, cash.

    Attributes
    ----------
    unreadable
        Orders and fills that it shows and that cannot be read, each once.
    unreadable_positions
        Positions of the same kind.
    keeps_stops
        Whether stops rest there, and are listed: what they do not cover is then a difference.
    """

    orders: Mapping[str, OrderView | None]
    working: Sequence[OrderView]
    positions: Sequence[VenuePosition]
    cash_usd: Decimal
    unreadable: Sequence[Unreadable] = ()
    unreadable_positions: Sequence[Unreadable] = ()
    keeps_stops: bool = False


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
    found += [*_vanished(desk, venue, session), *_going_on(desk, venue, session), *_untold(desk, venue)]
    found += [*_holdings(desk, venue), *_unread(desk, venue), *_unprotected(desk, venue)]
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


def protected_anew(before: Sequence[Difference], after: Sequence[Difference]) -> tuple[Difference, ...]:
    """Return the differences after stops were sent anew; a gap that they closed, and a fill taken before, stay on the list."""
    still = {each.subject for each in after if each.rule is Mismatch.UNPROTECTED}
    closed = [each for each in before if each.rule is Mismatch.UNPROTECTED and each.subject not in still]
    anew = [replace(each, rule=Mismatch.PROTECTED_ANEW, resolution="sent anew") for each in closed]
    return (*(each for each in before if each.rule is Mismatch.MISSED_FILL), *anew, *after)


def expired(differences: Iterable[Difference]) -> dict[str, str]:
    """Return the orders that are over without the venue having said so, by id, with the reason to write down."""
    return {each.subject: EXPIRES[each.rule] for each in differences if each.rule in EXPIRES}


def _lost(desk: LedgerState, venue: VenueState, session: dt.date) -> list[Difference]:
    """Orders that were written down or sent and that the venue does not have."""
    lost, unread = [], {each.client_order_id for each in venue.unreadable}
    for order, state in desk.orders:
        if order.client_order_id in unread:
            continue  # it is there
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


def _vanished(desk: LedgerState, venue: VenueState, session: dt.date) -> list[Difference]:
    """Orders that the venue had taken and, asked for by id, does not have.

    One whose open is still to come keeps its state: a venue may be slow to list what it has just taken.
    """
    gone, unread = [], {each.client_order_id for each in venue.unreadable}
    for order, state in desk.orders:
        if order.client_order_id in unread:
            continue  # it is there
        if state not in WORKING or venue.orders.get(order.client_order_id) is not None:
            continue
        rule, words = Mismatch.VANISHED, "its open has passed: it expires; see at the venue what became of it"
        if order.session > session:
            rule, words = Mismatch.NOT_LISTED, "see at the venue; it expires if it is not there once its open has passed"
        gone.append(Difference(rule, order.client_order_id, str(state), "no such order", words))
    return gone


def _going_on(desk: LedgerState, venue: VenueState, session: dt.date) -> list[Difference]:
    """Orders that work at the venue and should not: over in the ledger, or entries whose session has passed."""
    entries = {order.client_order_id for order, _ in desk.orders if order.leg is Leg.ENTRY and order.session <= session}
    found = []
    for view in venue.working:
        if view.state not in {OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED}:
            continue
        there = f"{view.side} {view.quantity} {view.symbol}, {view.state}"
        if view.client_order_id in desk.ended:
            words = "cancel it at the venue, then `desk reconcile`"
            found.append(Difference(Mismatch.STILL_WORKING, view.client_order_id, "over", there, words))
        elif view.client_order_id in entries:
            words = "`settle` asks again for its cancellation; cancel it at the venue if it stays"
            found.append(Difference(Mismatch.OVERDUE, view.client_order_id, "over after its session", there, words))
    return found


def _untold(desk: LedgerState, venue: VenueState) -> list[Difference]:
    """Open orders of which the venue has executed more than it tells fills of."""
    found = []
    for order, _ in desk.orders:
        view, ours = venue.orders.get(order.client_order_id), desk.filled.get(order.client_order_id, Decimal(0))
        if view is None or (view.state is not OrderState.FILLED and view.filled_quantity <= ours):
            continue
        filled = max(view.filled_quantity, view.quantity if view.state is OrderState.FILLED else Decimal(0))
        words = "the venue tells these executions no more: settle it by hand"
        found.append(Difference(Mismatch.FILLS_NOT_TOLD, order.client_order_id, f"{ours} filled", f"{filled} filled", words))
    return found


def _strange(desk: LedgerState, venue: VenueState) -> list[Difference]:
    """Orders that work at the venue and that the desk never meant; children of its entries are its own."""
    strange = [view for view in venue.working if not _is_own(desk, view.client_order_id)]
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


def _unprotected(desk: LedgerState, venue: VenueState) -> list[Difference]:
    """Positions that neither stops nor an exit at the venue cover; a fraction of a share cannot be covered there."""
    found = []
    for position in desk.positions if venue.keeps_stops else ():
        exits = [
            order.client_order_id
            for order, _ in desk.orders
            if order.leg is Leg.EXIT and (order.strategy, order.symbol) == (position.strategy, position.symbol)
        ]
        missing = uncovered(position, venue.working, exits)
        if missing and not position.quantity % 1:
            words = f"{missing} of {abs(position.quantity)} without one"
            remedy = "the listener sends it anew, the watch sells at its price; keep both running, or set it at the venue"
            found.append(
                Difference(Mismatch.UNPROTECTED, position.entry_order_id, f"{wanted(position)} for all", words, remedy)
            )
    return found


def _unread(desk: LedgerState, venue: VenueState) -> list[Difference]:
    """Return the rows of the venue that cannot be read: the desk's own, and orders or positions of somebody else."""
    found = []
    symbols = {position.symbol for position in desk.positions}
    orders = {each.subject: each for each in venue.unreadable}
    for each in (*orders.values(), *venue.unreadable_positions):
        is_position = each in venue.unreadable_positions
        own = each.symbol in symbols if is_position else _is_own(desk, each.client_order_id)
        rule = Mismatch.EXTERNAL_POSITION if is_position else Mismatch.EXTERNAL_ORDER
        words = "not of this desk, and passed over: cancel or close it at the venue, or keep it in an account of its own"
        if own:
            rule, words = Mismatch.UNREADABLE, "look it up at the venue, and settle it there; then `desk reconcile`"
        shown = f"{each.found} ({each.problem})"
        found.append(Difference(rule, each.subject, "what can be read" if own else "nothing", shown, words))
    return found


def _is_own(desk: LedgerState, client_order_id: str) -> bool:
    return client_order_id in desk.own_ids or entry_of(client_order_id) in desk.own_ids


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
    found, unread = [], {each.symbol for each in venue.unreadable_positions}
    for symbol in sorted({*ours, *theirs} - unread):
        mine, there = ours.get(symbol, Decimal(0)), theirs.get(symbol, Decimal(0))
        if mine == there:
            continue
        rule, words = (
            Mismatch.QUANTITY_MISMATCH,
            "a split, or a fill or transfer that the venue tells no more: `desk corporate-actions list`, then `... resolve`",
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
