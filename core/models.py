"""The desk's nouns as value objects: orders, fills, positions. Owns their invariants; no I/O.

Money is USD as `Decimal`; quantities are `Decimal` shares.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from core.errors import IllegalTransition

if TYPE_CHECKING:
    import datetime as dt
    from decimal import Decimal


class Side(StrEnum):
    """Direction of an order."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """What the broker is asked for. Stops and targets live as the children of an entry."""

    MARKET = "market"
    LIMIT = "limit"


class Leg(StrEnum):
    """Which part of a trade an order is."""

    ENTRY = "entry"
    EXIT = "exit"


class OrderState(StrEnum):
    """The life of an order; `UNKNOWN` is an unanswered submission and is looked up before anything else is sent."""

    INTENT = "intent"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {
    OrderState.INTENT: frozenset({OrderState.SUBMITTED, OrderState.CANCELLED}),
    OrderState.SUBMITTED: frozenset({OrderState.ACCEPTED, OrderState.REJECTED, OrderState.UNKNOWN, OrderState.FILLED}),
    OrderState.UNKNOWN: frozenset({OrderState.ACCEPTED, OrderState.REJECTED, OrderState.FILLED, OrderState.SUBMITTED}),
    OrderState.ACCEPTED: frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED}),
    OrderState.FILLED: frozenset(),
    OrderState.CANCELLED: frozenset(),
    OrderState.REJECTED: frozenset(),
}


def require_transition(old: OrderState, new: OrderState) -> None:
    """Raise `IllegalTransition` unless the table allows `old -> new`."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(f"Order state {old} may become {sorted(TRANSITIONS[old])}, not {new}.")


def client_order_id(portfolio: str, strategy: str, symbol: str, session: dt.date, leg: Leg) -> str:
    """One id for one intent: the same inputs give the same id, so that a rerun cannot place a second order.

    Parameters are those of the trade; `session` is the one whose open the order is for. At most 48 characters, as Alpaca
    allows 128 and Interactive Brokers fewer.
    """
    key = f"{portfolio}|{strategy}|{symbol}|{session.isoformat()}|{leg}"
    return f"{session:%Y%m%d}-{leg}-{symbol}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"[:48]


@dataclass(frozen=True)
class OrderIntent:
    """What the desk means to do, written down before anything is sent."""

    client_order_id: str
    portfolio: str
    strategy: str
    symbol: str
    session: dt.date
    decision_session: dt.date
    leg: Leg
    side: Side
    quantity: Decimal
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_pct: float | None = None
    target_pct: float | None = None
    max_sessions: int | None = None


@dataclass(frozen=True)
class Fill:
    """An executed order; `price` includes slippage, `raw_price` does not."""

    fill_id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    raw_price: Decimal
    commission_usd: Decimal
    session: dt.date
    filled_at: dt.datetime
    reason: str


@dataclass(frozen=True)
class Position:
    """An open position of one strategy in one symbol; quantity is negative for a short."""

    portfolio: str
    strategy: str
    symbol: str
    quantity: Decimal
    entry_session: dt.date
    entry_price: Decimal
    stop_price: Decimal | None
    target_price: Decimal | None
    max_sessions: int | None
    entry_order_id: str
