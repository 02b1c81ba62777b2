"""Move a deployment's capital between the books of one venue account: out of the first book, and back when it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.book_events import BookEvent, BookEventKind
from core.deployments import State
from pipeline.deployments.books import is_flat
from trading.brokers.book_events import apply_event
from trading.orders import exact

if TYPE_CHECKING:
    from decimal import Decimal

    from core.deployments import Deployment
    from pipeline.resources import Resources


def move_capital(resources: Resources, deployment: Deployment) -> bool:
    """Take a deployment's capital out of the first book of the account; False at the paper broker, where it has its own."""
    desk = resources.for_portfolio(deployment.name)
    if desk.settings.venue.kind == "paper":
        return False
    words = f"capital of deployment {deployment.name}"
    return _transfer(resources, resources.desk_portfolio, f"deploy-{deployment.name}", -exact(deployment.capital_usd), words)


def return_capital(resources: Resources, deployment: Deployment) -> bool:
    """Give what a retired deployment has left back to the first book once it holds nothing; False while it does.

    Both events have names of their own, so that a second call moves nothing twice.
    """
    desk = resources.for_portfolio(deployment.name)
    if deployment.state is not State.RETIRED or desk.settings.venue.kind == "paper" or not is_flat(resources, deployment.name):
        return False
    left = exact(deployment.capital_usd) + resources.ledger.cash_flow_usd(deployment.name)
    if not left:
        return False
    words = f"what deployment {deployment.name} has left"
    given = _transfer(resources, resources.desk_portfolio, f"return-{deployment.name}", left, words)
    return _transfer(resources, deployment.name, f"returned-{deployment.name}", -left, words) and given


def _transfer(resources: Resources, book: str, name: str, usd: Decimal, reason: str) -> bool:
    return apply_event(
        resources.ledger,
        BookEvent(
            event_id=name,
            portfolio=book,
            kind=BookEventKind.DEPOSIT if usd > 0 else BookEventKind.WITHDRAWAL,
            session=resources.clock().date(),
            cash_usd=usd,
            author="deployments",
            reason=reason,
        ),
    )
