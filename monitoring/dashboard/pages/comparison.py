"""Live against backtest: each strategy beside its backtest, and where they part."""

from __future__ import annotations

import streamlit as st


def draw(book: str | None) -> None:
    """Draw the page."""
    st.title("Live against backtest")
    st.text(f"Book: {book or 'of the desk'}")
