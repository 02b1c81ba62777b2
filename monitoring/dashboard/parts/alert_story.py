"""One alert: what it says, everything that happened to it, and the forms that acknowledge, comment and resolve it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from monitoring.dashboard import control, figures, table
from monitoring.dashboard.control import Change
from monitoring.dashboard.reading import reading
from monitoring.dashboard.table import Column

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFLICT: Final = "Somebody moved it first: its history above says who."
EVENTS: Final = (
    Column("at", "At", kind="instant"),
    Column("event", "Event", text=lambda row: str(row["event"]).replace("_", " ")),
    Column("author", "By"),
    Column("reason", "Reason or text", wraps=True),
    Column("channel", "Channel"),
    Column("notice", "Notice", kind="number", decimals=0),
)


def draw(alert: int) -> None:
    """Draw an alert with its history, oldest entry first."""
    with reading() as reader:
        found: Mapping[str, Any] | None = reader.content(f"/alerts/{alert}")
        if found is None:
            return
        st.html(facts(found))
        table.draw(EVENTS, found["events"], caption=f"History of alert {alert}", empty="Nothing is on record.", rest="")


def facts(row: Mapping[str, Any]) -> str:
    """Return the HTML of what an alert says; every word of it is escaped."""
    pairs = {
        "Subject": row["subject"],
        "Text": row["body"] or "none",
        "About": row["key"],
        "State": _state(row),
        "Raised": figures.instant(row["raised_at"]),
        "Last seen": f"{figures.instant(row['last_seen_at'])}, {row['repeats']} repeats",
    }
    pairs |= {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in row["details"].items()}
    items = "".join(f"<dt>{figures.escaped(name)}</dt><dd>{figures.escaped(text)}</dd>" for name, text in pairs.items())
    return f'<div class="desk-facts"><dl>{items}</dl></div>'


def _state(row: Mapping[str, Any]) -> str:
    """Return the state of an alert in words, with who moved it there, when and why."""
    for name in ("resolved", "acknowledged"):
        if row[f"{name}_at"]:
            at = figures.instant(row[f"{name}_at"])
            return f"{name} by {row[f'{name}_by'] or figures.UNDEFINED}, {at}: {row[f'{name}_reason'] or 'no reason on record'}"
    return str(row["state"])


def draw_forms(row: Mapping[str, Any]) -> None:
    """Draw the forms that fit an alert's state; a comment fits each."""
    columns = st.columns(3)
    with columns[0]:
        if control.draw(comment_change(int(row["id"]))) is not None:
            st.caption("It stands in the history.")
    if row["state"] == "raised":
        with columns[1]:
            control.draw(move_change(int(row["id"]), "acknowledge"))
    if row["state"] != "resolved":
        with columns[2]:
            control.draw(move_change(int(row["id"]), "resolve"))


def move_change(alert: int, verb: str) -> Change:
    """Return the change that takes an alert on, or ends it.

    >>> move_change(7, "resolve").path
    '/alerts/7/resolve'
    """
    done = {"acknowledge": "is taken on: it is sent again only if it gets worse.", "resolve": "is resolved."}[verb]
    return Change(
        name=f"alerts-{verb}-{alert}",
        button=f"{verb.capitalize()} alert {alert}",
        method="POST",
        path=f"/alerts/{alert}/{verb}",
        body={},
        done=f"Alert {alert} {done}",
        conflict=CONFLICT,
    )


def comment_change(alert: int) -> Change:
    """Return the change that adds a comment to an alert's history."""
    return Change(
        name=f"alerts-comment-{alert}",
        button=f"Comment on alert {alert}",
        method="POST",
        path=f"/alerts/{alert}/comment",
        body={},
        done="The comment is stored.",
        reason_field="text",
        reason_label="Comment",
    )
