"""The state of every deployment: its book, its sleeves, and whether entries are free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.deployments import label_of
from core.errors import ConfigError
from pipeline.deployments.books import DeployedBooks
from pipeline.execution.entry_blocks import entry_blocks
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    import datetime as dt

    from core.deployments import Deployment, Sleeve


@dataclass(frozen=True)
class DeploymentStatus:
    """A deployment as it stands.

    Attributes
    ----------
    equity_usd
        At its last close on record; None before the first.
    blocks
        The reasons why nothing may be opened; none when entries are free.
    """

    deployment: Deployment
    sleeves: tuple[str, ...]
    equity_usd: float | None
    session: dt.date | None
    positions: int
    blocks: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        made = self.deployment
        return {
            "name": made.name,
            "version": made.version,
            "stage": str(made.stage),
            "state": str(made.state),
            "profile": made.profile,
            "portfolio_id": made.portfolio_id,
            "capital_usd": made.capital_usd,
            "equity_usd": self.equity_usd,
            "session": None if self.session is None else self.session.isoformat(),
            "positions": self.positions,
            "sleeves": list(self.sleeves),
            "entries_blocked": list(self.blocks),
            "author": made.author,
            "reason": made.reason,
        }


def deployment_status(name: str | None = None, *, resources: Resources | None = None) -> list[DeploymentStatus]:
    """Return the state of every deployment, the default one first; of one alone where named.

    Raises
    ------
    core.errors.DataError
        When there is no deployment of that name.
    """
    resources = resources or live()
    books, day = DeployedBooks.of(resources), resources.clock().date()
    found = []
    for deployment in books.all() if name is None else [books.require(name)]:
        curve = resources.ledger.equity(deployment.name)
        try:
            desk = resources.for_portfolio(deployment.name)
            blocks = tuple(entry_blocks(day, resources=desk))
            default = tuple(f"{each} on {len(desk.universe())} symbols, filtered" for each in desk.settings.strategies)
        except ConfigError as error:  # real money without its switch
            blocks, default = (str(error),), ()
        found.append(
            DeploymentStatus(
                deployment,
                tuple(map(_sleeve_words, deployment.sleeves)) or default,
                float(curve["equity_usd"].iloc[-1]) if len(curve) else None,
                curve["session"].iloc[-1].date() if len(curve) else None,
                len(resources.ledger.positions(deployment.name)),
                blocks,
            )
        )
    return found


def blocks_of(book: str, *, resources: Resources | None = None) -> list[str]:
    """Return the reasons why a book may open nothing today; what its settings object to is one."""
    resources = resources or live()
    try:
        return entry_blocks(resources.clock().date(), resources=resources.for_portfolio(book))
    except ConfigError as error:  # real money without its switch
        return [str(error)]


def blocked_entries(*, resources: Resources | None = None) -> dict[str, list[str]]:
    """Return the reasons of each deployment that trades and may open nothing; empty when all entries are free."""
    resources = resources or live()
    found = {each.name: blocks_of(each.name, resources=resources) for each in DeployedBooks.of(resources).trading()}
    return {name: reasons for name, reasons in found.items() if reasons}


def history_of(name: str, *, resources: Resources | None = None) -> list[Deployment]:
    """Return every version of a deployment, oldest first.

    Raises
    ------
    core.errors.DataError
        When there is no such deployment.
    """
    books = DeployedBooks.of(resources or live())
    return books.deployments.history(books.require(name).name)


def _sleeve_words(sleeve: Sleeve) -> str:
    return f"{label_of(sleeve.name)}: ${sleeve.capital_usd:,.2f}{', filtered' if sleeve.model else ''}"
