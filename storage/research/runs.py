"""Backtest runs: figures, trades and equity curve, in the database and as files."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa

from core.errors import DataError
from core.frames import BAND_COLUMNS, SESSION, TRADES
from storage.columns import TRADE_COLUMNS
from storage.engine import copy_in
from storage.research.tables import backtest_equity, backtest_runs, backtest_trades

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

EQUITY_COLUMNS = ("session", "equity_usd", "drawdown")
COLUMNS = (
    backtest_runs.c.run_id,
    backtest_runs.c.kind,
    backtest_runs.c.created_at,
    backtest_runs.c.meta,
    backtest_runs.c.metrics,
)


class UnknownRun(DataError):
    """No run has that id, or several begin with it."""


@dataclass(frozen=True)
class Run:
    """A stored run without its trades; `metrics` holds None where a figure is not defined."""

    run_id: str
    kind: str
    created_at: dt.datetime
    meta: dict[str, Any]
    metrics: dict[str, Any]


class Runs:
    """Rows of `research.backtest_runs` with their trades and equity, and one folder of files a run.

    Parameters
    ----------
    folder
        Parent of the runs' folders.
    """

    def __init__(self, engine: sa.Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder

    def save(
        self,
        *,
        kind: str,
        meta: dict[str, Any],
        metrics: dict[str, Any],
        trades: pd.DataFrame,
        equity: pd.DataFrame,
    ) -> str:
        """Store a run in one transaction; write `meta.json`, `trades.parquet` and `equity.parquet` in its folder.

        Parameters
        ----------
        trades
            TRADES, and `BAND_COLUMNS` where they are known.
        equity
            Columns session, equity_usd, drawdown.

        Returns
        -------
        str
            The run's id, which starts with the moment it was stored (UTC).
        """
        run_id = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
        folder = self.folder_of(run_id)
        folder.mkdir(parents=True)
        (folder / "meta.json").write_text(json.dumps({"run_id": run_id, "kind": kind, **meta, "metrics": metrics}, indent=2))
        logged = trades.reindex(columns=[*TRADE_COLUMNS, *BAND_COLUMNS])
        logged.to_parquet(folder / "trades.parquet", index=False)
        equity.to_parquet(folder / "equity.parquet", index=False)
        with self._engine.begin() as connection:
            connection.execute(sa.insert(backtest_runs).values(run_id=run_id, kind=kind, meta=meta, metrics=metrics))
            copy_in(connection, logged.assign(run_id=run_id), backtest_trades.fullname, ("run_id", *logged))
            copy_in(connection, equity.assign(run_id=run_id), backtest_equity.fullname, ("run_id", *EQUITY_COLUMNS))
        return run_id

    def folder_of(self, run_id: str) -> Path:
        """Return the folder of a run's files and report."""
        return self._folder / run_id

    def latest(self, kind: str | None = None) -> Run | None:
        """Return the run stored last, of one kind if given; None when there is none."""
        runs = self.recent(kind, limit=1)
        return runs[0] if runs else None

    def find(self, run_id: str) -> Run:
        """Return a run by its id or by a prefix that no other run has.

        Raises
        ------
        UnknownRun
            When there is none, or more than one.
        """
        query = sa.select(*COLUMNS).where(backtest_runs.c.run_id.startswith(run_id, autoescape=True)).limit(2)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        if len(rows) != 1 or not run_id:
            count = "none" if not rows else "more than one"
            raise UnknownRun(
                f"Run {run_id!r}: expected one run id with this prefix, found {count}. List the runs: `desk runs`."
            )
        return Run(*rows[0])

    def frames(self, run_id: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the TRADES of a run with `BAND_COLUMNS`, and its equity: session, equity_usd, drawdown."""
        trades, equity = backtest_trades.c, backtest_equity.c
        with self._engine.connect() as connection:
            made = connection.execute(
                sa.select(*(trades[name] for name in (*TRADE_COLUMNS, *BAND_COLUMNS))).where(trades.run_id == run_id)
            ).mappings().all()  # fmt: skip
            curve = connection.execute(
                sa.select(*(equity[name] for name in EQUITY_COLUMNS)).where(equity.run_id == run_id).order_by(equity.session)
            ).all()  # fmt: skip
        frame = pd.DataFrame(curve, columns=list(EQUITY_COLUMNS))
        return _trades(made), frame.assign(session=pd.to_datetime(frame["session"]).astype(SESSION))

    def recent(self, kind: str | None = None, limit: int = 100) -> list[Run]:
        """Return runs, the newest first."""
        query = sa.select(*COLUMNS)
        if kind is not None:
            query = query.where(backtest_runs.c.kind == kind)
        with self._engine.connect() as connection:
            return [Run(*row) for row in connection.execute(query.order_by(backtest_runs.c.created_at.desc()).limit(limit))]


def _trades(rows: Sequence[Mapping[Any, Any]]) -> pd.DataFrame:
    """Return rows as TRADES with `BAND_COLUMNS`."""
    whole = pd.DataFrame(rows, columns=[*TRADE_COLUMNS, *BAND_COLUMNS])
    table = TRADES.coerce(whole) if len(whole) else TRADES.empty()
    bands = whole.sort_values(list(TRADES.key), kind="stable", ignore_index=True)[list(BAND_COLUMNS)].astype("float64")
    return table.join(bands)
