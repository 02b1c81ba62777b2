"""Two to six backtest runs side by side: every figure in a fixed order, and their curves from 100 on common sessions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field

from backtest.metrics import COUNTS, FIGURES
from core.errors import ConfigError
from pipeline.resources import Resources, live
from pipeline.views.columns import Numbers, numbers, thinned
from pipeline.views.view import MOST_POINTS, Row

if TYPE_CHECKING:
    from storage.research.runs import Run

FEWEST: Final = 2
REFUSED: Final = "refused_"  # candidates that a backtest did not trade, by the reason
MOST: Final = 6
BASE: Final = 100.0
EVIDENCE: Final = ("sharpe_se", "sharpe_low", "sharpe_high", "probabilistic_sharpe", "deflated_sharpe", "trials")
RATIOS: Final = frozenset({"sharpe", "sortino", "profit_factor", "sharpe_se", "sharpe_low", "sharpe_high", "trades_per_month"})
Unit = Literal["fraction", "ratio", "usd", "count", "sessions", "probability"]


class BadComparison(ConfigError):
    """Too few or too many runs, or one of them twice."""


class ComparedRun(Row):
    """A run of a comparison."""

    run_id: str
    kind: str
    created_at: dt.datetime
    strategy: str
    first: dt.date | None
    last: dt.date | None


class ComparedFigure(Row):
    """A figure of every run, in the order of the runs."""

    name: str
    unit: Unit
    values: Numbers


class ComparedCurve(Row):
    """The equity of a run on the common sessions, 100 at the first of them."""

    run_id: str
    value: Numbers


class RunsCompared(Row):
    """Runs side by side, in the order in which they were named."""

    runs: list[ComparedRun]
    figures: list[ComparedFigure]
    session: Annotated[list[dt.date], Field(description="Common sessions; empty: the runs have none in common.")]
    curves: list[ComparedCurve]


def compare_runs(run_ids: Sequence[str], points: int = MOST_POINTS, *, resources: Resources | None = None) -> RunsCompared:
    """Return two to six runs side by side.

    Raises
    ------
    BadComparison
        When there are too few or too many, or one is named twice.
    storage.research.runs.UnknownRun
        When one is not on record.
    """
    resources = resources or live()
    if not FEWEST <= len(run_ids) <= MOST:
        raise BadComparison(f"Comparison: expected {FEWEST} to {MOST} runs, found {len(run_ids)}. Name each as `run`.")
    runs = [resources.runs.find(each) for each in run_ids]
    ids = [run.run_id for run in runs]
    if len(set(ids)) < len(ids):
        raise BadComparison(f"Comparison: expected each run once, found {', '.join(ids)}.")
    curves = resources.research_pages.curves(ids)
    at = thinned(len(curves.sessions), points)
    rebased = [_rebased(equity) for equity in curves.equity_usd]
    return RunsCompared(
        runs=[_compared(run) for run in runs],
        figures=_figures(runs),
        session=curves.sessions[at].tolist(),
        curves=[ComparedCurve(run_id=run_id, value=numbers(each, at)) for run_id, each in zip(ids, rebased, strict=True)],
    )


def unit_of(name: str) -> Unit:
    """Return the unit of a figure.

    >>> unit_of("total_return"), unit_of("cost_usd"), unit_of("refused_cash"), unit_of("deflated_sharpe")
    ('fraction', 'usd', 'count', 'probability')
    """
    if name in RATIOS:
        return "ratio"
    if name in {"probabilistic_sharpe", "deflated_sharpe"}:
        return "probability"
    if name in {"sessions", "avg_hold_days"}:
        return "sessions"
    if name in {*COUNTS, "trials"} or name.startswith(REFUSED):
        return "count"
    return "usd" if name.endswith("_usd") else "fraction"


def _figures(runs: Sequence[Run]) -> list[ComparedFigure]:
    """Return the figures of a backtest and its evidence in their own order, then what only some runs have, by name."""
    values = [{**run.metrics, **(run.meta.get("verdict") or {}), **(run.meta.get("evidence") or {})} for run in runs]
    others = sorted({name for run in runs for name in run.metrics} - {*FIGURES, *EVIDENCE})
    names = [*FIGURES, *EVIDENCE, *others]
    return [ComparedFigure(name=name, unit=unit_of(name), values=[_number(each, name) for each in values]) for name in names]


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _compared(run: Run) -> ComparedRun:
    return ComparedRun(
        run_id=run.run_id,
        kind=run.kind,
        created_at=run.created_at,
        strategy=run.meta.get("strategy") or "",
        first=run.meta.get("first_session"),
        last=run.meta.get("last_session"),
    )


def _rebased(equity: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return a curve from 100; NaN where it begins at zero or under it."""
    if not len(equity) or not equity[0] > 0:
        return np.full(len(equity), np.nan)
    return np.asarray(BASE * equity / equity[0], dtype=np.float64)
