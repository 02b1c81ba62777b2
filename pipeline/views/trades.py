"""The view of closed trades, newest first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.resources import Resources, live
from pipeline.views.view import MOST_ROWS, After, RecordFilter, Row, View

Side = Literal["long", "short"]
SIDES: dict[int, Side] = {1: "long", -1: "short"}


class TradeFilter(RecordFilter):
    """Trades of a book, a sleeve, a symbol, a span of exit sessions or a reason."""

    reason: Annotated[str | None, Field(max_length=50, pattern=r"^[^\x00]+$", description="Reason of the exit.")] = None


class TradeRow(Row):
    """A closed trade, net of costs."""

    book: str
    sleeve: str
    symbol: str
    side: Side
    quantity: float
    decision_session: Annotated[dt.date, Field(description="At whose close the entry was decided.")]
    entry_session: dt.date
    entry_price: Annotated[float, Field(description="Slippage included.")]
    exit_session: dt.date
    exit_price: Annotated[float, Field(description="Slippage included.")]
    holding_sessions: int
    reason: Annotated[str, Field(description="Reason of the exit: stop, target, rule, time, risk or another.")]
    pnl_usd: Annotated[float, Field(description="Profit, net of costs.")]
    cost_usd: Annotated[float, Field(description="Commission and slippage of both legs.")]
    gross_return_pct: Annotated[float, Field(description="Of the entry's notional, before costs.")]
    net_return_pct: Annotated[float, Field(description="Of the entry's notional, after costs.")]
    stop_pct: Annotated[float | None, Field(description="Distance of the stop from the raw entry price, in %.")]
    target_pct: float | None
    entry_order_id: Annotated[str | None, Field(description="null: no order on record made it.")]
    mean_price: Annotated[
        float | None,
        Field(
            description="Average at the decision, in the terms of its bars; null: a strategy without a band, or not recorded."
        ),
    ]
    band_price: Annotated[float | None, Field(description="Band at the decision, beyond which the rule enters.")]


def read_trades(
    wanted: TradeFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[TradeRow]:
    """Return closed trades, the newest exit first."""
    resources = resources or live()
    return TRADES.rows([trade_fields(row) for row in resources.record_pages.trades(wanted.span(after, limit))])


def trade_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a closed trade's row: its side as a word, its returns in percent."""
    fields = dict(row)
    gross, net = fields.pop("gross_return"), fields.pop("net_return")
    return fields | {"side": SIDES[row["side"]], "gross_return_pct": 100 * gross, "net_return_pct": 100 * net}


TRADES = View(
    name="trades",
    summary="Closed trades, net of costs, newest first.",
    filter=TradeFilter,
    row=TradeRow,
    read=read_trades,
    key=("exit_session", "entry_session", "book", "sleeve", "symbol"),
    shown=(
        "book",
        "sleeve",
        "symbol",
        "side",
        "quantity",
        "entry_session",
        "entry_price",
        "exit_session",
        "exit_price",
        "holding_sessions",
        "reason",
        "net_return_pct",
        "pnl_usd",
        "cost_usd",
    ),
)
