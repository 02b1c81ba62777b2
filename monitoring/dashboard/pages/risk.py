"""Risk: limits with their use, exposure, correlation, heartbeats, halt and resume."""

from __future__ import annotations

import streamlit as st


def draw(book: str | None) -> None:
    """Draw the page."""
    st.title("Risk")
    st.text(f"Book: {book or 'of the desk'}")
