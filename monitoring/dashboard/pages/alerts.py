"""Alerts: open and resolved ones with filters; the chosen one with its history, and the forms that move or comment it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from monitoring.dashboard import table
from monitoring.dashboard.errors import ApiError
from monitoring.dashboard.parts import alert_story
from monitoring.dashboard.reading import api, environment, reading
from monitoring.dashboard.table import Column, Tone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Query = dict[str, str | float | bool | None]
PAGE_ROWS: Final = 50
CURSORS, QUERY = "alerts-cursors", "alerts-query"  # of the session: the pages before this one, and what they were read for
OPEN, ALL = "open", "open and resolved"
SEVERITIES: Final[dict[str, Tone]] = {"critical": "bad", "warning": "caution"}
STATES: Final[dict[str, Tone]] = {"raised": "caution", "resolved": "good"}
COLUMNS: Final = (
    Column("id", "Alert", kind="number", decimals=0),
    Column("severity", "Severity", tone=lambda row: SEVERITIES.get(row["severity"], "")),
    Column("state", "State", tone=lambda row: STATES.get(row["state"], "")),
    Column("kind", "Kind"),
    Column("book", "Book", text=lambda row: row["book"] or "the desk"),
    Column("subject", "What", wraps=True),
    Column("raised_at", "Raised", kind="instant"),
    Column("last_seen_at", "Last seen", kind="instant"),
    Column("repeats", "Repeats", kind="number", decimals=0),
    Column("pending", "Still to be sent", kind="flag"),
    Column("person", "Taken or ended by", text=lambda row: row["resolved_by"] or row["acknowledged_by"] or "nobody"),
)


def draw(book: str | None) -> None:
    """Draw the page: filters, the table, and the chosen alert with its forms."""
    del book  # alerts of the whole desk are everybody's; the filter chooses a book
    st.title("Alerts")
    query = _filters()
    if st.session_state.get(QUERY) != query:
        st.session_state[QUERY], st.session_state[CURSORS] = query, []
    cursors: list[int] = st.session_state[CURSORS]
    query = {**query, "before": cursors[-1] if cursors else None, "limit": PAGE_ROWS}
    listing = st.container()  # filled last: what a change has done shows at once
    rows = _rows(query)
    _draw_paging(rows)
    chosen = _chosen(rows)
    story = st.container()
    if chosen is not None:
        alert_story.draw_forms(chosen)
        with story:
            st.fragment(alert_story.draw, run_every=environment().refresh_seconds)(int(chosen["id"]))
    with listing:
        st.fragment(_draw_table, run_every=environment().refresh_seconds)(query)


def _filters() -> Query:
    """Draw the filters; return them as query parameters."""
    state, kind, book = st.columns(3)
    closed = state.radio("State", [OPEN, ALL], horizontal=True, key="alerts-state", bind="query-params") == ALL
    rows = _rows({"closed": True, "limit": 500})
    kinds, books = ({str(row[name]) for row in rows if row[name]} for name in ("kind", "book"))
    return {
        "closed": closed or None,
        "kind": kind.selectbox("Kind", sorted(kinds), index=None, key="alerts-kind", placeholder="all", bind="query-params"),
        "book": book.selectbox(
            "Of the book", sorted(books), index=None, key="alerts-book", placeholder="all", bind="query-params"
        ),
    }


def _rows(query: Query) -> list[dict[str, Any]]:
    try:
        return api().read("/alerts", **query).rows
    except ApiError:
        return []  # the message above the table has the reason


def _draw_table(query: Query) -> None:
    with reading() as reader:
        rows = reader.rows("/alerts", **query)
        empty = "No alert is open." if query["closed"] is None else "No alert is on record."
        if query["kind"] or query["book"] or query["before"]:
            empty = "No alert matches the filters."
        table.draw(COLUMNS, rows, caption="Alerts, newest first", empty=empty)


def _draw_paging(rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the buttons of the pages, and the one of the file."""
    cursors: list[int] = st.session_state[CURSORS]
    query = {name: value for name, value in st.session_state[QUERY].items() if value is not None}
    with st.container(horizontal=True):
        st.button("Newer alerts", disabled=not cursors, on_click=_step, args=(None,), key="alerts-newer")
        last = int(rows[-1]["id"]) if len(rows) == PAGE_ROWS else None
        st.button("Older alerts", disabled=last is None, on_click=_step, args=(last,), key="alerts-older")
        table.download("Alerts as CSV", "alerts.csv", lambda: api().export("/alerts", **query), key="alerts-csv")


def _step(last: int | None) -> None:
    """Go to the page below an id; None goes a page back."""
    cursors: list[int] = st.session_state[CURSORS]
    if last is not None:
        cursors.append(last)
    elif cursors:
        cursors.pop()


def _chosen(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Draw the choice of an alert of the page; return it, None where there is none."""
    if not rows:
        return None
    named = {str(row["id"]): row for row in rows}
    chosen: object = st.selectbox(
        "Alert to show",
        list(named),
        format_func=lambda each: f"{each}: {named[each]['subject']}" if each in named else each,
        key="alerts-chosen",
        bind="query-params",
    )
    found: dict[str, Any] = named.get(str(chosen), rows[0])
    return found
