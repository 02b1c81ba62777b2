"""The frame around every page: navigation, the choice of a book, and the page itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from monitoring.dashboard.errors import ApiError
from monitoring.dashboard.pages import alerts, comparison, evening, models, overview, parameters, research, risk, trades
from monitoring.dashboard.reading import api

if TYPE_CHECKING:
    from collections.abc import Callable

SIDEBAR = 220  # pixels: wide enough for the names of the pages
STYLE = Path(__file__).with_name("style.css")
PAGES: dict[str, Callable[[str | None], None]] = {
    "Overview": overview.draw,
    "Live against backtest": comparison.draw,
    "Risk": risk.draw,
    "Trades": trades.draw,
    "Models": models.draw,
    "Research": research.draw,
    "Parameters": parameters.draw,
    "Alerts": alerts.draw,
    "Evening": evening.draw,
}


def main() -> None:
    """Draw the page that the address names, for the book that is chosen."""
    st.set_page_config(page_title="Reversion desk", layout="wide", initial_sidebar_state=SIDEBAR)
    st.html(f"<style>{STYLE.read_text('utf-8')}</style>")
    book = _chosen_book()
    pages = [
        st.Page(partial(draw, book), title=title, url_path=path_of(title), default=title == "Overview")
        for title, draw in PAGES.items()
    ]
    st.navigation(pages).run()


def path_of(title: str) -> str:
    """Return the path of a page in its address.

    >>> path_of("Live against backtest")
    'live-against-backtest'
    """
    return title.lower().replace(" ", "-")


def _chosen_book() -> str | None:
    """Return the book chosen in the sidebar, which stands in the address too; None where no deployment is on record."""
    try:
        names = [str(row["name"]) for row in api().read("/deployments").rows]
    except ApiError:
        names = []
    return st.sidebar.selectbox("Book", names, key="book", bind="query-params") if names else None
