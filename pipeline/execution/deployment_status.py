"""The state of every deployment: its book, its sleeves, and whether entries are free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.deployments import label_of
from core.errors import ConfigError
from pipeline.deployments.books import all_deployments, default_deployment, require_deployment
from pipeline.execution.entry_blocks import entry_blocks
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    import datetime as dt

    from core.deployments import Deployment


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


def deployment_status(*, resources: Resources | None = None) -> list[DeploymentStatus]:
    """Return the state of every deployment, the default one first."""
    resources = resources or live()
    return [status_of(each, resources) for each in all_deployments(resources)]


def status_of(deployment: Deployment, resources: Resources) -> DeploymentStatus:
    """Return the state of one deployment; what its settings object to blocks its entries."""
    curve = resources.ledger.equity(deployment.name)
    try:
        desk = resources.for_portfolio(deployment.name)
        blocks = tuple(entry_blocks(desk, resources.clock().date()))
        sleeves = _sleeves(deployment, desk)
    except ConfigError as error:
        blocks, sleeves = (str(error),), tuple(label_of(each.name) for each in deployment.sleeves)
    return DeploymentStatus(
        deployment,
        sleeves,
        float(curve["equity_usd"].iloc[-1]) if len(curve) else None,
        curve["session"].iloc[-1].date() if len(curve) else None,
        len(resources.ledger.positions(deployment.name)),
        blocks,
    )


def history_of(name: str, *, resources: Resources | None = None) -> list[Deployment]:
    """Return every version of a deployment, oldest first.

    Raises
    ------
    core.errors.DataError
        When there is no such deployment.
    """
    resources = resources or live()
    if name == default_deployment(resources).name:
        return resources.deployments.history(name)
    return resources.deployments.history(require_deployment(name, resources).name)


def _sleeves(deployment: Deployment, desk: Resources) -> tuple[str, ...]:
    """Return each sleeve in words; of the default deployment the strategies of the settings."""
    if deployment.sleeves:
        return tuple(
            f"{label_of(each.name)}: ${each.capital_usd:,.2f}{', filtered' if each.model else ''}"
            for each in deployment.sleeves
        )
    return tuple(f"{name} on {len(desk.universe())} symbols, filtered" for name in desk.settings.strategies)
