"""Overview: equity with drawdown, today's result, what is held and ordered, what needs a person, and the state of each part."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import streamlit as st

from monitoring.dashboard import chart, figures, table
from monitoring.dashboard.chart import Line, Pane
from monitoring.dashboard.reading import Reader, api, environment, reading
from monitoring.dashboard.table import Column, Tone

if TYPE_CHECKING:
    from collections.abc import Mapping

HEALTH: dict[str, Tone] = {"green": "good", "amber": "caution", "red": "bad"}
SEVERITY: dict[str, Tone] = {"critical": "bad", "warning": "caution"}
PERIODS = {"today": "Today", "week": "This week", "month": "This month", "start": "Since the start"}
POSITIONS = (
    Column("sleeve", "Sleeve"),
    Column("symbol", "Symbol"),
    Column("quantity", "Units", kind="number", decimals=0),
    Column("value_usd", "Value", "USD", kind="number"),
    Column("unrealised_usd", "Not yet realised", "USD", kind="signed"),
)
ORDERS = (
    Column("created_at", "Decided", kind="instant"),
    Column("sleeve", "Sleeve"),
    Column("symbol", "Symbol"),
    Column("side", "Side"),
    Column("quantity", "Units", kind="number", decimals=0),
    Column("state", "State"),
)
ALERTS = (
    Column("severity", "Severity", tone=lambda row: SEVERITY.get(str(row.get("severity")), "")),
    Column("subject", "Subject"),
    Column("book", "Book"),
    Column("raised_at", "Raised", kind="instant"),
    Column("state", "State"),
)
DEPLOYMENTS = (
    Column("name", "Deployment"),
    Column("stage", "Stage"),
    Column("state", "State", tone=lambda row: "good" if row.get("state") == "active" else "caution"),
    Column("equity_usd", "Equity", "USD", kind="number"),
    Column("positions", "Positions", kind="number", decimals=0),
    Column(
        "entries_blocked",
        "Entries",
        tone=lambda row: "caution" if row.get("entries_blocked") else "good",
        text=lambda row: "; ".join(row.get("entries_blocked") or []) or "free",
    ),
)


def draw(book: str | None) -> None:
    """Draw the page, and again whenever the interval of refreshes has passed."""
    st.title("Overview")
    st.fragment(_refreshed, run_every=environment().refresh_seconds)(book)
    table.download(
        "Equity as CSV", f"equity-{book or 'desk'}.csv", lambda: api().export("/equity", book=book), key="overview-equity-csv"
    )


def _refreshed(book: str | None) -> None:
    with reading() as reader:
        curve = reader.all_rows("/equity", book=book, limit=2_000)
        _draw_equity(curve or [])
        _draw_results(reader, book)
        _draw_lights(reader)
        table.draw(ALERTS, reader.rows("/alerts", limit=50), caption="Needs a person", empty="No open alert.", most=50)
        table.draw(POSITIONS, reader.rows("/positions", book=book), caption="Held now", empty="No position is held.")
        table.draw(
            ORDERS, reader.rows("/orders", book=book, limit=20), caption="Ordered last", empty="No order on record.", most=20
        )
        table.draw(DEPLOYMENTS, reader.rows("/deployments"), caption="Deployments", empty="Nothing is deployed: `desk deploy`.")


def _draw_equity(rows: list[dict[str, Any]]) -> None:
    sessions = [dt.date.fromisoformat(row["session"]) for row in rows]
    equity = Line("equity", [row["equity_usd"] for row in rows])
    drawdown = Line("drawdown", [row["drawdown_pct"] for row in rows], "orange", fill=True)
    panes = [
        Pane("Equity", "USD", [equity], height=260),
        Pane("Drawdown", "%", [drawdown], height=150, zero=True),
    ]
    chart.draw("overview-equity", sessions, panes)


def _draw_results(reader: Reader, book: str | None) -> None:
    by_period = {str(row["period"]): row for row in reader.rows("/pnl", book=book) or []}
    table.cards(
        [
            (label, f"{figures.signed(row.get('pnl_usd'))} USD", f"{figures.signed(row.get('pnl_pct'))} %")
            for name, label in PERIODS.items()
            if (row := by_period.get(name)) is not None
        ]
    )


def _draw_lights(reader: Reader) -> None:
    ready: Mapping[str, Any] = reader.content("/readyz", (503,)) or {}
    state = str(ready.get("state", "unknown"))
    database = str(ready.get("database", "unknown"))
    trouble = [str(each) for each in ready.get("trouble", [])]
    table.lights(
        [
            ("API", HEALTH.get(state, "bad"), state),
            ("database", "good" if database == "answers" else "bad", database),
            *((each, "caution", "look") for each in trouble),
        ]
    )
