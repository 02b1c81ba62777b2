"""The desk's nouns as value objects: orders, fills, positions, quotes. No I/O.

Money is USD as `Decimal`; quantities are `Decimal` shares. An order lives by the table `TRANSITIONS`; what the
venue says about it goes through `follows`, to which an event told twice or late is no news.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from core.ages import seconds_ahead
from core.errors import IllegalTransition

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping


class Side(StrEnum):
    """Direction of an order."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """Order type at the broker. Stops and targets are the children of an entry (`stop_pct`, `target_pct`)."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"


class Leg(StrEnum):
    """The part of a trade that an order is."""

    ENTRY = "entry"
    EXIT = "exit"


class OrderState(StrEnum):
    """The life of an order. `UNKNOWN` is a submission without an answer: it is looked up before anything else is sent.

    A cancellation that was asked for is `CANCEL_PENDING` until the venue says what came of it; fills that come meanwhile leave
    it there.
    """

    INTENT = "intent"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    CANCEL_PENDING = "cancel_pending"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


FINAL = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED})
SENT = frozenset({OrderState.SUBMITTED, OrderState.UNKNOWN})  # the venue may have it or not
WORKING = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED, OrderState.CANCEL_PENDING})  # the venue has it
_ANSWERS = WORKING | FINAL
_ENDS = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED})

TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {
    OrderState.INTENT: frozenset({OrderState.SUBMITTED, OrderState.CANCELLED, OrderState.EXPIRED}),
    OrderState.SUBMITTED: frozenset({OrderState.UNKNOWN, *_ANSWERS}),
    OrderState.UNKNOWN: frozenset({OrderState.SUBMITTED, *_ANSWERS}),
    OrderState.ACCEPTED: frozenset({OrderState.PARTIALLY_FILLED, OrderState.CANCEL_PENDING, OrderState.REJECTED, *_ENDS}),
    OrderState.PARTIALLY_FILLED: frozenset({OrderState.CANCEL_PENDING, *_ENDS}),
    OrderState.CANCEL_PENDING: frozenset(  # back: the cancellation was refused
        {OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED, OrderState.REJECTED, *_ENDS}
    ),
    OrderState.FILLED: frozenset(),
    OrderState.CANCELLED: frozenset({OrderState.FILLED}),  # the last fill was overtaken by the news of the end
    OrderState.EXPIRED: frozenset({OrderState.FILLED}),
    OrderState.REJECTED: frozenset(),
}
_AGE = {
    OrderState.INTENT: 0,
    OrderState.SUBMITTED: 1,
    OrderState.UNKNOWN: 1,
    OrderState.ACCEPTED: 2,
    OrderState.PARTIALLY_FILLED: 3,
    OrderState.CANCEL_PENDING: 4,
} | dict.fromkeys(FINAL, 5)

_OVERTAKEN = {(OrderState.FILLED, state) for state in _ENDS} | {
    (OrderState.CANCELLED, OrderState.EXPIRED),
    (OrderState.EXPIRED, OrderState.CANCELLED),
}


