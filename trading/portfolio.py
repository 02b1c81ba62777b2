"""Positions, their value and finished trades, from fills. Pure arithmetic; it stores and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from core.book_events import exact_ratio
from core.errors import DataError
from core.frames import TRADES
from core.models import Leg, Origin, Side
from core.sessions import calendar_name, sessions_between
from trading.corporate_actions import scaled_fill
from trading.costs import outcome
from trading.fills import REASONS, RISK

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from core.book_events import BookEvent
    from core.models import Fill, OrderIntent, Position


ROUNDING = Decimal("1e-15")


@dataclass(frozen=True)
class Account:
    """Value of a portfolio at one moment; `exposure_usd` is the gross notional of its positions and entry orders."""

    cash_usd: float
    equity_usd: float
    exposure_usd: float


def account(
    cash_usd: Decimal | float, positions: Iterable[Position], orders: Iterable[OrderIntent], prices: Mapping[str, float]
) -> Account:
    """Return the account with positions, and entries ordered but not filled, marked to `prices`, the last closes.

    Raises
    ------
    DataError
        When a symbol held or ordered has no price.
    """
    held = [(position.symbol, float(position.quantity)) for position in positions]
    ordered = [(order.symbol, float(order.quantity)) for order in orders if order.leg is Leg.ENTRY]
    unknown = [symbol for symbol, _ in (*held, *ordered) if symbol not in prices]
    if unknown:
        raise DataError(f"No price for {unknown[0]}, which is held or ordered. Load its bars before deciding.")
    value = sum(quantity * prices[symbol] for symbol, quantity in held)
    exposure = sum(abs(quantity) * prices[symbol] for symbol, quantity in (*held, *ordered))
    return Account(float(cash_usd), float(cash_usd) + value, exposure)


def sessions_held(symbol: str, entry_session: dt.date, session: dt.date) -> int:
    """Return the sessions of the symbol's exchange from entry to `session`, both counted.

    >>> import datetime as dt
    >>> sessions_held("SPY", dt.date(2018, 12, 24), dt.date(2018, 12, 27))  # the 25th is a holiday
    3
    """
    return len(sessions_between(entry_session, session, calendar_name(symbol)))


def trades_of(fills: Sequence[tuple[OrderIntent, Fill]], events: Sequence[BookEvent] = ()) -> pd.DataFrame:
    """Return TRADES from fills in time order: exits close the entries before them in the same strategy and symbol.

    A trade is finished when its exits have taken all that its entries brought; fills in parts count at their average price.
    Returns and costs are those of `trading.costs.outcome`, as in the backtest; a position still open is not a trade yet.

    Parameters
    ----------
    events
        Splits and renames of the book: a trade held over them is in the terms of its exit, and a fraction settled in cash is
        part of the exit.
    """
    trips: dict[tuple[str, str, str], _Trip] = {}
    rows = []
    waiting = sorted((event for event in events if event.symbol), key=lambda event: event.session)
    for order, fill in fills:
        while waiting and waiting[0].session <= fill.session:
            ended = _change_terms(trips, waiting.pop(0))
            rows += [] if ended is None else [ended.trade()]
        key = (order.portfolio, order.strategy, fill.symbol)
        if order.leg is Leg.ENTRY:
            trips.setdefault(key, _Trip(order, [], [], [])).entries.append(fill)
            continue
        trip = trips[key]
        trip.exits.append(replace(fill, reason=exit_reason(order, fill)))
        if trip.is_over():
            rows.append(trips.pop(key).trade())
    rows += [ended.trade() for event in waiting if (ended := _change_terms(trips, event)) is not None]
    return TRADES.coerce(pd.DataFrame(rows)) if rows else TRADES.empty()


def exit_reason(order: OrderIntent, fill: Fill) -> str:
    """Return the reason of a fill; that of a sale for risk is `risk`, whatever the venue calls it."""
    return REASONS[RISK] if order.origin is Origin.RISK else fill.reason


class _Trip(NamedTuple):
    order: OrderIntent
    entries: list[Fill]
    exits: list[Fill]
    settled: list[Fill]  # fractions of a share, in cash

    def trade(self) -> dict[str, object]:
        """Return the finished trade as a row."""
        exits = _whole([*self.exits, *self.settled], max(len(self.exits) - 1, 0))
        return _trade(self.order, _whole(self.entries, 0), exits)

    def is_over(self) -> bool:
        """Return True when what was entered has left, but for a rounding of divisions by a ratio."""
        entered = _quantity(self.entries)
        return abs(entered - _quantity(self.exits) - _quantity(self.settled)) <= entered * ROUNDING


def _change_terms(trips: dict[tuple[str, str, str], _Trip], event: BookEvent) -> _Trip | None:
    """Bring the open trade that an event concerns into the terms after it; return it when the event ends it."""
    key = (event.portfolio, event.strategy, event.symbol)
    trip = trips.pop(key, None)
    if trip is None:
        return None
    ratio, price_ratio = exact_ratio(event.ratio), exact_ratio(event.price_ratio)
    name = event.new_symbol or event.symbol
    parts = [[replace(scaled_fill(part, ratio, price_ratio), symbol=name) for part in fills] for fills in trip[1:]]
    after = _Trip(trip.order, *parts)
    if event.fraction:
        after.settled.append(_settled_in_cash(after.entries[0], event))
    if after.is_over():
        return after
    trips[event.portfolio, event.strategy, name] = after
    return None


def _settled_in_cash(entry: Fill, event: BookEvent) -> Fill:
    """Return the fraction of a share that was settled in cash, as a fill without costs."""
    price = event.cash_usd / event.fraction
    side = Side.SELL if entry.side is Side.BUY else Side.BUY
    return replace(
        entry,
        fill_id=f"{entry.fill_id}-in-lieu",
        side=side,
        quantity=abs(event.fraction),
        price=price,
        raw_price=price,
        commission_usd=Decimal(0),
        session=event.session,
        reason=str(event.kind),
    )


def _quantity(parts: list[Fill]) -> Decimal:
    return sum((part.quantity for part in parts), Decimal(0))


def _whole(parts: list[Fill], dated: int) -> Fill:
    """Return the parts as one fill at their average prices, in the session of part `dated`; the first gives the reason."""
    if len(parts) == 1:
        return parts[0]
    quantity = _quantity(parts)
    return replace(
        parts[0],
        quantity=quantity,
        price=sum((part.quantity * part.price for part in parts), Decimal(0)) / quantity,
        raw_price=sum((part.quantity * part.raw_price for part in parts), Decimal(0)) / quantity,
        commission_usd=sum((part.commission_usd for part in parts), Decimal(0)),
        session=parts[dated].session,
    )


def _trade(order: OrderIntent, entry: Fill, exit_: Fill) -> dict[str, object]:
    side = 1 if entry.side is Side.BUY else -1
    quantity, paid, raw_paid = float(entry.quantity), float(entry.price), float(entry.raw_price)
    got, raw_got = float(exit_.price), float(exit_.raw_price)
    fees = float(entry.commission_usd) + float(exit_.commission_usd)
    gross, net, pnl, cost = outcome(side, quantity, raw_paid, raw_got, paid, got, fees)
    return {
        "symbol": exit_.symbol,
        "strategy": order.strategy,
        "side": side,
        "decision_session": pd.Timestamp(order.decision_session),
        "entry_session": pd.Timestamp(entry.session),
        "exit_session": pd.Timestamp(exit_.session),
        "entry_price": paid,
        "exit_price": got,
        "quantity": quantity,
        "gross_return": gross,
        "net_return": net,
        "pnl_usd": pnl,
        "cost_usd": cost,
        "holding_sessions": sessions_held(exit_.symbol, entry.session, exit_.session) - 1,
        "reason": exit_.reason,
    }
