"""The books that share one venue account: which they are, and what each of them owns."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from core.deployments import Stage
from trading.brokers.shared_account import FirstBook, SharedAccount
from trading.orders import exact

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from core.deployments import Deployment
    from storage.trading.deployments import Deployments
    from storage.trading.ledger import Ledger
    from trading.brokers.base import Broker
    from trading.brokers.placing import Patience


def books_of_account(deployments: Deployments, first: str, venue: str, *, live: bool) -> dict[str, Decimal]:
    """Return the books in an outside venue's account with their initial cash (USD): the first, and deployments with sleeves.

    Parameters
    ----------
    first
        The book that the account was opened with.
    venue
        Kind of the venue.
    live
        True for the account with real money: deployments of the stage `paper` are not in it.
    """
    stage = Stage.LIVE if live else Stage.PAPER
    deployed = {each.name: exact(each.capital_usd) for each in deployments.all() if _is_in(each, venue, stage)}
    return {first: Decimal(0), **deployed}


def _is_in(deployment: Deployment, venue: str, stage: Stage) -> bool:
    return deployment.stage is stage and deployment.venue == venue


def part_of_account(  # the account's parts
    venue: Broker,
    ledger: Ledger,
    deployments: Deployments,
    *,
    portfolio: str,
    first: str,
    initial_usd: float | None,
    live: bool,
    price_of: Callable[[str], float | None],
    patience: Patience,
    turn: Callable[[], AbstractContextManager[Any]],
) -> SharedAccount:
    """Return a book's part of a venue account."""

    def others() -> dict[str, Decimal]:
        books = books_of_account(deployments, first, venue.name, live=live)
        return {name: initial for name, initial in books.items() if name != portfolio}

    kind = FirstBook if portfolio == first else SharedAccount
    return kind(
        venue,
        ledger,
        portfolio,
        others,
        None if initial_usd is None else exact(initial_usd),
        price_of,
        turn,
        patience,
    )
