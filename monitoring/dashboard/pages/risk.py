"""Risk: the emergency stop, every limit with its use, what is exposed and how it moves together; halt, resume and pause."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from monitoring.dashboard import figures, table
from monitoring.dashboard.parts import correlation, limits, risk_curves, switches
from monitoring.dashboard.reading import Reader, api, environment, reading
from monitoring.dashboard.table import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_HEARTBEAT: Final = "The risk worker has never measured this book: there is no curve of drawdown and value at risk."
EXPOSURE: Final = (
    Column("sleeve", "Sleeve"),
    Column("symbol", "Symbol"),
    Column("held", "Held"),
    Column("quantity", "Quantity", "shares", kind="quantity"),
    Column("last_price", "Last price", "USD", kind="number"),
    Column("price_session", "Priced"),
    Column("value_usd", "Value", "USD", kind="signed"),
    Column("share_pct", "Of equity", "%", kind="signed"),
    Column("gross_usd", "Gross", "USD", kind="number"),
    Column("waiting_orders", "Waiting orders", kind="number", decimals=0),
    Column("waiting_usd", "Waiting", "USD", kind="number"),
    Column("reason", "Note", wraps=True),
)


def draw(book: str | None) -> None:
    """Draw the page: what is refreshed, and below it the forms that change something."""
    st.title("Risk")
    above = st.container()  # drawn after the forms: what a change has done shows at once
    st.subheader("Halt, resume, pause", divider="gray")
    switches.draw(book)
    _draw_files(book)
    with above:
        st.fragment(_refreshed, run_every=environment().refresh_seconds)(book)


def _refreshed(book: str | None) -> None:
    with reading() as reader:
        rows = reader.rows("/risk", book=book, limit=500)
        beats = reader.rows("/heartbeats", book=book, limit=risk_curves.POINTS)
        _draw_state(reader, book)
        _draw_cards(rows or [], beats or [])
        if beats:
            risk_curves.draw(beats, rows or [])
        elif beats is not None:
            st.text(NO_HEARTBEAT)
        limits.draw(rows)
        limits.draw_frequency(rows)
        exposure = reader.rows("/exposure", book=book, by="position", limit=500)
        table.draw(EXPOSURE, exposure, caption="Exposure by position, at the last prices", empty="Nothing is held or ordered.")
        correlation.draw(reader.rows("/correlation", book=book, limit=500))


def _draw_state(reader: Reader, book: str | None) -> None:
    """Draw the state of the halt switch, with every reason why nothing may be opened."""
    state: Mapping[str, Any] | None = reader.content("/trading/halt", portfolio=book)
    if state is None:
        return
    blocks = "; ".join(state["entries_blocked"])
    word = f"{state['portfolio']} is not halted"
    if state["halted"]:
        turned = figures.instant(state["created_at"])
        author, reason = state["author"] or "the halt file", state["reason"] or "no reason on record"
        word = f"{state['portfolio']} is HALTED by {author}, {turned}: {reason}"
    table.lights(
        [
            ("", "bad" if state["halted"] else "good", word),
            ("", "caution" if blocks else "good", f"entries are blocked: {blocks}" if blocks else "entries are free"),
        ]
    )


def _draw_cards(rows: Sequence[Mapping[str, Any]], beats: Sequence[Mapping[str, Any]]) -> None:
    """Draw the figures that a person looks at first."""
    by_name = {str(row["limit"]): row for row in reversed(rows)}
    cards = [
        limits.card("Drawdown", by_name.get("drawdown_halt"), "to the emergency stop at"),
        limits.card("Value at risk against its limit", by_name.get("var_historical"), "to the limit of"),
        limits.card("Exposure, longs plus shorts", by_name.get("max_exposure"), "to the limit of"),
        limits.card("Age of the last heartbeat", by_name.get("heartbeat"), "to the limit of"),
        *(_newest(beats[-1]) if beats else []),
    ]
    table.cards([card for card in cards if card is not None])


def _newest(beat: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the cards of the newest heartbeat: its value at risk, and its equity with its time and age."""
    parametric = figures.number(beat["var_parametric_usd"], 2)
    at = figures.parsed(beat["at"]) or dt.datetime.now(dt.UTC)
    age = figures.age(max(0.0, (dt.datetime.now(dt.UTC) - at).total_seconds()))
    return [
        (
            "Value at risk of a session, 95 %",
            f"{figures.number(beat['var_historical_usd'], 2)} USD",
            f"historical; {parametric} USD by variance-covariance",
        ),
        (
            "Equity at the last heartbeat",
            f"{figures.number(beat['equity_usd'], 2)} USD",
            f"{beat['positions']} positions, {figures.instant(at)}, {age} ago",
        ),
    ]


def _draw_files(book: str | None) -> None:
    """Draw the buttons that save whole views."""
    with st.container(horizontal=True):
        for name in ("risk", "exposure", "correlation", "heartbeats"):
            table.download(
                f"{name.capitalize()} as CSV",
                f"{name}-{book or 'desk'}.csv",
                lambda name=name: api().export(f"/{name}", book=book),  # type: ignore[misc]  # bound at once
                key=f"risk-{name}-csv",
            )
