"""The intake of a venue's reports into the book: order states, and fills with the positions they make. It sends nothing.

Events may come twice, late or out of order, from a stream and from polling at once: the book ends the same. A fill is
identified by its `fill_id`; an order is FILLED by its fills alone, so a state reported ahead of them is taken as ACCEPTED.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from core.errors import IllegalTransition, StopTrading, UnreadableAnswer
from core.failpoints import reach
from core.models import Leg, OrderState, Position, Side, follows
from trading.brokers.children import child_order, is_ours
from trading.corporate_actions import present_fill
from trading.fills import brackets
from trading.orders import exact
from trading.portfolio import exit_reason

if TYPE_CHECKING:
    import datetime as dt
    from decimal import Decimal

    from core.models import Fill, OrderIntent, OrderView
    from trading.brokers.base import Broker
    from trading.brokers.book import Book

log = structlog.get_logger()


def take_state(book: Book, client_order_id: str, news: OrderState, reason: str = "") -> OrderState:
    """Take the state a venue reports and return the order's state after it; a report that is old or repeated changes nothing.

    Raises
    ------
    core.errors.IllegalTransition
        When the news contradicts the book.
    LookupError
        When the book does not know the order.
    """
    if news in {OrderState.FILLED, OrderState.PARTIALLY_FILLED}:
        news = OrderState.ACCEPTED
    _, state = stored_order(book, client_order_id)
    while follows(state, news):
        if moved(book, client_order_id, state, news, reason):
            return news
        _, state = stored_order(book, client_order_id)
    return state


def moved(book: Book, client_order_id: str, state: OrderState, news: OrderState, reason: str) -> bool:
    """Move the order from a state read before; False when someone else has moved it in between, and it must be read again."""
    try:
        return book.transition(client_order_id, news, reason)
    except IllegalTransition:
        if stored_order(book, client_order_id)[1] is state:
            raise
        return False


def stored_order(book: Book, client_order_id: str) -> tuple[OrderIntent, OrderState]:
    """The order, which must be in the book."""
    found = book.order(client_order_id)
    if found is None:
        raise LookupError(f"Order {client_order_id} is not in the book; record its intent first.")
    return found


def take_fill(book: Book, fill: Fill) -> bool:
    """Record a fill of an order in the book, or of a child of one, with the position after it; False when it is stored already.

    Raises
    ------
    core.errors.StopTrading
        When the desk never meant the order: reconciliation names what it is.
    """
    order = _order_of(book, fill)
    if order is None:
        raise StopTrading(f"A fill of {fill.symbol} under the unknown order {fill.client_order_id}. Run `desk reconcile`.")
    fill = replace(fill, reason=exit_reason(order, fill))

    def change(before: Position | None) -> Position | None:  # called for a fill that is new
        return position_after(before, order, present_fill(book.book_events(order.portfolio), order, fill))

    taken = book.record_fill(fill, order, change)
    if taken:
        log.info("fill", symbol=fill.symbol, side=fill.side, quantity=str(fill.quantity), price=str(fill.price))
    return taken


def _order_of(book: Book, fill: Fill) -> OrderIntent | None:
    """Return the order a fill belongs to; searched again when a child has nothing to sell any more.

    The listener may have taken the fill between our two questions, and its position with it: the book knows the order then.
    """
    found = book.order(fill.client_order_id)
    order = child_order(book, fill) if found is None else found[0]
    if order is not None:
        return order
    again = book.order(fill.client_order_id)
    return None if again is None else again[0]


def collect(book: Book, broker: Broker, portfolio: str, since: dt.datetime) -> int:
    """Take the fills since an instant and the states of the orders still open in the book; return how many fills were new.

    What cannot be read is passed over, and costs no other order its news: reconciliation names it.
    """
    fills = sorted(broker.fills(since), key=lambda fill: (fill.filled_at, fill.fill_id))  # entries before their exits
    reach("collect.read")
    fresh = 0
    for fill in fills:
        if not is_ours(book, fill.client_order_id):
            log.warning("fill_of_an_unknown_order", client_order_id=fill.client_order_id, symbol=fill.symbol)
            continue  # reconciliation names it
        fresh += take_fill(book, fill)
        reach("collect.taken")
    for order, state in book.open_orders(portfolio):
        view = None if state is OrderState.INTENT else _readable(broker, order.client_order_id)
        if view is not None:
            take_state(book, order.client_order_id, view.state, view.reason or f"found at {broker.name}")
    return fresh


def _readable(broker: Broker, client_order_id: str) -> OrderView | None:
    """Return the order as the venue has it; None when it has none, or its answer about this one cannot be read."""
    try:
        return broker.find(client_order_id)
    except UnreadableAnswer as error:
        log.warning("order_unreadable", client_order_id=client_order_id, reason=str(error))
        return None


def position_after(before: Position | None, order: OrderIntent, fill: Fill) -> Position | None:
    """The position after a fill: an entry opens or adds to it, an exit takes from it, and nothing is left at zero.

    Raises
    ------
    core.errors.StopTrading
        When an exit is larger than what is held, or an entry is against it.
    """
    signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
    if before is None:
        if order.leg is not Leg.ENTRY:
            raise StopTrading(f"A fill of exit {order.client_order_id}, and no {order.symbol} is held. Run `desk reconcile`.")
        return _opened(order, fill, signed)
    if (order.leg is Leg.ENTRY) != (signed * before.quantity > 0) or (
        order.leg is not Leg.ENTRY and abs(signed) > abs(before.quantity)
    ):
        raise StopTrading(
            f"A fill of {signed} {order.symbol} by {order.client_order_id} does not fit the {before.quantity} held. "
            "Run `desk reconcile`."
        )
    quantity = before.quantity + signed
    if order.leg is not Leg.ENTRY:
        return replace(before, quantity=quantity) if quantity else None
    return _added(before, _opened(order, fill, signed))


def _opened(order: OrderIntent, fill: Fill, signed: Decimal) -> Position:
    """A new position, with stop and target as percentages of the raw price of its fill."""
    side = 1 if signed > 0 else -1
    stop, target = brackets(side, float(fill.raw_price), _or_nan(order.stop_pct), _or_nan(order.target_pct))
    return Position(
        portfolio=order.portfolio,
        strategy=order.strategy,
        symbol=order.symbol,
        quantity=signed,
        entry_session=fill.session,
        entry_price=fill.price,
        stop_price=None if math.isnan(stop) else exact(stop),
        target_price=None if math.isnan(target) else exact(target),
        max_sessions=order.max_sessions,
        entry_order_id=order.client_order_id,
    )


def _added(held: Position, more: Position) -> Position:
    """Both as one, whichever came first: at average prices, stop and target too, since the earlier session."""

    def average(mine: Decimal | None, other: Decimal | None) -> Decimal | None:
        if mine is None or other is None:
            return mine
        return (held.quantity * mine + more.quantity * other) / (held.quantity + more.quantity)

    return replace(
        held,
        quantity=held.quantity + more.quantity,
        entry_session=min(held.entry_session, more.entry_session),
        entry_price=average(held.entry_price, more.entry_price) or held.entry_price,
        stop_price=average(held.stop_price, more.stop_price),
        target_price=average(held.target_price, more.target_price),
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
