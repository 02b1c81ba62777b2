"""The trial ledger: every backtest ever tried on a strategy. Rows are only added.

The number of trials behind a choice decides how believable its Sharpe ratio is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from storage.research.tables import trials

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

SWEEP = "sweep"
RANKING_DAYS = 7  # last bars of symbols on different calendars lie that far apart at most
COLUMNS = ("key", "strategy", "symbol", "params", "kind", "first_session", "last_session", "metrics", "error", "dataset")


class Trials:
    """Rows of `research.trials`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add trials; each names the columns of `COLUMNS`, `metrics` or `error` being None, `dataset` optional."""
        found = [{"dataset": None, **{name: row[name] for name in COLUMNS if name in row}} for row in rows]
        if found:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(trials), found)

    def finished(self, keys: Iterable[str]) -> pd.DataFrame:
        """The newest successful trial of each key: `COLUMNS`, and `datasets`, the set of all that the key is on record for."""
        query = (
            sa.select(*(trials.c[name] for name in COLUMNS))
            .where(trials.c.key.in_(list(keys)), trials.c.error.is_(None))
            .order_by(trials.c.id)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        frame = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
        datasets = frame.groupby("key")["dataset"].agg(set)
        newest = frame.drop_duplicates("key", keep="last", ignore_index=True)
        return newest.assign(datasets=newest["key"].map(datasets))

    def swept(self, figures: Sequence[str], by: dt.date, dataset: str | None = None) -> pd.DataFrame:
        """The newest sweep up to a session: for each strategy, symbol and parameters the successful cell stored last.

        Parameters
        ----------
        figures
            Names of metrics, each a column of floats; NaN where one is not defined.
        by
            Cells whose last bar is later are left out, and so are those of more than a week before the newest that is not.
        dataset
            Cells of this research dataset alone (NAME@SHA256); None: cells on the live bars alone.

        Returns
        -------
        pd.DataFrame
            strategy, symbol, params (a dict), last_session and `figures`.
        """
        columns = trials.c
        known = _swept(by, dataset)
        newest = sa.select(sa.func.max(columns.last_session)).where(known).scalar_subquery()
        query = (
            sa.select(
                columns.strategy,
                columns.symbol,
                columns.params,
                columns.last_session,
                *(sa.cast(columns.metrics[name].astext, sa.Double).label(name) for name in figures),
            )
            .ext(distinct_on(columns.strategy, columns.symbol, columns.params))
            .where(known, columns.last_session > newest - RANKING_DAYS)
            .order_by(columns.strategy, columns.symbol, columns.params, columns.id.desc())
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        frame = pd.DataFrame(rows, columns=["strategy", "symbol", "params", "last_session", *figures])
        return frame.astype(dict.fromkeys(figures, "float64"))

    def last_swept(self, by: dt.date, dataset: str | None = None) -> dt.date | None:
        """Return the last bar of the newest sweep up to a session, on a dataset or on live bars; None without one."""
        with self._engine.connect() as connection:
            query = sa.select(sa.func.max(trials.c.last_session)).where(_swept(by, dataset))
            last: dt.date | None = connection.execute(query).scalar_one()
        return last

    def count(self, *strategies: str) -> int:
        """Return the number of different backtests of some strategies ever tried, with any parameters and symbols."""
        query = sa.select(sa.func.count(sa.distinct(trials.c.key))).where(trials.c.strategy.in_(strategies))
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def sharpe_variance(self, *strategies: str) -> float | None:
        """Sample variance of the annualised Sharpe ratios of those backtests; None when fewer than two have one."""
        sharpe = sa.cast(trials.c.metrics["sharpe"].astext, sa.Double)
        once = (
            sa.select(sharpe.label("sharpe"))
            .ext(distinct_on(trials.c.key))
            .where(trials.c.strategy.in_(strategies), trials.c.error.is_(None), sharpe.is_not(None))
            .subquery()
        )
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(sa.func.var_samp(once.c.sharpe))).scalar_one()
        return None if found is None else float(found)


def _swept(by: dt.date, dataset: str | None) -> sa.ColumnElement[bool]:
    columns = trials.c
    made_from = columns.dataset.is_(None) if dataset is None else columns.dataset == dataset
    return sa.and_(columns.kind == SWEEP, columns.error.is_(None), columns.last_session <= by, made_from)
