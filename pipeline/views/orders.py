"""Views of orders and of their fills, newest first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.resources import Resources, live
from pipeline.views.exchange_time import at_exchange
from pipeline.views.view import MOST_ROWS, After, RecordFilter, Row, View

State = Annotated[
    str | None, Field(max_length=30, pattern=r"^[a-z_]+$", description="State of the order, such as filled or rejected.")
]
Leg = Literal["entry", "exit"]


class OrderFilter(RecordFilter):
    """Orders of a book, a sleeve, a symbol, a span of sessions, a state or a leg."""

    state: State = None
    leg: Annotated[Leg | None, Field(description="entry or exit.")] = None


class OrderRow(Row):
    """An order, its state and what of it is filled; GET /orders/{client_order_id} has everything behind it."""

    client_order_id: str
    book: str
    sleeve: str
    symbol: str
    session: Annotated[dt.date, Field(description="For whose open, or close, it is meant.")]
    decision_session: Annotated[dt.date, Field(description="At whose close it was decided.")]
    leg: Leg
    side: Literal["buy", "sell"]
    order_type: str
    quantity: Annotated[float, Field(description="Shares or units, in the terms of today's open orders after a split.")]
    limit_price: float | None
    stop_price: float | None
    stop_pct: Annotated[float | None, Field(description="Distance of the entry's stop from its raw price, in %.")]
    target_pct: float | None
    max_sessions: Annotated[int | None, Field(description="Sessions after which the position is closed.")]
    state: str
    reason: Annotated[str | None, Field(description="Reason of the last change of its state.")]
    filled_quantity: Annotated[float | None, Field(description="null: nothing is filled.")]
    average_price: Annotated[float | None, Field(description="Mean price of its fills, slippage included.")]
    commission_usd: float | None
    slippage_usd: Annotated[float | None, Field(description="Cost of the fills against their raw prices; positive costs.")]
    origin: Annotated[str, Field(description="signal, risk or another source.")]
    arm: Annotated[str, Field(description="Model that decided during an A/B test; empty without one.")]
    entry_order_id: Annotated[str | None, Field(description="Of an exit: the entry that it closes.")]
    created_at: dt.datetime
    created_at_exchange: dt.datetime
    updated_at: dt.datetime
    updated_at_exchange: dt.datetime
    code_commit: Annotated[str, Field(description="Of the code that decided it.")]
    dag_run: Annotated[str | None, Field(description="Airflow's run; null for a terminal.")]


class FillFilter(RecordFilter):
    """Fills of a book, a sleeve, a symbol, a span of sessions or one order."""

    client_order_id: Annotated[str | None, Field(max_length=200, pattern=r"^[^\x00]+$", description="Of this order.")] = None


class FillRow(Row):
    """An execution of an order or of a part of it."""

    fill_id: str
    client_order_id: str
    book: str
    sleeve: str
    symbol: str
    leg: Leg
    side: Literal["buy", "sell"]
    quantity: float
    price: Annotated[float, Field(description="Slippage included.")]
    raw_price: Annotated[float, Field(description="Before slippage.")]
    slippage_bps: Annotated[float | None, Field(description="Against the desk, in basis points of the raw price.")]
    notional_usd: Annotated[float, Field(description="Quantity times price.")]
    commission_usd: float
    reason: str
    session: dt.date
    filled_at: dt.datetime
    filled_at_exchange: dt.datetime


def read_orders(
    wanted: OrderFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[OrderRow]:
    """Return orders, the newest session first."""
    resources = resources or live()
    return ORDERS.rows([_order(row) for row in resources.record_pages.orders(wanted.span(after, limit))])


def read_fills(
    wanted: FillFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[FillRow]:
    """Return fills, the newest first."""
    resources = resources or live()
    return FILLS.rows([_fill(row) for row in resources.record_pages.fills(wanted.span(after, limit))])


def _order(row: Mapping[str, Any]) -> dict[str, Any]:
    symbol = row["symbol"]
    return {
        **row,
        "created_at_exchange": at_exchange(row["created_at"], symbol),
        "updated_at_exchange": at_exchange(row["updated_at"], symbol),
    }


def _fill(row: Mapping[str, Any]) -> dict[str, Any]:
    price, raw = row["price"], row["raw_price"]
    against = price - raw if row["side"] == "buy" else raw - price
    return {
        **row,
        "slippage_bps": 10_000 * against / raw if raw else None,
        "notional_usd": row["quantity"] * price,
        "filled_at_exchange": at_exchange(row["filled_at"], row["symbol"]),
    }


ORDERS = View(
    name="orders",
    summary="Orders with their state and what of them is filled, newest first.",
    filter=OrderFilter,
    row=OrderRow,
    read=read_orders,
    key=("session", "created_at", "client_order_id"),
    shown=(
        "session",
        "book",
        "sleeve",
        "symbol",
        "leg",
        "side",
        "quantity",
        "order_type",
        "state",
        "filled_quantity",
        "average_price",
        "reason",
        "client_order_id",
    ),
)
FILLS = View(
    name="fills",
    summary="Fills with price, slippage and commission, newest first.",
    filter=FillFilter,
    row=FillRow,
    read=read_fills,
    key=("session", "filled_at", "fill_id"),
    shown=(
        "filled_at",
        "book",
        "sleeve",
        "symbol",
        "side",
        "quantity",
        "price",
        "slippage_bps",
        "commission_usd",
        "reason",
        "client_order_id",
    ),
)
