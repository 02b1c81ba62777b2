"""The reasons why a book opens no positions, in one place: for the order check, the mail, the status and the halt route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.deployments import State
from pipeline.deployments.validity import objection
from pipeline.risk import kill_switch

if TYPE_CHECKING:
    import datetime as dt

    from core.deployments import Deployment
    from pipeline.resources import Resources


def entry_blocks(resources: Resources, day: dt.date) -> list[str]:
    """Return the reasons, in sentences, why nothing may be opened on a day; none when entries are free."""
    halted = kill_switch.halt_reason(resources=resources)
    return [*([f"Trading is {halted}."] if halted else []), *deployment_blocks(resources, day)]


def deployment_blocks(resources: Resources, day: dt.date) -> list[str]:
    """Return the reasons that lie in the deployment itself: its state, and its own validation."""
    newest = resources.deployments.get(resources.settings.portfolio)
    max_age_days = resources.settings.validation.max_age_days
    found = [state_block(newest), objection(newest, resources.portfolios, day, max_age_days)]
    return [each for each in found if each is not None]


def state_block(deployment: Deployment | None) -> str | None:
    """Return why the state of a deployment keeps it from opening positions; None when it is active."""
    if deployment is None or deployment.state is State.ACTIVE:
        return None
    words = f"Deployment {deployment.name} is {deployment.state} since version {deployment.version}"
    return f"{words} ({deployment.author}: {deployment.reason})."
