"""Forms that change something: reason, author, a typed confirmation and a control key, which stays in the session's memory.

Draw a form outside of what is refreshed, so that nobody types into a part that is being replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st
from pydantic import SecretStr

from monitoring.dashboard.errors import ApiError
from monitoring.dashboard.reading import api

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HELD_KEY, HELD_AUTHOR = "held_control_key", "held_author"  # of the session: typed once, gone with the browser's tab
CONFLICT = "Somebody changed it meanwhile. The page shows what is in force now; make the change from there."
UNKNOWN_OUTCOME = "The change may have been made all the same: look at what is in force before you repeat it."


@dataclass(frozen=True)
class Change:
    """One change that a form can make.

    Attributes
    ----------
    name
        Unique on its page.
    button
        The verb, such as `Halt trading`.
    body
        Fields of the request beside `reason` and `author`.
    confirmation
        What must be typed, letter by letter; empty asks for nothing.
    reason_field, reason_label
        Name of the reason in the request, and its label: a comment has no reason, but a text.
    conflict
        The sentence after a refusal because somebody else was first (409).
    done
        The sentence after a success.
    """

    name: str
    button: str
    method: str
    path: str
    body: Mapping[str, object]
    done: str
    confirmation: str = ""
    reason_field: str = "reason"
    reason_label: str = "Reason"
    conflict: str = CONFLICT


def draw(
    change: Change,
    *,
    fields: Callable[[], tuple[Mapping[str, object], str]] | None = None,
    on_conflict: Callable[[], None] | None = None,
) -> Any | None:  # noqa: ANN401  # whatever JSON the route answers
    """Draw the form; return the API's answer once, in the run after the change, which has an empty form. None in every other.

    Parameters
    ----------
    fields
        Draws further fields; returns what they add to the request, and a sentence when they are wrong (else empty).
    on_conflict
        Draws what a person needs when somebody else was first.
    """
    session = st.session_state
    made = f"{change.name}-answer" in session
    answer = session.pop(f"{change.name}-answer", None)
    if made:
        session[f"{change.name}-{change.reason_field}"] = session[f"{change.name}-typed"] = ""
    with st.form(change.name, border=True):
        added, wrong = fields() if fields else ({}, "")
        author = st.text_input("Your name", session.get(HELD_AUTHOR, ""), max_chars=100, key=f"{change.name}-author")
        most = 500 if change.reason_field == "reason" else 2_000
        reason = st.text_input(change.reason_label, max_chars=most, key=f"{change.name}-{change.reason_field}")
        typed = ""
        if change.confirmation:
            typed = st.text_input(f"Type {change.confirmation} to confirm", key=f"{change.name}-typed", autocomplete="off")
        entered = ""
        if HELD_KEY not in session:
            entered = st.text_input("Control key", type="password", key=f"{change.name}-key", autocomplete="off")
        pressed = st.form_submit_button(change.button)
    if not pressed:
        if made:
            st.success(change.done)
        return answer
    key = SecretStr(entered) if entered else session.get(HELD_KEY)
    if fault := wrong or _fault(change, author, reason, typed, key):
        st.error(fault)
        return None
    body = {**change.body, **added, change.reason_field: reason.strip(), "author": author.strip()}
    _send(change, body, key, on_conflict)
    return None


def _fault(change: Change, author: str, reason: str, typed: str, key: SecretStr | None) -> str | None:
    """Return what is missing from a form, as a sentence."""
    if change.confirmation and typed.strip() != change.confirmation:
        return f"Expected {change.confirmation} typed to confirm, found {typed.strip() or 'nothing'}. Nothing was changed."
    if not author.strip() or not reason.strip():
        needed = change.reason_label[0].lower() + change.reason_label[1:]
        return f"Expected your name and a {needed}: both go into the record. Nothing was changed."
    return None if key else "Expected a control key: one of API__CONTROL_KEYS. Nothing was changed."


def _send(change: Change, body: Mapping[str, object], key: SecretStr | None, on_conflict: Callable[[], None] | None) -> None:
    """Make the change and draw the page anew; draw why it was not made."""
    session = st.session_state
    try:
        answer = api().control(change.method, change.path, body, key)
    except ApiError as error:
        if error.is_denied:
            session.pop(HELD_KEY, None)  # a key that was refused is typed again
        after = change.conflict if error.is_conflict else UNKNOWN_OUTCOME if error.status is None else ""
        st.error(f"{error} {after}".strip())
        if error.is_conflict and on_conflict:
            on_conflict()
        return
    session[HELD_KEY], session[HELD_AUTHOR] = key, body["author"]
    session[f"{change.name}-answer"] = answer
    st.rerun()
