"""The trial ledger: every backtest tried on a strategy, for ever. Owns its growth; statistics read how often one has tried.

Rows are only added. What makes a Sharpe ratio believable is how many others were looked at before it was chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa

from storage.tables import trials

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COLUMNS = ("key", "strategy", "symbol", "params", "kind", "first_session", "last_session", "metrics", "error")


class Trials:
    """Rows of `research.trials`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add trials; each names the columns of `COLUMNS`, `metrics` or `error` being None."""
        found = [{name: row[name] for name in COLUMNS} for row in rows]
        if found:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(trials), found)

    def finished(self, keys: Iterable[str]) -> pd.DataFrame:
        """The newest successful trial of each key: key, strategy, symbol and metrics."""
        query = (
            sa.select(trials.c.key, trials.c.strategy, trials.c.symbol, trials.c.metrics)
            .where(trials.c.key.in_(list(keys)), trials.c.error.is_(None))
            .order_by(trials.c.id)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        frame = pd.DataFrame(rows, columns=["key", "strategy", "symbol", "metrics"])
        return frame.drop_duplicates("key", keep="last", ignore_index=True)

    def count(self, strategy: str) -> int:
        """How many different backtests of a strategy, whatever its parameters and symbols, have ever been looked at."""
        query = sa.select(sa.func.count(sa.distinct(trials.c.key))).where(trials.c.strategy == strategy)
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())
