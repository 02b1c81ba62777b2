"""The books that a view shows, each with the equity that it started with."""

from __future__ import annotations

from core.settings import Settings
from storage.views.book_figures import BookFigures


def initial_equities(book: str | None, figures: BookFigures, settings: Settings) -> dict[str, float | None]:
    """Return the books of every deployment, the default one first, with the equity (USD) that each started with.

    Parameters
    ----------
    book
        This book alone, whether a deployment has it or not.
    settings
        Those of the default deployment.

    Returns
    -------
    dict
        None for an account outside whose initial cash nobody stated.
    """
    own = settings.initial_cash_usd if settings.venue.kind == "paper" else settings.venue.initial_cash_usd
    books = {settings.portfolio: own} | figures.deployed()
    return books if book is None else {book: books.get(book, own)}
