"""Protection of a position: the quantity that living stops cover against the quantity held. Pure; it sends nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from core.models import OrderState, Side
from trading.brokers.children import STOP, TARGET, child_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from core.models import OrderView, Position

LIVING = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})  # one whose cancellation is asked for may be gone
NOTHING = Decimal(0)


def uncovered(position: Position, working: Iterable[OrderView], exits: Collection[str] = ()) -> Decimal:
    """Return the quantity of a position that nothing at the venue would close at its stop; zero means protected.

    What covers it are the living stops of its entry, as far as they are not filled, and exits that work there. A target does
    not, nor does a stop that waits for its entry to fill, has ended or is being cancelled. A position without a stop price has
    its targets counted in the place of stops; one with neither needs no cover.

    Parameters
    ----------
    working
        Open orders at the venue.
    exits
        Client order ids of the position's own exits.
    """
    kind = wanted(position)
    if kind is None:
        return NOTHING
    return max(abs(position.quantity) - covered(position, working, kind, exits), NOTHING)


def covered(position: Position, working: Iterable[OrderView], kind: str, exits: Collection[str] = ()) -> Decimal:
    """Return the quantity that living children of a kind, and the exits given, would close; see `uncovered`."""
    closing = Side.SELL if position.quantity > 0 else Side.BUY
    quantity = NOTHING
    for view in working:
        child = child_name(view.client_order_id)
        is_child = child is not None and (child.entry, child.kind) == (position.entry_order_id, kind)
        if (is_child or view.client_order_id in exits) and _is_living(view, position.symbol, closing):
            quantity += view.quantity - view.filled_quantity
    return quantity


def wanted(position: Position) -> str | None:
    """Return the kind of child that protects the position: its stop, a target where it has no stop, None with neither."""
    if position.stop_price is not None:
        return STOP
    return None if position.target_price is None else TARGET


def _is_living(view: OrderView, symbol: str, side: Side) -> bool:
    return (view.symbol, view.side) == (symbol, side) and view.state in LIVING and not view.dormant
