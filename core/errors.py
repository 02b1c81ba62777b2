"""The error tree, split by what the operator must do.

DeskError
├── RetryLater        the world was not ready (network, database starting): run the step again
│   ├── ExecutorBusy  another process is placing the portfolio's orders: let it
│   └── UnreadableAnswer  a venue's answer about one thing cannot be read: go on with the others
├── DataError         the data is wrong: look at `market.quarantine` and the Data Docs
│   ├── UnknownSymbol
│   ├── StaleData
│   └── BatchRejected
├── ConfigError       a setting is wrong: change it, then run the step again
│   ├── NoChampion    nothing is registered under the alias yet: train first
│   └── VersionConflict  somebody changed it since: look again, then change it
└── StopTrading       go no further with orders until a person has looked
    ├── RiskLimitBreached
    └── IllegalTransition
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class DeskError(Exception):
    """Root of every error the desk raises itself."""


class RetryLater(DeskError):
    """Something outside was not ready; the same call may succeed later.

    Raised by a broker it means that the outcome is unknown. `retry_after_seconds` is what the other side asked for, if it did.
    """

    def __init__(self, message: str = "", *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ExecutorBusy(RetryLater):
    """Another executor holds the portfolio."""


class UnreadableAnswer(RetryLater):
    """The venue answered, and the answer cannot be read: it proves nothing about this one thing, and nothing about others."""


class DataError(DeskError):
    """The data does not hold what was expected of it."""


class UnknownSymbol(DataError):
    """No bars are known for the symbol."""

    def __init__(self, symbol: str, symbols: Iterable[str] = ()) -> None:
        near = get_close_matches(symbol, [each for each in symbols if each != symbol], n=1)
        hint = f" Did you mean {near[0]}?" if near else " Load it first: `desk ingest --symbols ...`."
        super().__init__(f"Unknown symbol {symbol!r}.{hint}")
        self.symbol = symbol


class StaleData(DataError):
    """The newest data is older than the session that needs it."""


class BatchRejected(DataError):
    """More rows of a batch failed validation than the set fraction allows."""


class ConfigError(DeskError):
    """A setting is missing or contradicts another."""


class NoChampion(ConfigError):
    """The model registry has no version under the alias."""


class VersionConflict(ConfigError):
    """The stored version is newer than the one the change was made from."""


class StopTrading(DeskError):
    """Orders must not go on before a person has looked."""


class RiskLimitBreached(StopTrading):
    """A hard limit is broken."""


class IllegalTransition(StopTrading):
    """An order cannot move from its present state to the requested one."""
