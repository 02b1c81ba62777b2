"""Alerts: open and closed ones; acknowledge and resolve."""

from __future__ import annotations

import streamlit as st


def draw(book: str | None) -> None:
    """Draw the page."""
    st.title("Alerts")
    st.text(f"Book: {book or 'of the desk'}")
