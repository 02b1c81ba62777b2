"""Evening: the steps of a session, and the mail as sent."""

from __future__ import annotations

import streamlit as st


def draw(book: str | None) -> None:
    """Draw the page."""
    st.title("Evening")
    st.text(f"Book: {book or 'of the desk'}")
