"""Pause, unpause and retire a deployment. Each change is a new version with its author and reason."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from core.deployments import State
from core.errors import ConfigError, StopTrading
from pipeline.deployments.books import DeployedBooks
from pipeline.deployments.venue_books import return_ended_capital
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from core.deployments import Deployment
    from monitoring.alerts import Alerts

log = structlog.get_logger()


def pause(
    name: str, *, reason: str, author: str, expected_version: int | None = None, resources: Resources | None = None
) -> Deployment:
    """Stop the entries of a deployment; what it holds is left by its rules."""
    return _turn(
        name,
        _Change(State.PAUSED, reason, author, expected_version),
        DeployedBooks.of(desk := resources or live()),
        desk.alerts,
    )


def unpause(
    name: str, *, reason: str, author: str, expected_version: int | None = None, resources: Resources | None = None
) -> Deployment:
    """Let a paused deployment enter again.

    Raises
    ------
    StopTrading
        When it is retired.
    """
    return _turn(
        name,
        _Change(State.ACTIVE, reason, author, expected_version),
        DeployedBooks.of(desk := resources or live()),
        desk.alerts,
    )


def retire(
    name: str, *, reason: str, author: str, expected_version: int | None = None, resources: Resources | None = None
) -> Deployment:
    """End a deployment: it enters nothing any more, and its evening runs on until it holds nothing.

    Its capital at an outside venue goes back to the first book then.
    """
    resources = resources or live()
    change = _Change(State.RETIRED, reason, author, expected_version)
    ended = _turn(name, change, DeployedBooks.of(resources), resources.alerts)
    return_ended_capital(resources=resources)
    return ended


def turn(
    name: str, action: str, *, reason: str, author: str, expected_version: int | None = None, resources: Resources | None = None
) -> Changed:
    """Pause, unpause or retire a deployment by the name of the action.

    Raises
    ------
    ConfigError
        When there is no such action.
    """
    if action not in ACTIONS:
        raise ConfigError(f"Action: expected one of {', '.join(ACTIONS)}, found {action!r}.")
    made = ACTIONS[action](name, reason=reason, author=author, expected_version=expected_version, resources=resources)
    return Changed(made.name, made.version, str(made.state), made.author, made.reason)


ACTIONS = {"pause": pause, "unpause": unpause, "retire": retire}


@dataclass(frozen=True)
class Changed:
    """The version of a deployment that a change made."""

    deployment: str
    version: int
    state: str
    author: str
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for a message between tasks."""
        return asdict(self)


class _Change(NamedTuple):
    state: State
    reason: str
    author: str
    expected_version: int | None


def _turn(name: str, change: _Change, books: DeployedBooks, alerts: Alerts) -> Deployment:
    """Store a version with another state; the state it has already is no change."""
    now = books.require(name)
    if now.state is State.RETIRED and change.state is not State.RETIRED:
        raise StopTrading(f"Deployment {name!r} is retired, and stays so. Deploy its portfolio anew under another name.")
    base = now.version if change.expected_version is None else change.expected_version
    if now.state is change.state and base == now.version:
        return now
    turned = books.deployments.add(
        replace(now, state=change.state, version=base + 1, reason=change.reason, author=change.author, created_at=None)
    )
    log.warning("deployment_changed", deployment=name, state=turned.state, version=turned.version, author=turned.author)
    alerts.send(f"Deployment {name} is {turned.state}", f"{turned.author}: {turned.reason}\n{MEANING[turned.state]}")
    return turned


MEANING = {
    State.ACTIVE: "It may open positions again.",
    State.PAUSED: "It opens nothing until a person unpauses it; what it holds is left by its rules.",
    State.RETIRED: "It opens nothing any more; what it holds is left by its rules until nothing is left.",
}
