"""Forms that stop and start trading: halt, resume, and the pause of a deployment. Each needs typed words and a control key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from monitoring.dashboard import control, figures
from monitoring.dashboard.control import Change
from monitoring.dashboard.errors import ApiError
from monitoring.dashboard.reading import api

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERY: Final = "every book"
NOTE: Final = (
    "A halt holds back every entry of a book until a person resumes it; exits go on. A pause does so for one deployment."
)


def draw(book: str | None) -> None:
    """Draw the forms of a halt, of its end and of a deployment's pause."""
    st.caption(NOTE)
    halts, pauses = st.columns(2)
    with halts:
        _draw_halt(book)
    with pauses:
        _draw_pause(book)


def _draw_halt(book: str | None) -> None:
    scopes = [EVERY] if book is None else [book, EVERY]
    scope = st.radio("Book to halt or resume", scopes, horizontal=True, key="risk-scope")
    verb = st.radio("Change of the halt", ["Halt", "Resume"], horizontal=True, key="risk-halt-verb")
    control.draw(halt_change(str(verb), None if scope == EVERY else str(scope)))


def halt_change(verb: str, book: str | None) -> Change:
    """Return the change that halts or resumes a book, or every book.

    >>> halt_change("Halt", "main").confirmation, halt_change("Resume", None).body
    ('HALT main', {})
    """
    name = book or EVERY
    done = {"Halt": "is halted: it opens nothing until it is resumed.", "Resume": "is resumed."}[verb]
    return Change(
        name=f"risk-{verb.lower()}",
        button=f"{verb} trading of {name}",
        method="POST",
        path=f"/trading/{verb.lower()}",
        body={"portfolio": book} if book else {},
        done=f"{name} {done}",
        confirmation=f"{verb.upper()} {book or 'EVERY BOOK'}",
    )


def _draw_pause(book: str | None) -> None:
    try:
        deployments = {str(row["name"]): row for row in api().read("/deployments").rows}
    except ApiError:
        deployments = {}
    if not deployments:
        st.text("No deployment can be paused: none is on record, or the API does not answer.")
        return
    names = list(deployments)
    chosen = st.selectbox(
        "Deployment to pause or unpause", names, index=names.index(book) if book in deployments else 0, key="risk-deployment"
    )
    row = deployments[str(chosen)]
    st.text(
        f"{chosen} is {row['state']} (version {row['version']}, {figures.instant(row['created_at'])}, {row['author'] or 'n/a'})"
    )
    if row["state"] == "retired":
        st.text("A retired deployment stays retired: deploy its portfolio anew.")
        return
    control.draw(pause_change(row))


def pause_change(row: Mapping[str, Any]) -> Change:
    """Return the change that pauses an active deployment, or lets a paused one enter again.

    >>> pause_change({"name": "trio", "state": "paused", "version": 2}).path
    '/deployments/trio/unpause'
    """
    name, active = str(row["name"]), row["state"] == "active"
    verb = "pause" if active else "unpause"
    return Change(
        name=f"risk-{verb}",
        button=f"{verb.capitalize()} {name}",
        method="POST",
        path=f"/deployments/{name}/{verb}",
        body={"expected_version": row["version"]} if row["version"] else {},
        done=f"{name} is paused: it opens nothing." if active else f"{name} may enter again.",
        confirmation=f"{verb.upper()} {name}",
    )
