"""Trades: closed trades with filters, page by page; the chosen one on its price chart, with everything behind its orders."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from monitoring.dashboard import figures, table
from monitoring.dashboard.errors import ApiError
from monitoring.dashboard.parts import order_story, trade_chart
from monitoring.dashboard.reading import Reader, api, environment, reading
from monitoring.dashboard.table import Column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitoring.dashboard.api import Answer

Query = dict[str, str | float | bool | None]
PAGE_ROWS: Final = 50
FEW_ROWS: Final = 9  # up to here the table needs no bar of its own to scroll
REASONS: Final = ("stop", "target", "rule", "time", "risk")
CURSORS, QUERY = "trades-cursors", "trades-query"  # of the session: the pages before this one, and what they were read for
COLUMNS: Final = (
    Column("exit_session", "Exit"),
    Column("sleeve", "Sleeve"),
    Column("symbol", "Symbol"),
    Column("side", "Side"),
    Column("pnl_usd", "Result", "USD", kind="signed"),
    Column("net_return_pct", "Net return", "%", kind="signed"),
    Column("reason", "Reason"),
    Column("quantity", "Quantity", "shares", kind="quantity"),
    Column("entry_session", "Entry"),
    Column("entry_price", "Entry price", "USD", kind="number"),
    Column("exit_price", "Exit price", "USD", kind="number"),
    Column("holding_sessions", "Held", "sessions", kind="number", decimals=0),
    Column("cost_usd", "Cost", "USD", kind="number"),
)


def draw(book: str | None) -> None:
    """Draw the filters, the table, and the chosen trade."""
    st.title("Trades")
    query = _filters(book)
    if st.session_state.get(QUERY) != query:
        st.session_state[QUERY], st.session_state[CURSORS] = query, []
    cursors: list[str] = st.session_state[CURSORS]
    after = cursors[-1] if cursors else None
    page = _page(query, after)
    rows = page.rows if page else []
    with st.container(height=360 if len(rows) > FEW_ROWS else "content", border=False):
        st.fragment(_draw_table, run_every=environment().refresh_seconds)(query, after, len(cursors))
    with st.container(horizontal=True):
        st.button("Newer trades", disabled=not cursors, on_click=_step, args=(None,), key="trades-newer")
        following = page.next if page else None
        st.button("Older trades", disabled=following is None, on_click=_step, args=(following,), key="trades-older")
        export = partial(api().export, "/trades", "csv", **query)
        table.download("Trades as CSV", f"trades-{book or 'desk'}.csv", export, key="trades-csv")
    if rows:
        _draw_trade(_chosen(rows))


def _page(query: Query, after: str | None) -> Answer | None:
    """Return the page of the table, from memory where it was just read; None when the API gives none."""
    try:
        return api().read("/trades", **query, after=after, limit=PAGE_ROWS)
    except ApiError:
        return None


def _filters(book: str | None) -> Query:
    """Draw the filters, which stand in the address too; return the query."""
    sleeve, symbol, reason, first, last = st.columns(5)
    picked = {
        "sleeve": sleeve.selectbox(
            "Sleeve", _names(book, "sleeve"), index=None, key="trades-sleeve", placeholder="all", bind="query-params"
        ),
        "symbol": symbol.selectbox(
            "Symbol", _names(book, "symbol"), index=None, key="trades-symbol", placeholder="all", bind="query-params"
        ),
        "reason": reason.selectbox(
            "Reason of the exit",
            REASONS,
            index=None,
            key="trades-reason",
            placeholder="all",
            bind="query-params",
            accept_new_options=True,
        ),
    }
    from_day = first.date_input("Exit from", None, key="trades-first", bind="query-params", format="YYYY-MM-DD")
    to_day = last.date_input("Exit to", None, key="trades-last", bind="query-params", format="YYYY-MM-DD")
    return {"book": book, **picked, "first": _iso(from_day), "last": _iso(to_day)}


def _iso(day: object) -> str | None:
    return day.isoformat() if isinstance(day, dt.date) else None


def _names(book: str | None, kind: str) -> list[str]:
    """Return the sleeves or symbols with a result on record."""
    try:
        rows = api().read("/pnl", book=book, by=kind, period="start", limit=500).rows
    except ApiError:
        return []
    return sorted({str(row[kind]) for row in rows if row[kind]})


def _draw_table(query: Query, after: str | None, place: int) -> None:
    with reading() as reader:
        rows = reader.rows("/trades", **query, after=after, limit=PAGE_ROWS)
        first = place * PAGE_ROWS
        span = f", {first + 1:,} to {first + len(rows):,}" if rows else ""
        table.draw(COLUMNS, rows, caption=f"Closed trades, newest first{span}", empty="No trade matches the filters.")


def _step(following: str | None) -> None:
    """Go to the page after a cursor; None goes a page back."""
    cursors: list[str] = st.session_state[CURSORS]
    if following is not None:
        cursors.append(following)
    elif cursors:
        cursors.pop()


def _chosen(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Draw the choice of a trade of the table; return it."""
    named = {key_of(row): row for row in rows}
    chosen = st.selectbox(
        "Trade to show", list(named), format_func=lambda key: label(named[key]), key="trades-chosen", bind="query-params"
    )
    row: dict[str, Any] = named.get(str(chosen), rows[0])
    return row


def key_of(row: Mapping[str, Any]) -> str:
    """Return the text that names a trade in the page's address."""
    return " ".join(str(row[name]) for name in ("exit_session", "entry_session", "book", "sleeve", "symbol"))


def label(row: Mapping[str, Any]) -> str:
    """Return the words that name a trade.

    >>> trade = {"symbol": "SPY", "side": "long", "entry_session": "2026-02-26", "exit_session": "2026-03-02"}
    >>> label(trade | {"pnl_usd": 12.5, "sleeve": "rsi", "book": "main"})
    'SPY long, 2026-02-26 to 2026-03-02, +12.50 USD, rsi in main'
    """
    span = f"{row['entry_session']} to {row['exit_session']}"
    return f"{row['symbol']} {row['side']}, {span}, {figures.signed(row['pnl_usd'])} USD, {row['sleeve']} in {row['book']}"


def _draw_trade(trade: Mapping[str, Any]) -> None:
    """Draw a trade on its price chart and its explanation beside it."""
    with reading() as reader:
        picture, story = st.columns([3, 2])
        entry, leaving = orders_of(reader, trade)
        with picture:
            st.subheader(f"{trade['symbol']} {trade['side']}, {trade['entry_session']} to {trade['exit_session']}")
            trade_chart.draw(reader, trade, entry)
        with story:
            st.subheader("Everything behind it")
            order_story.draw(trade, entry, leaving)


def orders_of(reader: Reader, trade: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return what stands behind the entry of a trade and behind its exit; None where no order is on record."""
    entry_id = trade["entry_order_id"]
    if entry_id is None:
        return None, None
    span = {"first": trade["exit_session"], "last": trade["exit_session"]}
    exits = reader.rows("/orders", book=trade["book"], symbol=trade["symbol"], leg="exit", **span, limit=100) or []
    exit_id = next((row["client_order_id"] for row in exits if row["entry_order_id"] == entry_id), None)
    entry = reader.content(order_story.path_of(entry_id))
    return entry, None if exit_id is None else reader.content(order_story.path_of(exit_id))
