"""The views of backtest runs and of the trades of one, and one run with all its figures and its curve."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from pipeline.resources import Resources, live
from pipeline.views.trades import Side, trade_fields
from pipeline.views.view import MOST_POINTS, MOST_ROWS, After, Filter, Row, View

Text = Annotated[str | None, Field(max_length=200, pattern=r"^[^\x00]+$")]
Undefined = Annotated[float | None, Field(description="null: not defined.")]


class RunFilter(Filter):
    """Runs of a kind, a strategy or a research dataset."""

    kind: Annotated[Text, Field(description="unfiltered, filtered or walk_forward.")] = None
    strategy: Annotated[Text, Field(description="Strategy, or strategies joined by +.")] = None
    dataset: Annotated[Text, Field(description="Research dataset, as NAME@SHA256; runs on live bars have none.")] = None


class RunRow(Row):
    """A stored backtest and its main figures, net of costs."""

    run_id: str
    kind: str
    created_at: dt.datetime
    strategy: str
    symbols: list[str]
    first: Annotated[dt.date | None, Field(description="First session on which it could trade.")]
    last: dt.date | None
    dataset: Annotated[str | None, Field(description="Research dataset (NAME@SHA256); null: the live bars.")]
    trades: int | None
    total_return_pct: Undefined
    annual_return_pct: Undefined
    sharpe: Undefined
    max_drawdown_pct: Undefined
    win_rate_pct: Undefined
    profit_per_trade_pct: Undefined
    cost_usd: Undefined
    deflated_sharpe: Annotated[float | None, Field(description="Probability; null: no evidence was computed.")]


class RunTradeFilter(Filter):
    """Trades of one run."""

    run: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]+$", description="Id of a run.")]


class RunTradeRow(Row):
    """A closed trade of a backtest, net of costs."""

    sleeve: str
    symbol: str
    side: Side
    quantity: float
    decision_session: dt.date
    entry_session: dt.date
    entry_price: float
    exit_session: dt.date
    exit_price: float
    holding_sessions: int
    reason: str
    pnl_usd: float
    cost_usd: float
    gross_return_pct: float
    net_return_pct: float
    mean_price: Annotated[float | None, Field(description="Average at the decision; null: a strategy without a band.")]
    band_price: Annotated[float | None, Field(description="Band at the decision, beyond which the rule enters.")]


class RunDetail(Row):
    """A stored backtest with everything on record about it, net of costs."""

    run_id: str
    kind: str
    created_at: dt.datetime
    meta: Annotated[dict[str, Any], Field(description="Strategy, parameters, symbols, span, costs, evidence.")]
    metrics: Annotated[dict[str, float | None], Field(description="Fractions, not percent; null where not defined.")]


class RunCurve(Row):
    """The equity of a run: columns of equal length, oldest session first."""

    run_id: str
    session: list[dt.date]
    equity_usd: list[float | None]
    drawdown_pct: Annotated[list[float | None], Field(description="Below the highest close before, 0 or negative.")]


def read_runs(
    wanted: RunFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[RunRow]:
    """Return runs, newest first."""
    resources = resources or live()
    return RUNS.rows([_run(row) for row in resources.research_pages.runs(wanted.model_dump(), after, limit)])


def read_run_trades(
    wanted: RunTradeFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[RunTradeRow]:
    """Return the trades of a run, the newest exit first.

    Raises
    ------
    storage.research.runs.UnknownRun
        When there is no such run.
    """
    resources = resources or live()
    rows = resources.research_pages.trades(wanted.run, after, limit)
    if not rows:
        resources.runs.find(wanted.run)
    return RUN_TRADES.rows([trade_fields(row) for row in rows])


def read_run(run_id: str, *, resources: Resources | None = None) -> RunDetail:
    """Return a run by its id, or by the beginning of it that no other run shares."""
    run = (resources or live()).runs.find(run_id)
    return RunDetail(run_id=run.run_id, kind=run.kind, created_at=run.created_at, meta=run.meta, metrics=run.metrics)


def read_run_curve(run_id: str, points: int = MOST_POINTS, *, resources: Resources | None = None) -> RunCurve:
    """Return the equity of a run, thinned out to at most so many points, the first and the last among them."""
    from pipeline.views.columns import numbers, thinned

    resources = resources or live()
    run_id = resources.runs.find(run_id).run_id
    sessions, equity_usd, drawdowns = resources.research_pages.curve(run_id)
    at = thinned(len(sessions), points)
    return RunCurve(
        run_id=run_id,
        session=sessions[at].tolist(),
        equity_usd=numbers(equity_usd, at),
        drawdown_pct=numbers(100 * drawdowns, at),
    )


def percent(value: float | None) -> float | None:
    """Return a fraction in percent."""
    return None if value is None else 100 * value


def _run(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a run's row."""
    as_stored = ("run_id", "kind", "created_at", "dataset", "sharpe", "cost_usd", "deflated_sharpe")
    fractions = ("total_return", "annual_return", "max_drawdown", "win_rate", "profit_per_trade")
    return {
        **{name: row[name] for name in as_stored},
        **{f"{name}_pct": percent(row[name]) for name in fractions},
        "strategy": row["strategy"] or "",
        "symbols": row["symbols"] or [],
        "first": row["first_session"],
        "last": row["last_session"],
        "trades": row["trade_count"],
    }


RUNS = View(
    name="runs",
    summary="Backtests on record with their main figures, net of costs, newest first.",
    filter=RunFilter,
    row=RunRow,
    read=read_runs,
    key=("run_id",),
    shown=(
        "run_id",
        "kind",
        "strategy",
        "first",
        "last",
        "trades",
        "total_return_pct",
        "sharpe",
        "max_drawdown_pct",
        "win_rate_pct",
        "profit_per_trade_pct",
        "deflated_sharpe",
    ),
)
RUN_TRADES = View(
    name="run-trades",
    summary="Trades of a backtest on record, net of costs, newest first.",
    filter=RunTradeFilter,
    row=RunTradeRow,
    read=read_run_trades,
    key=("exit_session", "entry_session", "sleeve", "symbol"),
    shown=(
        "sleeve",
        "symbol",
        "side",
        "quantity",
        "entry_session",
        "entry_price",
        "exit_session",
        "exit_price",
        "holding_sessions",
        "reason",
        "net_return_pct",
        "pnl_usd",
    ),
)
