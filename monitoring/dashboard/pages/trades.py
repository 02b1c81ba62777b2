"""Trades: each with its price chart and its explanation."""

from __future__ import annotations

import streamlit as st


def draw(book: str | None) -> None:
    """Draw the page."""
    st.title("Trades")
    st.text(f"Book: {book or 'of the desk'}")
