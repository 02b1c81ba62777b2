"""The books that a view shows, each with the equity that it started with."""

from __future__ import annotations

from pipeline.resources import Resources, live


def initial_equities(book: str | None = None, *, resources: Resources | None = None) -> dict[str, float | None]:
    """Return the books of every deployment, the default one first, with the equity (USD) that each started with.

    Parameters
    ----------
    book
        This book alone, whether a deployment has it or not.

    Returns
    -------
    dict
        None for an account outside whose initial cash nobody stated.
    """
    root = resources or live()
    root = root.parent or root
    settings = root.settings
    own = settings.initial_cash_usd if settings.venue.kind == "paper" else settings.venue.initial_cash_usd
    books = {root.desk_portfolio: own} | {each.name: each.capital_usd for each in root.deployments.all()}
    return books if book is None else {book: books.get(book, own)}