def require_transition(old: OrderState, new: OrderState) -> None:
    """Raise `IllegalTransition` unless the table allows `old -> new`."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(f"Order state {old} may become {sorted(TRANSITIONS[old])}, not {new}.")


def follows(old: OrderState, news: OrderState) -> bool:
    """Return True when a state that the venue reports moves the order on; False for a repeated or overtaken event.

    Raises
    ------
    IllegalTransition
        When it contradicts what is known, as a rejection of a filled order does: no order of events explains it.
    """
    if news is old or _AGE[news] < _AGE[old] or (old, news) in _OVERTAKEN:
        return False
    require_transition(old, news)
    return True


def state_after_fill(order: OrderIntent, state: OrderState, filled: Decimal) -> OrderState:
    """The order's state when its fills come to `filled`: an end or a cancellation that is asked for stays until all is filled.

    Raises
    ------
    IllegalTransition
        When that is more than the order asked for, or the order was refused or never sent.
    """
    if filled > order.quantity:
        raise IllegalTransition(
            f"Fills of {order.client_order_id}: expected at most {order.quantity}, found {filled}. Ask the venue."
        )
    if state in {OrderState.INTENT, OrderState.REJECTED}:
        raise IllegalTransition(f"A fill of {order.client_order_id}, which is {state}. Run `desk reconcile`.")
    if filled == order.quantity:
        return OrderState.FILLED
    return state if state in {OrderState.CANCEL_PENDING, *FINAL} else OrderState.PARTIALLY_FILLED


class Refused(StrEnum):
    """Reason of a venue's refusal; the venue's own text is in `Answer.reason`."""

    BUYING_POWER = "buying_power"
    DAY_TRADES = "day_trades"
    HALTED = "halted"
    MARKET_CLOSED = "market_closed"
    UNKNOWN_SYMBOL = "unknown_symbol"
    NOT_SHORTABLE = "not_shortable"
    QUANTITY = "quantity"
    PRICE = "price"
    NOTIONAL = "notional"
    ACCOUNT = "account"
    UNKNOWN_ORDER = "unknown_order"
    TOO_LATE = "too_late"
    OTHER_BOOK = "other_book"
    OTHER = "other"


@dataclass(frozen=True)
class Answer:
    """A venue's answer, which proves what became of the request. Silence is no `Answer` but `core.errors.RetryLater`.

    `refused` is None when it did as asked; `state` is the order's state after the request either way.
    """

    state: OrderState
    refused: Refused | None = None
    reason: str = ""
    venue_order_id: str = ""


@dataclass(frozen=True)
class OrderView:
    """An order as the venue sees it; `average_price` is None before the first fill.

    `dormant` is True for a stop or target that waits until its entry has filled, or is suspended: it protects nothing.
    """

    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    state: OrderState
    filled_quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None
    venue_order_id: str = ""
    reason: str = ""
    dormant: bool = False


@dataclass(frozen=True)
class VenuePosition:
    """A venue's position in one symbol, over all strategies; quantity is negative for a short."""

    symbol: str
    quantity: Decimal
    average_price: Decimal


@dataclass(frozen=True)
class Instrument:
    """A tradable instrument at a venue: the grid of quantities and prices, and the smallest order.

    Parameters
    ----------
    quantity_step
        Quantities are multiples of it: 1 for whole shares.
    price_tick
        Limit and stop prices are multiples of it; None where the venue takes any.
    statements
        What else the venue says, by field of the table of instruments (`core.instruments`).
    """

    symbol: str
    quantity_step: Decimal = Decimal("0.000001")
    min_quantity: Decimal = Decimal("0.000001")
    min_notional_usd: Decimal = Decimal(0)
    price_tick: Decimal | None = None
    statements: Mapping[str, str] = field(default_factory=dict, compare=False)

    def rounded(self, quantity: Decimal) -> Decimal:
        """The quantity rounded down to the step, never to more than was decided."""
        return (quantity / self.quantity_step).to_integral_value(ROUND_DOWN) * self.quantity_step

    def objection(self, order: OrderIntent, price: Decimal | None = None) -> tuple[Refused, str] | None:
        """Return why the order cannot be sent as it is, or None; the minimum notional applies at `price`, the last one."""
        wanted = f"{order.quantity} {self.symbol}"
        if order.quantity < self.min_quantity:
            return Refused.QUANTITY, f"Quantity: expected at least {self.min_quantity}, found {wanted}."
        if order.quantity % self.quantity_step:
            return Refused.QUANTITY, f"Quantity: expected a multiple of {self.quantity_step}, found {wanted}."
        price_sent = order.limit_price if order.limit_price is not None else order.stop_price
        if price_sent is not None and (price_sent <= 0 or (self.price_tick is not None and price_sent % self.price_tick)):
            return Refused.PRICE, f"Price: expected a positive multiple of {self.price_tick or 'any tick'}, found {price_sent}."
        notional_usd = order.quantity * (price_sent or price or Decimal("Infinity"))
        if notional_usd < self.min_notional_usd:
            return Refused.NOTIONAL, f"Notional: expected ${self.min_notional_usd} or more, found {wanted} for ${notional_usd}."
        return None


