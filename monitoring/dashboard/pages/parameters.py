"""Parameters: in force, their history, and their change."""

from __future__ import annotations

import streamlit as st


def draw(book: str | None) -> None:
    """Draw the page."""
    st.title("Parameters")
    st.text(f"Book: {book or 'of the desk'}")
