"""TWS's orders and executions in the desk's terms: states, refusals by name, and fills."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from core.models import Answer, Fill, OrderState, OrderView, Refused, Side
from core.sessions import normalise_symbol
from trading.brokers.children import child_name
from trading.brokers.ib.reports import REJECTED, UNPROVEN
from trading.brokers.ib.rows import quantity_of, share_of
from trading.orders import exact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ib_async import Fill as Execution
    from ib_async import Trade

    from trading.brokers.ib.reports import Complaint, ReportingIB

NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
STATES = {
    "Filled": OrderState.FILLED,
    "Cancelled": OrderState.CANCELLED,
    "ApiCancelled": OrderState.CANCELLED,
    "Inactive": OrderState.REJECTED,
    "PendingCancel": OrderState.CANCEL_PENDING,
}
_REASONS = (
    (r"read-?only", Refused.ACCOUNT),
    (r"margin|equity with loan|available funds|buying power", Refused.BUYING_POWER),
    (r"day trad|pattern", Refused.DAY_TRADES),
    (r"halt", Refused.HALTED),
    (r"no security definition|not found", Refused.UNKNOWN_SYMBOL),
    (r"short", Refused.NOT_SHORTABLE),
    (r"price", Refused.PRICE),
    (r"\bsize|quantity|qty", Refused.QUANTITY),
    (r"market is closed|trading hours", Refused.MARKET_CLOSED),
    (r"account|permission", Refused.ACCOUNT),
)


def refused(complaint: Complaint) -> tuple[Refused, str]:
    """Return the name of a refusal, and TWS's words with its code."""
    words = re.sub(r"^Order rejected - reason:\s*", "", complaint.words)
    name = next((name for pattern, name in _REASONS if re.search(pattern, words, re.IGNORECASE)), Refused.OTHER)
    return name, f"{words} (TWS {complaint.code})"


def answer(ib: ReportingIB, trade: Trade) -> Answer:
    """Return what TWS's reports prove of an order that was just sent."""
    status, complaints = trade.orderStatus.status, ib.complaints_about(trade)
    filled = exact(trade.orderStatus.filled)
    silent = status in UNPROVEN
    refusal = next((each for each in reversed(complaints) if each.refuses or (silent and not each.is_notice)), None)
    ended = silent or STATES.get(status) in {OrderState.CANCELLED, OrderState.REJECTED}
    if refusal is not None and ended and not filled:
        return Answer(OrderState.REJECTED, *refused(refusal))
    if status == "Inactive":
        return Answer(OrderState.REJECTED, Refused.OTHER, "TWS holds the order inactive")
    return Answer(state_of(status, filled, exact(trade.order.totalQuantity)))


def view(ib: ReportingIB, trade: Trade) -> OrderView:
    """Return an order as TWS has it; one that was turned down after TWS took it is REJECTED, with TWS's words."""
    order, complaints = trade.order, ib.complaints_about(trade)
    parts = [fill.execution for fill in ib.fills() if order.orderRef and fill.execution.orderRef == order.orderRef]
    filled = sum((exact(part.shares) for part in parts), Decimal(0))
    paid = sum((exact(part.shares) * exact(part.price) for part in parts), Decimal(0))
    state = state_of(trade.orderStatus.status, filled, exact(order.totalQuantity))
    turned_down = next((each for each in reversed(complaints) if each.code in REJECTED), None)
    if turned_down is not None and state is OrderState.CANCELLED and not filled:
        state = OrderState.REJECTED
    return OrderView(
        client_order_id=order.orderRef,
        symbol=normalise_symbol(trade.contract.symbol),
        side=Side(order.action.lower()),
        quantity=exact(order.totalQuantity),
        state=state,
        filled_quantity=filled,
        average_price=paid / filled if filled else None,
        venue_order_id=str(order.permId),
        reason=refused(turned_down)[1] if turned_down is not None and state is OrderState.REJECTED else "",
    )


def state_of(status: str, filled: Decimal, quantity: Decimal) -> OrderState:
    """Return the state for TWS's word and what was executed.

    >>> state_of("PreSubmitted", Decimal(0), Decimal(10)), state_of("Submitted", Decimal(4), Decimal(10))
    (<OrderState.ACCEPTED: 'accepted'>, <OrderState.PARTIALLY_FILLED: 'partially_filled'>)
    """
    state = STATES.get(status, OrderState.ACCEPTED)
    if state is OrderState.ACCEPTED and filled:
        return OrderState.FILLED if filled >= quantity else OrderState.PARTIALLY_FILLED
    return OrderState.CANCELLED if state is OrderState.REJECTED and filled else state


def in_order(fills: Sequence[Fill]) -> list[Fill]:
    """Return the fills with a microsecond between those of one second, or an exit could be read as coming before its entry."""
    ordered: list[Fill] = []
    for fill in fills:
        earliest = ordered[-1].filled_at + dt.timedelta(microseconds=1) if ordered else fill.filled_at
        ordered.append(replace(fill, filled_at=max(fill.filled_at, earliest)))
    return ordered


def fill_of(found: Execution) -> Fill:
    """Return an execution as a fill; TWS tells one again under the same id."""
    execution, symbol = found.execution, share_of(found.contract)
    at = execution.time.astimezone(dt.UTC)
    child = child_name(execution.orderRef)
    return Fill(
        fill_id=f"ib-{execution.execId}",
        client_order_id=execution.orderRef,
        symbol=symbol,
        side=Side.BUY if execution.side == "BOT" else Side.SELL,
        quantity=quantity_of(execution.shares),
        price=exact(execution.price),
        raw_price=exact(execution.price),
        commission_usd=exact(found.commissionReport.commission),
        session=at.astimezone(NEW_YORK).date(),
        filled_at=at,
        reason="order" if child is None else child.kind,
    )
