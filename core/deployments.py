"""Deployments and their sleeves, as values.

A deployment has a book of its own: the ledger keeps its orders, fills and positions under the deployment's name. Its sleeves
are the strategies that trade, each with parameters, symbols and capital.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from core.errors import ConfigError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
OF_SLEEVE: Final = "/"  # between a deployment's name and its sleeve's; no name holds it


class Stage(StrEnum):
    """The money that a deployment trades with."""

    PAPER = "paper"
    LIVE = "live"


class State(StrEnum):
    """The state of a deployment: only `active` enters; `paused` and `retired` go on leaving what they hold."""

    ACTIVE = "active"
    PAUSED = "paused"
    RETIRED = "retired"


@dataclass(frozen=True)
class Sleeve:
    """One strategy of a deployment, with its own capital.

    Attributes
    ----------
    name
        Unique over all deployments: positions, signals and trades carry it as their strategy.
    strategy, params, version
        What `make_strategy` takes, every parameter; `version` numbers the parameters in the deployment's history.
    vix_filter
        True when entries need the VIX regime of the filter.
    capital_usd
        Money at the start. Sizes follow the sleeve's own equity: this, plus what it has won or lost.
    model
        `champion` when the entry filter must accept each entry; "" when none is asked.
    """

    name: str
    strategy: str
    symbols: tuple[str, ...]
    capital_usd: float
    params: Mapping[str, Any] = field(default_factory=dict)
    vix_filter: bool = False
    model: str = ""
    version: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.capital_usd < float("inf"):
            raise ConfigError(f"Sleeve {self.name!r}: expected a capital above 0, found {self.capital_usd}.")
        if not self.symbols:
            raise ConfigError(f"Sleeve {self.name!r}: expected one or more symbols, found none.")

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Return the sleeve of a stored row."""
        return cls(**{**row, "symbols": tuple(row["symbols"])})

    def as_dict(self) -> dict[str, Any]:
        """Return the sleeve as JSON values."""
        return asdict(self) | {"symbols": list(self.symbols), "params": dict(self.params)}


@dataclass(frozen=True)
class Deployment:
    """One version of a deployment.

    Attributes
    ----------
    name
        Its name, and that of its book in the ledger.
    version
        Rises with each change.
    profile
        Name of the risk profile.
    portfolio_id
        The stored portfolio it was made from; None for the default deployment, which the settings describe.
    venue
        Kind of the venue that holds its book: `paper` is the built-in broker.
    promise
        What its backtest promised, by sleeve and in sum (""), as JSON values; see `monitoring.performance`.
    """

    name: str
    version: int
    stage: Stage
    state: State
    sleeves: tuple[Sleeve, ...]
    capital_usd: float
    profile: str
    portfolio_id: int | None
    promise: Mapping[str, Any]
    author: str
    reason: str
    venue: str = "paper"
    created_at: dt.datetime | None = None

    @property
    def enters(self) -> bool:
        """True while it may open positions."""
        return self.state is State.ACTIVE

    @property
    def block(self) -> str | None:
        """The sentence that says what in its state keeps it from opening positions; None while it is active."""
        if self.enters:
            return None
        return f"Deployment {self.name} is {self.state} since version {self.version} ({self.author}: {self.reason})."

    @property
    def symbols(self) -> list[str]:
        """The symbols of its sleeves, sorted."""
        return sorted({symbol for sleeve in self.sleeves for symbol in sleeve.symbols})


def require_name(name: str) -> str:
    """Return the name of a deployment.

    Raises
    ------
    ConfigError
        When it cannot be one.

    >>> require_name("trio-2026")
    'trio-2026'
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"Deployment {name!r}: expected 1 to 40 lower-case letters, digits, dots, dashes or underscores, a letter or digit "
            "first. Choose another name."
        )
    return name


def sleeve_name(deployment: str, label: str) -> str:
    """Return the name of a deployment's sleeve.

    >>> sleeve_name("trio", "zscore@MSFT")
    'trio/zscore@MSFT'
    """
    return f"{deployment}{OF_SLEEVE}{label}"


def label_of(sleeve: str) -> str:
    """Return a sleeve's name without its deployment's; a strategy of the settings as it is.

    >>> label_of("trio/zscore@MSFT"), label_of("rsi_vix")
    ('zscore@MSFT', 'rsi_vix')
    """
    return sleeve.rpartition(OF_SLEEVE)[2]
