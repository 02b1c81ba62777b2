"""The books that trade: the default deployment, which the settings describe, and those that were deployed."""

from __future__ import annotations

from core.deployments import Deployment, Stage, State
from core.errors import ConfigError, DataError, VersionConflict
from pipeline.resources import Resources, live

SETTINGS = "settings"  # author of the default deployment's first version


def default_deployment(resources: Resources) -> Deployment:
    """Return the default deployment, and make it on the first start: its book is the settings' portfolio.

    A database of before deployments opens with its positions in it.
    """
    name = resources.desk_portfolio
    stored = resources.deployments.get(name)
    if stored is not None:
        return stored
    settings = resources.settings
    first = Deployment(
        name=name,
        version=1,
        stage=Stage.LIVE if settings.venue.live else Stage.PAPER,
        state=State.ACTIVE,
        sleeves=(),
        capital_usd=float(settings.initial_cash_usd),
        profile=settings.risk.profile,
        portfolio_id=None,
        promise={},
        author=SETTINGS,
        reason="STRATEGIES and UNIVERSE of the settings",
    )
    try:
        return resources.deployments.add(first)
    except VersionConflict:  # another process has started at the same moment
        return require_deployment(name, resources)


def all_deployments(resources: Resources) -> list[Deployment]:
    """Return every deployment, the default one first."""
    default = default_deployment(resources)
    return [default, *(each for each in resources.deployments.all() if each.name != default.name)]


def is_flat(resources: Resources, book: str) -> bool:
    """Return True when a book holds nothing and has no open order."""
    return not resources.ledger.positions(book) and not resources.ledger.open_orders(book)


def trading_deployments(resources: Resources) -> list[Deployment]:
    """Return the deployments whose evening runs: all but those that are retired and hold nothing any more."""
    return [each for each in all_deployments(resources) if each.state is not State.RETIRED or not is_flat(resources, each.name)]


def desk_of(resources: Resources, name: str) -> Resources:
    """Return the desk for a deployment.

    Raises
    ------
    DataError
        When there is no such deployment.
    """
    if name == resources.desk_portfolio:
        default_deployment(resources)
    else:
        require_deployment(name, resources)
    return resources.for_portfolio(name)


def live_books() -> list[str]:
    """Return the names of the deployments whose evening runs, in this process's database."""
    return [each.name for each in trading_deployments(live())]


def live_desk(name: str) -> Resources:
    """Return the desk of a deployment, from the environment; see `desk_of`."""
    return desk_of(live(), name)


def trading_desks(resources: Resources) -> list[Resources]:
    """Return the desk of each deployment whose evening runs, the default one first; those at real money need `VENUE__LIVE`."""
    return [resources.for_portfolio(each.name) for each in trading_deployments(resources)]


def require_deployment(name: str, resources: Resources) -> Deployment:
    """Return the newest version of a deployment.

    Raises
    ------
    DataError
        When there is none of that name; suggests the nearest.
    """
    from difflib import get_close_matches

    stored = resources.deployments.get(name)
    if stored is None:
        known = [each.name for each in resources.deployments.all()]
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "`desk deployments` lists them."
        raise DataError(f"Deployment {name!r}: there is none. {hint}")
    return stored


def require_new_name(name: str, resources: Resources) -> None:
    """Refuse a name that a deployment or a book in the ledger has.

    Raises
    ------
    ConfigError
        When it is taken.
    """
    taken = name == resources.desk_portfolio or resources.deployments.get(name) is not None
    if taken or not is_flat(resources, name):
        raise ConfigError(
            f"Deployment {name!r}: the name is taken, and its book is kept for good. Choose another name, or change it with "
            "`desk pause`, `desk unpause` and `desk retire`."
        )
