"""Models: champion and challengers, drift, calibration, age."""

from __future__ import annotations

import streamlit as st


def draw(book: str | None) -> None:
    """Draw the page."""
    st.title("Models")
    st.text(f"Book: {book or 'of the desk'}")
