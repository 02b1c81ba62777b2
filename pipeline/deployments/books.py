"""The books that trade: the default deployment, which the settings describe, and those that were deployed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Self

from core.deployments import Deployment, Stage, State
from core.errors import ConfigError, DataError, VersionConflict
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from core.settings import Settings
    from storage.trading.deployments import Deployments
    from storage.trading.ledger import Ledger

SETTINGS = "settings"  # author of the default deployment's first version


class UnknownDeployment(DataError):
    """No deployment has that name."""


@dataclass(frozen=True)
class DeployedBooks:
    """The deployments beside the ledger that holds their books.

    Attributes
    ----------
    settings
        Those of the default deployment; its book is their portfolio.
    """

    deployments: Deployments
    ledger: Ledger
    settings: Settings

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build from the desk's stores."""
        return cls(resources.deployments, resources.ledger, (resources.parent or resources).settings)

    @property
    def first(self) -> str:
        """Name of the default deployment."""
        return self.settings.portfolio

    def default(self) -> Deployment:
        """Return the default deployment as the settings describe it today, with its stored state; version 0 before the first.

        A database of before deployments opens with its positions in it.
        """
        settings, stored = self.settings, self.deployments.get(self.first)
        stage = Stage.LIVE if settings.venue.live else Stage.PAPER
        if stored is not None:
            return replace(stored, stage=stage, profile=settings.risk.profile, venue=settings.venue.kind)
        return Deployment(
            name=self.first,
            version=0,
            stage=stage,
            state=State.ACTIVE,
            sleeves=(),
            capital_usd=float(settings.initial_cash_usd),
            profile=settings.risk.profile,
            portfolio_id=None,
            promise={},
            author=SETTINGS,
            reason="STRATEGIES and UNIVERSE of the settings",
            venue=settings.venue.kind,
        )

    def start_default(self) -> Deployment:
        """Return the default deployment, and store its first version on the first start."""
        found = self.default()
        if found.version:
            return found
        try:
            return self.deployments.add(replace(found, version=1))
        except VersionConflict:  # another process has started at the same moment
            return self.default()

    def all(self) -> list[Deployment]:
        """Return every deployment, the default one first; that of another `PORTFOLIO` is none here."""
        return [self.default(), *self.deployments.all()]

    def trading(self) -> list[Deployment]:
        """Return the deployments whose evening runs: the default one, and those that are not retired or have not ended yet.

        One that is retired ends with the evening that records its last fill.
        """
        return [
            each for each in self.all() if each.name == self.first or each.state is not State.RETIRED or not self._over(each)
        ]

    def _over(self, retired: Deployment) -> bool:
        if not self.is_flat(retired.name):
            return False
        last = max((fill.session for _, fill in self.ledger.fills(retired.name)), default=None)
        sessions = self.ledger.equity(retired.name)["session"]
        return last is None or (len(sessions) > 0 and sessions.max().date() >= last)

    def is_flat(self, book: str) -> bool:
        """Return True when a book holds nothing and has no open order."""
        return not self.ledger.positions(book) and not self.ledger.open_orders(book)

    def require(self, name: str) -> Deployment:
        """Return the newest version of a deployment.

        Raises
        ------
        UnknownDeployment
            When there is none of that name; suggests the nearest.
        """
        stored = self.default() if name == self.first else self.deployments.get(name)
        if stored is None:
            near = get_close_matches(name, [each.name for each in self.all()], n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "`desk deployments` lists them."
            raise UnknownDeployment(f"Deployment {name!r}: there is none. {hint}")
        return stored

    def require_new_name(self, name: str) -> None:
        """Refuse a name that a deployment or a book in the ledger has.

        Raises
        ------
        ConfigError
            When it is taken.
        """
        if name == self.first or self.deployments.get(name) is not None or name in self.ledger.portfolios():
            raise ConfigError(
                f"Deployment {name!r}: the name is taken, and its book is kept for good. Choose another name, or change it "
                "with `desk pause`, `desk unpause` and `desk retire`."
            )


def trading_books(*, resources: Resources | None = None) -> list[str]:
    """Return the names of the deployments whose evening runs, the default one first."""
    books = DeployedBooks.of(resources or live())
    books.start_default()
    return [each.name for each in books.trading()]


def desk_of(name: str, *, resources: Resources | None = None) -> Resources:
    """Return the desk of a deployment.

    Raises
    ------
    UnknownDeployment
        When there is no such deployment.
    ConfigError
        When it trades real money, and `VENUE__LIVE` is not set.
    """
    resources = resources or live()
    return resources.for_portfolio(DeployedBooks.of(resources).require(name).name)
