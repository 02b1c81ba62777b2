"""The reasons why a book opens no positions, in one place: for the order check, the mail, the status and the halt route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pipeline.deployments.validity import objection
from pipeline.resources import Resources, live
from pipeline.risk.kill_switch import KillSwitch

if TYPE_CHECKING:
    import datetime as dt

    from storage.research.portfolios import Portfolios
    from storage.trading.deployments import Deployments


@dataclass(frozen=True)
class EntryBlocks:
    """Finds what keeps a book from opening positions.

    Attributes
    ----------
    book
        Name of the deployment and of its book.
    max_age_days
        Days for which a validation counts.
    """

    book: str
    switch: KillSwitch
    deployments: Deployments
    portfolios: Portfolios
    max_age_days: int

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build for the book of the desk."""
        return cls(
            resources.settings.portfolio,
            KillSwitch.of(resources),
            resources.deployments,
            resources.portfolios,
            resources.settings.validation.max_age_days,
        )

    def reasons(self, day: dt.date) -> list[str]:
        """Return the reasons, in sentences, why nothing may be opened on a day; none when entries are free."""
        halted = self.switch.halt_reason()
        return [*([f"Trading is {halted}."] if halted else []), *self.of_deployment(day)]

    def of_deployment(self, day: dt.date) -> list[str]:
        """Return the reasons that lie in the deployment itself: its state, and its own validation."""
        return [*self.of_state(day), *self.of_validation(day)]

    def of_state(self, day: dt.date) -> list[str]:
        """Return the reason that lies in the deployment's state, whatever the day."""
        del day
        newest = self.deployments.get(self.book)
        return [newest.block] if newest is not None and newest.block else []

    def of_validation(self, day: dt.date) -> list[str]:
        """Return the reason that lies in the validation of the deployment's own portfolio."""
        found = objection(self.deployments.get(self.book), self.portfolios, day, self.max_age_days)
        return [found] if found else []


def entry_blocks(day: dt.date, *, resources: Resources | None = None) -> list[str]:
    """Return the reasons why the desk's book may open nothing on a day; see `EntryBlocks.reasons`."""
    return EntryBlocks.of(resources or live()).reasons(day)