def client_order_id(portfolio: str, strategy: str, symbol: str, session: dt.date, leg: Leg, *, arm: str = "") -> str:
    """One id for one intent: the same inputs give the same id, so that a rerun cannot place a second order.

    Parameters are those of the trade; `session` is the one whose open the order is for. `arm` tells orders that the strategy
    did not decide from its own: the side of an A/B test, a sale for risk, a stop that the desk watches; else it is empty. At
    most 48 characters, as Alpaca allows 128 and Interactive Brokers fewer.
    """
    key = f"{portfolio}|{strategy}|{symbol}|{session.isoformat()}|{leg}" + (f"|{arm}" if arm else "")
    return f"{session:%Y%m%d}-{leg}-{symbol}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"[:48]


class Origin(StrEnum):
    """The origin of an order."""

    SIGNAL = "signal"  # a strategy's decision at a close
    VENUE = "venue"  # a stop or target that rests at the venue
    WATCH = "watch"  # a stop or target that the desk watches
    RISK = "risk"  # a sale for risk
    OTHER = "other"  # a person, or whatever has no evidence on record


@dataclass(frozen=True)
class OrderIntent:
    """An order the desk intends to send, recorded before anything is sent.

    An entry is good for its `session` alone and expires after it; an exit is good until filled. `limit_price` and `stop_price`
    go with the order types of these names. `entry_order_id` is the entry that an exit closes.
    """

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
    stop_price: Decimal | None = None
    stop_pct: float | None = None
    target_pct: float | None = None
    max_sessions: int | None = None
    arm: str = ""
    origin: Origin = Origin.OTHER
    entry_order_id: str | None = None

    @property
    def by_strategy(self) -> bool:
        """True when a strategy decided it: an exit under an arm is a sale for risk, or a stop that the desk watches."""
        return self.leg is Leg.ENTRY or not self.arm


@dataclass(frozen=True)
class Fill:
    """An execution of an order or of a part of it, once for each `fill_id`; `price` includes slippage, `raw_price` does not.

    A venue's fill has its price in both, and its own execution id, prefixed with the venue's name, as `fill_id`.
    """

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


MOST_USD = 1e12  # a larger figure stands for "not set": TWS sends the largest double
BPS = 10_000
STUB_SPREAD_BPS = 5_000  # who must quote and wants no trade asks a multiple of what he bids


@dataclass(frozen=True)
class Quote:
    """The best bid and ask of a symbol, as they were told; `at` is in UTC.

    An absurd one can be made, so that it can be named: ask `objection` before anything is reckoned from the prices.
    """

    symbol: str
    bid: Decimal
    ask: Decimal
    at: dt.datetime

    def __post_init__(self) -> None:
        if self.at.tzinfo is None or self.at.utcoffset():
            raise ValueError(f"Quote of {self.symbol}: expected a time in UTC, found {self.at.isoformat()}.")

    @property
    def mid(self) -> Decimal:
        """Halfway between bid and ask."""
        return (self.bid + self.ask) / 2

    @property
    def spread_bps(self) -> Decimal:
        """Spread between ask and bid, in basis points of the mid: the loss of buying and selling at once."""
        return BPS * (self.ask - self.bid) / self.mid

    def objection(self, now: dt.datetime, *, max_age_seconds: float, max_spread_bps: float = STUB_SPREAD_BPS) -> str | None:
        """Return why the quote does not describe the market at `now`, or None; a future one is wrong as an old one is."""
        quoted = f"{self.bid} bid, {self.ask} asked"
        if not (self.bid.is_finite() and self.ask.is_finite()):
            return f"expected two prices, found {quoted}"
        if min(self.bid, self.ask) <= 0:
            return f"expected both prices over 0, found {quoted}"
        if self.bid > self.ask:
            return f"expected the bid not over the ask, found {quoted}"
        if self.spread_bps > max_spread_bps:
            return f"expected a spread of at most {max_spread_bps:g} bps, found {quoted}"
        age = (now - self.at).total_seconds()
        if age > max_age_seconds or seconds_ahead(self.at, now):
            return f"expected a quote of the last {max_age_seconds:g} s, found one {age:.0f} s old"
        return None


@dataclass(frozen=True)
class MarketClock:
    """A venue's clock; times are UTC."""

    now: dt.datetime
    is_open: bool
    next_open: dt.datetime
    next_close: dt.datetime


@dataclass(frozen=True)
class MarketDay:
    """A session and its hours at a venue; times are UTC."""

    session: dt.date
    open: dt.datetime
    close: dt.datetime
