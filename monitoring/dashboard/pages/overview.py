"""Overview: equity with drawdown, today's result, what is held and ordered, what needs a person, and the state of each part."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from monitoring.dashboard import chart, figures, table
from monitoring.dashboard.chart import Line, Pane
from monitoring.dashboard.parts import attention, health
from monitoring.dashboard.reading import Reader, api, environment, reading
from monitoring.dashboard.table import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

POINTS: Final = 2_000  # of the curve: the API thins a longer one to weeks or months
NEWEST: Final = 20
PERIODS: Final = {"today": "Today", "week": "This week", "month": "This month", "start": "Since the start"}
POSITIONS: Final = (
    Column("sleeve", "Sleeve"),
    Column("symbol", "Symbol"),
    Column("quantity", "Quantity", "shares", kind="quantity"),
    Column("value_usd", "Value", "USD", kind="number"),
    Column("unrealised_usd", "Unrealised", "USD", kind="signed"),
    Column("unrealised_pct", "Unrealised", "%", kind="signed"),
    Column("stop_distance_pct", "To the stop", "%", kind="number"),
    Column("target_distance_pct", "To the target", "%", kind="number"),
    Column("sessions_left", "Left", "sessions", kind="number", decimals=0),
    Column("entry_session", "Entry"),
    Column("entry_price", "Entry price", "USD", kind="number"),
    Column("last_price", "Last price", "USD", kind="number"),
    Column("price_session", "Priced"),
    Column("reason", "Note", wraps=True),
)
ORDERS: Final = (
    Column("created_at", "Decided", kind="instant"),
    Column("session", "For session"),
    Column("sleeve", "Sleeve"),
    Column("symbol", "Symbol"),
    Column("leg", "Leg"),
    Column("side", "Side"),
    Column("quantity", "Quantity", "shares", kind="quantity"),
    Column("state", "State", tone=lambda row: "bad" if row.get("state") in {"rejected", "unknown"} else ""),
    Column("filled_quantity", "Filled", "shares", kind="quantity"),
    Column("average_price", "Average price", "USD", kind="number"),
    Column("reason", "Reason"),
    Column("order_type", "Type"),
)
DEPLOYMENTS: Final = (
    Column("name", "Deployment"),
    Column("stage", "Stage"),
    Column("state", "State", tone=lambda row: "good" if row.get("state") == "active" else "caution"),
    Column("equity_usd", "Equity", "USD", kind="number"),
    Column("session", "At the close of"),
    Column("positions", "Positions", kind="number", decimals=0),
    Column("profile", "Risk profile"),
    Column(
        "entries_blocked",
        "Entries",
        wraps=True,
        tone=lambda row: "caution" if row.get("entries_blocked") else "good",
        text=lambda row: "; ".join(row.get("entries_blocked") or []) or "free",
    ),
)


def draw(book: str | None) -> None:
    """Draw the page, and again whenever the interval of refreshes has passed."""
    st.title("Overview")
    st.fragment(_refreshed, run_every=environment().refresh_seconds)(book)
    _draw_files(book)


def _refreshed(book: str | None) -> None:
    with reading() as reader:
        _draw_equity(reader.rows("/equity", book=book, limit=POINTS))
        _draw_results(reader.rows("/pnl", book=book))
        lights = st.container()  # filled last: the checks take longest
        deployments = reader.rows("/deployments")
        attention.draw(reader.rows("/alerts", limit=100), deployments, reader.rows("/sessions", limit=NEWEST))
        positions = reader.rows("/positions", book=book, limit=500)
        table.draw(POSITIONS, positions, caption="Held now, at the last prices", empty="No position is held.", most=100)
        _draw_orders(reader, book)
        table.draw(DEPLOYMENTS, deployments, caption="Deployments", empty="Nothing is deployed: `desk deploy`.")
        with lights:
            health.draw(reader)


def _draw_equity(rows: Sequence[dict[str, Any]] | None) -> None:
    rows = rows or []
    equity = Line("equity", [row["equity_usd"] for row in rows])
    drawdown = Line("drawdown", [row["drawdown_pct"] for row in rows], "orange", fill=True)
    panes = [
        Pane("Equity at the close", "USD", [equity], height=260),
        Pane("Drawdown: fall from the highest close before", "%", [drawdown], height=150, zero=True, down=True),
    ]
    chart.draw("overview-equity", [dt.date.fromisoformat(row["session"]) for row in rows], panes)


def _draw_results(rows: Sequence[dict[str, Any]] | None) -> None:
    by_period = {str(row["period"]): row for row in rows or []}
    table.cards(
        [
            (f"{label}, to {row['session'] or figures.UNDEFINED}", f"{figures.signed(row['pnl_usd'])} USD", _about(row))
            for name, label in PERIODS.items()
            if (row := by_period.get(name)) is not None
        ]
    )


def _about(row: dict[str, Any]) -> str:
    """Return the line below a result: its share, its trades, and why figures are missing."""
    share, wins = figures.signed(row["return_pct"]), figures.number(row["win_rate_pct"])
    words = [f"{share} %", f"{figures.number(row['trades'])} trades" + (f", {wins} % won" if row["trades"] else "")]
    return " · ".join([*words, *filter(None, [row["reason"]])])


def _draw_orders(reader: Reader, book: str | None) -> None:
    orders = reader.rows("/orders", book=book, limit=NEWEST)
    table.draw(ORDERS, orders, caption=f"Ordered last, at most {NEWEST}", empty="No order is on record.")


def _draw_files(book: str | None) -> None:
    """Draw the buttons that save whole views."""
    with st.container(horizontal=True):
        for name in ("equity", "positions", "orders", "pnl"):
            table.download(
                f"{name.capitalize()} as CSV",
                f"{name}-{book or 'desk'}.csv",
                lambda name=name: api().export(f"/{name}", book=book),  # type: ignore[misc]  # bound at once
                key=f"overview-{name}-csv",
            )
