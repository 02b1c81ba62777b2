"""The settings of a deployment: those of the desk with its book, capital, risk profile and venue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.deployments import Stage
from core.errors import ConfigError

if TYPE_CHECKING:
    from core.deployments import Deployment
    from core.settings import Settings


def settings_of(settings: Settings, deployment: Deployment) -> Settings:
    """Return the settings under which a deployment trades.

    Paper money stays paper: beside real money (`VENUE__LIVE`) a deployment of the stage `paper` trades at the built-in paper
    broker, and never at the venue.

    Raises
    ------
    ConfigError
        When the deployment is of the stage `live` and `VENUE__LIVE` does not select real money, or its book is at another
        venue.
    """
    if deployment.stage is Stage.LIVE and not settings.venue.live:
        raise ConfigError(
            f"Deployment {deployment.name!r} trades real money, and VENUE__LIVE is not set. Set VENUE__KIND and "
            f"VENUE__LIVE=1, or retire it: `desk retire {deployment.name} --reason ...`."
        )
    changes: dict[str, object] = {
        "portfolio": deployment.name,
        "initial_cash_usd": deployment.capital_usd,
        "venue__initial_cash_usd": deployment.capital_usd,
    }
    if deployment.stage is Stage.PAPER and settings.venue.live:
        changes |= {"venue__kind": "paper", "venue__live": False}
    kind = changes.get("venue__kind", settings.venue.kind)
    if kind != deployment.venue:
        raise ConfigError(
            f"Deployment {deployment.name!r} holds its book at {deployment.venue}, and VENUE__KIND is {kind}. Set VENUE__KIND "
            "back, or retire it there and deploy its portfolio anew."
        )
    return settings.with_changes(**changes).with_profile(deployment.profile)
