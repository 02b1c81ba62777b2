"""Strategy parameters, version by version, with the version in force at any moment. It validates no value.

A change is a new row, so what any past decision was made with can be read again. Versions count from 1 for each pair of
strategy and symbol; symbol None stands for all symbols. A row without parameters is a switch alone: a symbol follows the row
for all symbols, and that one the strategy's own defaults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from core.errors import ConfigError, VersionConflict
from storage.trading.tables import strategy_params

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

HISTORY = ("strategy", "symbol", "version", "enabled", "preset", "params", "author", "reason", "created_at")


@dataclass(frozen=True)
class Stored:
    """One version of a strategy's parameters; `symbol` None stands for all symbols, `enabled` False for no entries."""

    strategy: str
    symbol: str | None
    version: int
    params: Mapping[str, Any]
    enabled: bool
    preset: str | None
    author: str
    reason: str
    created_at: dt.datetime


@dataclass(frozen=True)
class Snapshot:
    """Every version in force at one moment, by strategy and symbol."""

    rows: Mapping[tuple[str, str | None], Stored]

    def current(self, strategy: str, symbol: str | None = None) -> Stored | None:
        """The symbol's own row, else the one for all symbols, else None.

        An own row without parameters has those for all symbols. What is switched off for all symbols is switched off for each,
        whatever its own row says.
        """
        general = self.rows.get((strategy, None))
        own = self.rows.get((strategy, symbol), general)
        if own is None or general is None:
            return own
        return replace(own, enabled=own.enabled and general.enabled, params=own.params or general.params)

    def symbols(self, strategy: str) -> list[str]:
        """Return the symbols with a row of their own, sorted."""
        return sorted(symbol for name, symbol in self.rows if name == strategy and symbol is not None)


class StrategyParams:
    """Rows of `trading.strategy_params`; they are only added."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def set(
        self,
        strategy: str,
        params: Mapping[str, Any],
        *,
        symbol: str | None = None,
        expected_version: int | None = None,
        reason: str,
        enabled: bool = True,
        preset: str | None = None,
        author: str = "",
    ) -> int:
        """Add a version and return its number.

        Parameters
        ----------
        params
            Every parameter, as JSON values, or none at all.
        expected_version
            Newest version that the change was made from, 0 for none; None does not ask.
        preset
            The preset it was taken from.

        Raises
        ------
        VersionConflict
            When somebody changed the parameters since `expected_version`.
        ConfigError
            When no reason is given, or a number is not finite.
        """
        _require(params, reason)
        with self._engine.begin() as connection:
            # One writer at a time, so that versions have no gaps and are as old as they are numbered; readers go on.
            connection.execute(sa.text("LOCK TABLE trading.strategy_params IN SHARE ROW EXCLUSIVE MODE"))
            newest = int(connection.execute(_newest_version(strategy, symbol)).scalar_one())
            if expected_version is not None and expected_version != newest:
                raise VersionConflict(
                    f"Parameters of {strategy!r} for {symbol or 'all symbols'}: expected version {expected_version}, found "
                    f"{newest}. Somebody changed them since: look at `desk params history {strategy}` and set them again."
                )
            row = {
                "strategy": strategy,
                "symbol": symbol,
                "version": newest + 1,
                "params": dict(params),
                "enabled": enabled,
                "preset": preset,
                "author": author,
                "reason": reason.strip(),
            }
            connection.execute(sa.insert(strategy_params).values(row))
        return newest + 1

    def current(self, strategy: str, symbol: str | None = None) -> Stored | None:
        """Return the version in force: the symbol's own, else the one for all symbols, else None. See `Snapshot.current`."""
        return self.as_of(None).current(strategy, symbol)

    def as_of(self, moment: dt.datetime | None) -> Snapshot:
        """Return every version in force at a moment (aware), or now when None."""
        if moment is not None and moment.tzinfo is None:
            raise ValueError("Expected a timezone-aware time, found a naive one. Pass datetime.now(UTC).")
        columns = strategy_params.c
        query = (
            sa.select(*(columns[name] for name in Stored.__dataclass_fields__))
            .ext(distinct_on(columns.strategy, columns.symbol))
            .order_by(columns.strategy, columns.symbol, columns.version.desc())
        )
        if moment is not None:
            query = query.where(columns.created_at <= moment)
        with self._engine.connect() as connection:
            rows = [Stored(**row) for row in connection.execute(query).mappings()]
        return Snapshot({(row.strategy, row.symbol): row for row in rows})

    def versions(self, strategy: str, symbol: str | None, after: int | None, limit: int) -> list[Mapping[str, Any]]:
        """Return versions of a strategy, or of one symbol's own row, newest first: id, the columns of `HISTORY`, `before`.

        `before` has the parameters of the version before, None of a first one; `after` is the id of the last row of the page
        before.
        """
        columns = strategy_params.c
        earlier = sa.func.lag(columns.params).over(partition_by=(columns.symbol,), order_by=columns.version)
        listed = sa.select(columns.id, *(columns[name] for name in HISTORY), earlier.label("before"))
        rows = listed.where(columns.strategy == strategy).subquery()
        query = sa.select(rows).order_by(rows.c.id.desc()).limit(limit)
        if symbol is not None:
            query = query.where(rows.c.symbol == symbol)
        if after is not None:
            query = query.where(rows.c.id < after)
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def history(self, strategy: str, symbol: str | None = None) -> pd.DataFrame:
        """Return every version of a strategy, or of one symbol's own row, oldest first: the columns of `HISTORY`."""
        query = sa.select(*(strategy_params.c[name] for name in HISTORY)).where(strategy_params.c.strategy == strategy)
        if symbol is not None:
            query = query.where(strategy_params.c.symbol == symbol)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(strategy_params.c.id)).all()
        frame = pd.DataFrame(rows, columns=list(HISTORY))
        return frame.assign(symbol=frame["symbol"].astype(object))


def _newest_version(strategy: str, symbol: str | None) -> sa.Select[Any]:
    columns = strategy_params.c
    return sa.select(sa.func.coalesce(sa.func.max(columns.version), 0)).where(
        columns.strategy == strategy, columns.symbol.is_not_distinct_from(symbol)
    )


def _require(params: Mapping[str, Any], reason: str) -> None:
    """Refuse what would not explain itself later, and what JSON cannot hold."""
    if not reason.strip():
        raise ConfigError("Parameters: expected a reason, found none. Say why, for whoever reads the history.")
    for name, value in params.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"Parameters: expected {name} to be a finite number, found {value}. None means without.")
