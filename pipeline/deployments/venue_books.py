"""Move a deployment's capital between the books of one venue account: out of the first book, and back when it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import structlog

from core.book_events import BookEvent, BookEventKind
from core.deployments import State
from core.errors import ConfigError
from core.sessions import present_session
from pipeline.accounts.valuation import first_open_session
from pipeline.deployments.books import DeployedBooks
from pipeline.resources import Resources, live
from trading.brokers.book_events import apply_event
from trading.orders import exact

if TYPE_CHECKING:
    import datetime as dt
    from decimal import Decimal

    from core.deployments import Deployment
    from storage.trading.ledger import Ledger

log = structlog.get_logger()


@dataclass(frozen=True)
class CapitalMoves:
    """Moves of capital between the books of one venue account.

    Attributes
    ----------
    first
        The book that the account was opened with.
    today
        The present session; a book whose value at its close is on record moves capital in the next one.
    """

    ledger: Ledger
    books: DeployedBooks
    first: str
    today: dt.date

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build for the account of the desk."""
        today = present_session(resources.clock())
        return cls(resources.ledger, DeployedBooks.of(resources), resources.desk_portfolio, today)

    def give(self, deployment: Deployment) -> bool:
        """Take a deployment's capital out of the first book; False when it is done already."""
        name, usd = f"deploy-{deployment.name}", -exact(deployment.capital_usd)
        moved = next((each for each in self.ledger.book_events(self.first) if each.event_id == name), None)
        if moved is not None and moved.cash_usd != usd:
            raise ConfigError(
                f"Deployment {deployment.name!r}: an earlier try has moved ${-moved.cash_usd:,.2f} already. Deploy it with "
                f"--capital {-moved.cash_usd:f}, or under another name."
            )
        return self._move(self.first, name, usd, f"capital of deployment {deployment.name}")

    def take_back(self, deployment: Deployment) -> bool:
        """Give what a retired deployment has left to the first book once it holds nothing; False while it does.

        Both events have names of their own, so that a second call moves nothing twice.
        """
        if deployment.state is not State.RETIRED or not self.books.is_flat(deployment.name):
            return False
        left = exact(deployment.capital_usd) + self.ledger.cash_flow_usd(deployment.name)
        if not left:
            return False
        words = f"what deployment {deployment.name} has left"
        self._move(self.first, f"return-{deployment.name}", left, words)
        return self._move(deployment.name, f"returned-{deployment.name}", -left, words)

    def _move(self, book: str, name: str, usd: Decimal, reason: str) -> bool:
        event = BookEvent(
            event_id=name,
            portfolio=book,
            kind=BookEventKind.DEPOSIT if usd > 0 else BookEventKind.WITHDRAWAL,
            session=first_open_session(self.ledger, book, self.today),
            cash_usd=usd,
            author="deployments",
            reason=reason,
        )
        return apply_event(self.ledger, event)


def return_capital(name: str, *, resources: Resources | None = None) -> bool:
    """Give the money of a retired deployment that holds nothing back to the first book of its account; False otherwise.

    At the built-in paper broker each book has money of its own, and nothing moves.
    """
    resources = resources or live()
    deployment = DeployedBooks.of(resources).require(name)
    desk = resources.for_portfolio(name)
    return bool(deployment.sleeves) and desk.settings.venue.kind != "paper" and CapitalMoves.of(desk).take_back(deployment)


def return_ended_capital(*, resources: Resources | None = None) -> list[str]:
    """Give back the capital of every retired deployment that holds nothing; return the names of those that gave some.

    Each evening does so for all: a deployment may have left its last position between two evenings, and has none of its own
    after that. One at real money waits while `VENUE__LIVE` is off.
    """
    resources = resources or live()
    returned = []
    for each in resources.deployments.all():
        try:
            if each.state is State.RETIRED and return_capital(each.name, resources=resources):
                returned.append(each.name)
        except ConfigError as error:
            log.warning("capital_not_returned", deployment=each.name, reason=str(error))
    return returned
