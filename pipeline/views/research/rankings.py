"""The view of rankings: the newest sweep ranked, or the members of stored shortlists in the order of their choice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from pipeline.resources import Resources, live
from pipeline.views.research.runs import percent
from pipeline.views.view import MOST_ROWS, After, Filter, Row, View

if TYPE_CHECKING:
    from storage.research.trials import Trials

KEY: Final = ("created_at", "key", "rank")
MOST_RANKS: Final = 2000  # of a sweep
SWEEP: Final = "sweep"
Undefined = Annotated[float | None, Field(description="null: not defined.")]


class RankingFilter(Filter):
    """The ranking wanted."""

    of: Annotated[
        Literal["sweep", "shortlist"],
        Field(description="sweep: the newest sweep, ranked; shortlist: what the research chain chose from, newest first."),
    ] = "sweep"
    dataset: Annotated[
        str | None,
        Field(
            max_length=64, pattern=r"^[A-Za-z0-9._-]+$", description="Name of a research dataset; the live bars unless given."
        ),
    ] = None
    min_trades: Annotated[int, Field(ge=1, le=100_000, description="Of a sweep: fewest trades of a backtest.")] = 30


class RankingRow(Row):
    """A candidate at its rank, net of costs."""

    session: Annotated[dt.date, Field(description="The last session that the ranking has seen.")]
    created_at: Annotated[dt.datetime | None, Field(description="Of the shortlist; null for a sweep.")]
    key: Annotated[str, Field(description="Of the shortlist; `sweep` for the newest sweep.")]
    rank: Annotated[int, Field(description="From 1: by profit a trade, then Sharpe ratio.")]
    label: Annotated[str, Field(description="Strategy@symbol.")]
    strategy: str
    symbol: str
    params: Annotated[dict[str, Any] | None, Field(description="Of a sweep; those of a shortlist are in its sweep.")]
    dataset: Annotated[str | None, Field(description="Research dataset (NAME@SHA256); null: the live bars.")]
    profit_per_trade_pct: Undefined
    win_rate_pct: Undefined
    sharpe: Undefined
    max_drawdown_pct: Undefined
    trades: int | None
    avg_hold_sessions: Undefined


def read_rankings(
    wanted: RankingFilter, after: After = None, limit: int = MOST_ROWS, *, resources: Resources | None = None
) -> Sequence[RankingRow]:
    """Return candidates in the order of their ranking; nothing where nothing was swept or chosen."""
    resources = resources or live()
    if wanted.of == "shortlist":
        return _shortlists(wanted, after, limit, resources=resources)
    reference = resources.datasets.get(wanted.dataset).reference if wanted.dataset else None
    newest, day = resources.trial_map.newest(), resources.clock().date()
    ranked = _ranked(resources.trials, newest, day, reference, wanted.min_trades) if newest else ()
    start = 0 if after is None else int(after[2])
    return ranked[start : start + limit]


def _shortlists(wanted: RankingFilter, after: After, limit: int, *, resources: Resources | None = None) -> Sequence[RankingRow]:
    rows = (resources or live()).research_pages.shortlists(wanted.dataset, after, limit)
    return [_member(row) for row in rows]


@lru_cache(maxsize=16)
def _ranked(trials: Trials, newest: int, day: dt.date, dataset: str | None, min_trades: int) -> tuple[RankingRow, ...]:
    """Return the first ranks of the newest sweep up to a day; remembered until another trial is stored."""
    from core.errors import DataError
    from pipeline.research.candidates import candidates_of, rank_swept
    from storage.engine import records

    del newest
    session = trials.last_swept(day, dataset)
    if session is None:
        return ()
    try:
        table = rank_swept(trials, day.isoformat(), min_trades=min_trades, dataset=dataset).head(MOST_RANKS)
    except DataError:  # nothing traded so often
        return ()
    about = {"session": session, "created_at": None, "key": SWEEP, "dataset": dataset}
    return tuple(
        _row(row, {**about, "rank": row["rank"]}, each.label, dict(each.params))
        for row, each in zip(records(table), candidates_of(table), strict=True)
    )


def _member(row: Mapping[str, Any]) -> RankingRow:
    member = row["member"]
    about = {name: row[name] for name in ("session", "created_at", "key", "rank", "dataset")}
    return _row(member["metrics"], about, member["label"], None)


def _row(figures: Mapping[str, Any], about: dict[str, Any], label: str, params: dict[str, Any] | None) -> RankingRow:
    strategy, _, symbol = label.rpartition("@")
    count = figures.get("trade_count")
    return RankingRow(
        **about,
        label=label,
        strategy=strategy,
        symbol=symbol,
        params=params,
        sharpe=figures.get("sharpe"),
        trades=None if count is None else int(count),
        avg_hold_sessions=figures.get("avg_hold_days"),
        **{f"{name}_pct": percent(figures.get(name)) for name in ("profit_per_trade", "win_rate", "max_drawdown")},
    )


RANKINGS = View(
    name="rankings",
    summary="The newest sweep ranked by profit a trade, or stored shortlists of the research chain.",
    filter=RankingFilter,
    row=RankingRow,
    read=read_rankings,
    key=KEY,
    shown=("rank", "strategy", "symbol", "profit_per_trade_pct", "win_rate_pct", "sharpe", "max_drawdown_pct", "trades"),
)
