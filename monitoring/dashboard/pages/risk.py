"""Risk: the emergency stop, every limit with its use, what is exposed and how it moves together; halt, resume and pause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from monitoring.dashboard import figures, table
from monitoring.dashboard.parts import correlation, limits, risk_curves, switches
from monitoring.dashboard.reading import Reader, api, environment, reading
from monitoring.dashboard.table import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    Column("reason", "Note"),
)


def draw(book: str | None) -> None:
    """Draw the page: what is refreshed, and below it the forms that change something."""
    st.title("Risk")
    above = st.container()  # drawn after the forms: what a change has done shows at once
    st.header("Halt, resume, pause", divider=True)
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
        risk_curves.draw(beats or [], rows or [])
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
    word = "not halted"
    if state["halted"]:
        turned = figures.instant(state["created_at"])
        word = f"HALTED by {state['author'] or 'the halt file'}, {turned}: {state['reason'] or 'no reason on record'}"
    table.lights(
        [
            (f"Trading of {state['portfolio']}", "bad" if state["halted"] else "good", word),
            ("Entries", "caution" if blocks else "good", f"blocked: {blocks}" if blocks else "free"),
        ]
    )


def _draw_cards(rows: Sequence[Mapping[str, Any]], beats: Sequence[Mapping[str, Any]]) -> None:
    """Draw the figures that a person looks at first."""
    by_name = {str(row["limit"]): row for row in reversed(rows)}
    cards = [
        limits.card("Drawdown", by_name.get("drawdown_halt"), "to the emergency stop at"),
        limits.card("Value at risk of a session, 95 %", by_name.get("var_historical"), "to the limit of"),
        limits.card("Exposure, longs plus shorts", by_name.get("max_exposure"), "to the limit of"),
        limits.card("Age of the last heartbeat", by_name.get("heartbeat"), "to the limit of"),
    ]
    if beats:
        newest = beats[-1]
        var = figures.number(newest["var_historical_usd"], 2)
        about = f"{var} USD at risk, {newest['positions']} positions, at {figures.instant(newest['at'])}"
        cards.append(("Equity at the last heartbeat", f"{figures.number(newest['equity_usd'], 2)} USD", about))
    table.cards([card for card in cards if card is not None])


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
