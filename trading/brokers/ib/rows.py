"""Contracts, quantities and positions of TWS as the desk's: of US shares, and in words those that are of anything else."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from core.models import VenuePosition
from core.sessions import normalise_symbol
from trading.brokers.listing import Unreadable
from trading.orders import exact

if TYPE_CHECKING:
    from ib_async import Contract, Fill, Position, Trade

MOST = Decimal("1e12")  # ib_async writes the largest float for a number that is not set


def share_of(contract: Contract) -> str:
    """The symbol of a US share; an option or a future shows the symbol of what it is on, and must not be taken for it.

    Raises
    ------
    ValueError
        When it is no US share.
    """
    if contract.secType != "STK" or contract.currency not in {"USD", ""} or not contract.symbol:
        raise ValueError(f"Expected a US share, found {_named(contract)}.")
    return normalise_symbol(contract.symbol)


def quantity_of(value: float | Decimal) -> Decimal:
    """A quantity as TWS tells it; none (an order in dollars has 0) and what is no number raise ValueError."""
    found = exact(float(value))
    if not found.is_finite() or not found or abs(found) > MOST:
        raise ValueError(f"Expected a quantity, found {value}.")
    return found


def order_of_share(trade: Trade) -> Trade:
    """The order, when it is of so many US shares; otherwise it raises ValueError."""
    share_of(trade.contract)
    quantity_of(trade.order.totalQuantity)
    return trade


def position_of(held: Position) -> VenuePosition:
    """A position in a US share."""
    return VenuePosition(share_of(held.contract), quantity_of(held.position), exact(held.avgCost))


def unreadable(row: Trade | Position | Fill, problem: str) -> Unreadable:
    """A row that cannot be read, in words; one that is of no US share goes under a name of its own."""
    contract = row.contract
    order = getattr(row, "order", None) or getattr(row, "execution", None)
    is_share = contract.secType == "STK" and contract.currency in {"USD", ""}
    symbol = normalise_symbol(contract.symbol) if is_share else _named(contract)
    return Unreadable(str(getattr(order, "orderRef", "")), symbol, _named(contract), problem)


def _named(contract: Contract) -> str:
    return " ".join(filter(None, (contract.secType, contract.localSymbol or contract.symbol, contract.currency)))
