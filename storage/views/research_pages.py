"""Pages of research: backtest runs with their curves and trades, and the shortlists of the research chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from storage.research.tables import backtest_equity, backtest_runs, backtest_trades, shortlists
from storage.views.packed import pack, unpacked
from storage.views.reading import Reader, Rows, newest_first

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LISTED: Final = (  # figures of a run that a list shows
    "trade_count", "total_return", "annual_return", "sharpe", "max_drawdown", "win_rate", "profit_per_trade", "cost_usd",
)  # fmt: skip
NEWEST_TRADE: Final = ("exit_session", "entry_session", "strategy", "symbol")


class RunCurve(NamedTuple):
    """Equity and drawdown of a run at each session (sessions,), oldest first."""

    sessions: NDArray[np.datetime64]
    equity_usd: Array
    drawdowns: Array


class Curves(NamedTuple):
    """Sessions that all runs have (sessions,), oldest first, with the equity of each run (runs, sessions)."""

    sessions: NDArray[np.datetime64]
    equity_usd: Array


class ResearchPages(Reader):
    """Rows of `research.backtest_runs`, `backtest_trades`, `backtest_equity` and `shortlists`."""

    def runs(self, equal: Mapping[str, str | None] | None = None, after: Sequence[Any] | None = None, limit: int = 100) -> Rows:
        """Return runs, newest first: run_id, kind, created_at, `LISTED` of the metrics, and of `meta` what a list shows.

        Parameters
        ----------
        equal
            Values of kind, strategy or dataset (with its hash); None wants every value.
        after
            Run id of the last row of the page before.
        """
        query = RUNS
        for name, value in (equal or {}).items():
            if value is not None:
                query = query.where(RUN_FILTERS[name] == value)
        if after is not None:
            query = query.where(backtest_runs.c.run_id < after[0])
        return self._rows(query.limit(limit))

    def trades(self, run_id: str, after: Sequence[Any] | None = None, limit: int = 100) -> Rows:
        """Return the trades of a run, newest first; `after` is the key `NEWEST_TRADE` of the last row of the page before."""
        row = backtest_trades.c
        columns = [row[name] for name in NEWEST_TRADE]
        fields = [each for each in row if each.name not in {"run_id", "strategy"}]
        query = sa.select(row.strategy.label("sleeve"), *fields).where(row.run_id == run_id)
        return self._rows(newest_first(query, columns, after).limit(limit))

    def curve(self, run_id: str) -> RunCurve:
        """Return the curve of a run; empty where it has none."""
        with self._connection() as connection:
            sessions, (equity_usd, drawdowns) = unpacked(connection, CURVE, run=run_id)
        return RunCurve(sessions, equity_usd, drawdowns)

    def curves(self, run_ids: Sequence[str]) -> Curves:
        """Return the equity of several runs on the sessions that all of them have."""
        row = backtest_equity.c
        values = [sa.func.max(row.equity_usd).filter(row.run_id == run_id).label(str(k)) for k, run_id in enumerate(run_ids)]
        together = sa.select(row.session, *values).where(row.run_id.in_(run_ids)).group_by(row.session)
        shared = together.having(sa.func.count() == len(set(run_ids)))
        with self._connection() as connection:
            return Curves(*unpacked(connection, pack(shared)))

    def shortlists(self, dataset: str | None = None, after: Sequence[Any] | None = None, limit: int = 100) -> Rows:
        """Return the members of stored shortlists, the newest shortlist first and each in the order of its ranking.

        `after` is created_at, key and rank of the last row of the page before; `dataset` is a name without its hash.
        """
        row = shortlists.c
        members = sa.func.jsonb_array_elements(row.members).table_valued(
            sa.column("member", row.members.type), with_ordinality="rank", name="listed"
        )
        each = members.render_derived()
        query = sa.select(row.key, row.session, row.created_at, row.dataset, each.c.rank, each.c.member).select_from(
            shortlists.join(each, sa.true())
        )
        if dataset is not None:
            query = query.where(sa.func.split_part(row.dataset, "@", 1) == dataset)
        if after is not None:
            made, key, rank = (sa.literal(value) for value in after)
            later_lists = sa.tuple_(row.created_at, row.key) < sa.tuple_(made, key)
            query = query.where(later_lists | ((row.created_at == made) & (row.key == key) & (each.c.rank > rank)))
        return self._rows(query.order_by(row.created_at.desc(), row.key.desc(), each.c.rank).limit(limit))


def _figure(name: str) -> sa.ColumnElement[Any]:
    return sa.cast(backtest_runs.c.metrics[name].astext, sa.Double).label(name)


def _runs() -> sa.Select[Any]:
    row = backtest_runs.c
    evidence = sa.func.coalesce(*(row.meta[(name, "deflated_sharpe")].astext for name in ("evidence", "verdict")))
    return sa.select(
        *(row[name] for name in ("run_id", "kind", "created_at")),
        row.meta["symbols"].label("symbols"),
        sa.cast(evidence, sa.Double).label("deflated_sharpe"),
        *(row.meta[name].astext.label(name) for name in ("strategy", "first_session", "last_session", "dataset")),
        *map(_figure, LISTED),
    ).order_by(row.run_id.desc())


# Built once: SQLAlchemy takes longer to build them than PostgreSQL to answer.
RUNS: Final = _runs()
RUN_FILTERS: Final = {
    "kind": backtest_runs.c.kind,
    **{name: backtest_runs.c.meta[name].astext for name in ("strategy", "dataset")},
}
CURVE: Final = pack(
    sa.select(backtest_equity.c.session, backtest_equity.c.equity_usd, backtest_equity.c.drawdown).where(
        backtest_equity.c.run_id == sa.bindparam("run")
    )
)
