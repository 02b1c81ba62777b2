"""Research: runs, comparisons, heat maps, rankings."""

from __future__ import annotations

import streamlit as st


def draw(book: str | None) -> None:
    """Draw the page."""
    st.title("Research")
    st.text(f"Book: {book or 'of the desk'}")
