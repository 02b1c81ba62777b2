"""A mail in a frame of its own that runs no script, follows no form and loads nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

# An empty `sandbox` forbids scripts, forms, popups and the page's origin; the document inherits the page's policy as well.
HTML: Final = '<iframe class="desk-mail" sandbox="" referrerpolicy="no-referrer"></iframe>'
STYLE: Final = """
.desk-mail { width: 100%; height: 40rem; resize: vertical; overflow: auto; background: #FFFFFF; color-scheme: light;
  border: 1px solid rgba(128, 128, 128, 0.5); }
"""
SCRIPT: Final = """
export default function ({ parentElement, data }) {
  const frame = parentElement.querySelector("iframe")
  if (frame.srcdoc === data.html) return
  frame.title = data.title
  frame.srcdoc = data.html
}
"""


def draw(html: str, title: str, key: str) -> None:
    """Draw a mail's HTML as it stands in the mail; an unchanged one is not drawn again."""
    _component()(key=key, data={"html": html, "title": title})


@cache
def _component() -> ComponentRenderer:
    """Return the mounting command of the frame, registered once."""
    return st.components.v2.component("desk_mail", html=HTML, css=STYLE, js=SCRIPT)
