"""Corporate actions on a book: what a split, spin-off, rename or delisting does to positions, orders and fills.

Pure, and the only module that knows it: the paper broker, live books, replays and parity go through it. Quantities are
multiplied by the ratio, prices divided by it; a fraction of a share that the venue does not keep is settled in cash at the last
price (cash in lieu). Stop and target keep their distance in percent.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from core.book_events import BookEvent, BookEventKind, exact_ratio, scaled, terms_since
from core.models import Leg

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence
    from fractions import Fraction

    import pandas as pd

    from core.models import Fill, OrderIntent, Position


def scaled_position(position: Position, event: BookEvent) -> Position | None:
    """Return the position in the terms after an event; None when the fraction settled in cash is all of it.

    >>> import datetime as dt
    >>> from core.models import Position
    >>> day = dt.date(2020, 8, 28)
    >>> held = Position("main", "rsi", "AAPL", Decimal(400), day, Decimal(100), Decimal(95), None, 5, "entry")
    >>> split = BookEvent("1", "main", BookEventKind.SPLIT, day, "rsi", "AAPL", Decimal(2), Decimal(2))
    >>> after = scaled_position(held, split)
    >>> str(after.quantity), str(after.entry_price), str(after.stop_price)
    ('800', '50', '47.5')
    """
    quantity = scaled(position.quantity, exact_ratio(event.ratio)) - event.fraction
    if not quantity:
        return None
    per_share = 1 / exact_ratio(event.price_ratio)
    return replace(
        position,
        symbol=event.new_symbol or position.symbol,
        quantity=quantity,
        entry_price=scaled(position.entry_price, per_share),
        stop_price=_scaled(position.stop_price, per_share),
        target_price=_scaled(position.target_price, per_share),
    )


def order_after(order: OrderIntent, event: BookEvent, held: Position | None) -> OrderIntent:
    """Return an open order in the terms after an event; one that closes the whole position `held` goes on doing so."""
    after = scaled_order(order, exact_ratio(event.ratio), exact_ratio(event.price_ratio))
    closes = held is not None and order.leg is Leg.EXIT and order.quantity == abs(held.quantity)
    return replace(after, quantity=after.quantity - abs(event.fraction)) if closes or held is None else after


def scaled_order(order: OrderIntent, ratio: Fraction, price_ratio: Fraction) -> OrderIntent:
    """Return an order in the terms after ratios of quantity and price."""
    return replace(
        order,
        quantity=scaled(order.quantity, ratio),
        limit_price=_scaled(order.limit_price, 1 / price_ratio),
        stop_price=_scaled(order.stop_price, 1 / price_ratio),
    )


def scaled_fill(fill: Fill, ratio: Fraction, price_ratio: Fraction) -> Fill:
    """Return a fill in the terms after ratios of quantity and price; its value stays what it was after a split."""
    return replace(
        fill,
        quantity=scaled(fill.quantity, ratio),
        price=scaled(fill.price, 1 / price_ratio),
        raw_price=scaled(fill.raw_price, 1 / price_ratio),
    )


def present_fill(events: Iterable[BookEvent], order: OrderIntent, fill: Fill) -> Fill:
    """Return a fill of an order in the terms of today."""
    ratio, price_ratio = terms_since(events, order.strategy, order.symbol, fill.session)
    return fill if ratio == price_ratio == 1 else scaled_fill(fill, ratio, price_ratio)


def rescaled_trades(trades: pd.DataFrame, ratios: Sequence[float]) -> pd.DataFrame:
    """Return TRADES in new terms, given a ratio of shares for each: quantities times it, prices by it; profits stay."""
    if all(ratio == 1 for ratio in ratios):
        return trades
    prices = {name: trades[name] / list(ratios) for name in ("entry_price", "exit_price")}
    return trades.assign(quantity=trades["quantity"] * list(ratios), **prices)


def split_of(
    position: Position,
    kind: BookEventKind,
    value: float,
    *,
    effective: dt.date,
    session: dt.date,
    step: Decimal | None = None,
    last_price: Decimal | None = None,
) -> BookEvent:
    """Return the event by which a split or spin-off changes a position.

    Parameters
    ----------
    value
        New shares for an old one; of a spin-off the old price over the new one.
    effective
        Session on which the exchange applies it: part of the event's id.
    session
        First session of the book in the new terms.
    step
        Smallest quantity that the venue keeps; None keeps every fraction.
    last_price
        Price of a new share, for cash in lieu.

    Raises
    ------
    ValueError
        When the value is not a positive number, or a fraction has no price.
    """
    event = _scaling(position, kind, value, effective=effective, session=session, step=step)
    if event.fraction and last_price is None:
        shares = f"no price for {event.fraction} shares to be settled in cash"
        raise ValueError(f"{kind} of {position.symbol}: {shares}. Load its bars.")
    return replace(event, cash_usd=event.fraction * (last_price or Decimal(0)))


def order_split(
    order: OrderIntent,
    kind: BookEventKind,
    value: float,
    *,
    effective: dt.date,
    session: dt.date,
    step: Decimal | None = None,
) -> BookEvent:
    """Return the event by which a split or spin-off changes an open order that has no position; see `split_of`.

    The order loses the fraction below the venue's step, and no cash goes with it.
    """
    return _scaling(order, kind, value, effective=effective, session=session, step=step)


def _scaling(
    each: Position | OrderIntent,
    kind: BookEventKind,
    value: float,
    *,
    effective: dt.date,
    session: dt.date,
    step: Decimal | None,
) -> BookEvent:
    """Return the event by which a split or spin-off changes a position or an order, without cash."""
    if not value > 0:
        raise ValueError(f"{kind} of {each.symbol}: expected a ratio over 0, found {value}.")
    ratio = Decimal(str(value))
    shares = Decimal(1) if kind is BookEventKind.SPIN_OFF else ratio
    return BookEvent(
        event_id=event_id(each, kind, effective),
        portfolio=each.portfolio,
        kind=kind,
        session=session,
        strategy=each.strategy,
        symbol=each.symbol,
        ratio=shares,
        price_ratio=ratio,
        fraction=_fraction(scaled(each.quantity, exact_ratio(shares)), step),
        reason=f"{kind} {value:g} of {effective}",
    )


def event_id(position: Position | OrderIntent, kind: BookEventKind, effective: dt.date) -> str:
    """Return the id under which an action is applied to a position, or to an order that opens it, once."""
    return f"{position.portfolio}|{position.strategy}|{position.symbol}|{kind}|{effective.isoformat()}"


def _fraction(quantity: Decimal, step: Decimal | None) -> Decimal:
    """Return what of a quantity is below the venue's step, signed."""
    if step is None:
        return Decimal(0)
    whole = (quantity / step).to_integral_value(ROUND_DOWN) * step  # toward zero, also for a short
    return quantity - whole


def _scaled(price: Decimal | None, ratio: Fraction) -> Decimal | None:
    return None if price is None else scaled(price, ratio)
