"""The equity of a book beside its backtest's, the gap between them by cause, and the range that the promise allows. Pure."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Annotated, Final

import numpy as np
from pydantic import Field

from pipeline.views.columns import Numbers, numbers, on_sessions, since_first, thinned
from pipeline.views.view import MOST_POINTS, Row

if TYPE_CHECKING:
    from monitoring.performance.expectation import Expectation
    from storage.views.live_record import Array, CashMoved, Closes, Gaps, Sessions

INSIDE: Final = 1.96  # standard deviations of 95 %


class LiveCurve(Row):
    """Columns of equal length, oldest session first. Money in US dollars; causes add up from the first session on."""

    session: list[dt.date]
    live_usd: Annotated[Numbers, Field(description="Equity without deposits, withdrawals and dividends since the first close.")]
    backtest_usd: Annotated[Numbers, Field(description="The backtest of the same sessions; null: no measurement is stored.")]
    gap_usd: Annotated[Numbers, Field(description="Live less backtest: the sum of the causes and of `carried_usd`.")]
    signal_usd: Annotated[Numbers, Field(description="Other signals: a bar was revised, or code or parameters changed.")]
    fill_usd: Annotated[Numbers, Field(description="Other raw prices or sizes.")]
    cost_usd: Annotated[Numbers, Field(description="Another slippage or commission.")]
    missed_usd: Annotated[Numbers, Field(description="A fill that one of the two alone has.")]
    carried_usd: Annotated[Numbers, Field(description="Later sessions of earlier differences; 0 without `compare`.")]
    expected_usd: Annotated[Numbers, Field(description="Middle of the promise; null without one.")]
    low_usd: Annotated[Numbers, Field(description="Low end of what the promise allows in 95 of 100 cases, session by session.")]
    high_usd: Numbers


def make_curve(
    closes: Closes,
    cash: CashMoved,
    gaps: Gaps,
    *,
    promised: Expectation | None = None,
    backtest: tuple[Sessions, Array] | None = None,
    most: int = MOST_POINTS,
) -> LiveCurve:
    """Return the curves of a book, thinned out to at most so many points, the first and the last among them.

    Parameters
    ----------
    promised
        The promise of the whole book; None leaves the range null.
    backtest
        Sessions and equity of a backtest of the same sessions, scaled here to the first live close; None: live less the gaps
        that were measured session by session.
    """
    sessions, live = closes.sessions, closes.equity_usd - since_first(cash.cash_usd, cash.sessions, closes.sessions)
    causes = np.cumsum(on_sessions(gaps.usd, gaps.sessions, sessions), axis=0)
    measured = causes.sum(axis=1)
    theirs = live - measured if backtest is None else _scaled(*backtest, sessions, live)
    known = len(gaps.sessions) > 0 or backtest is not None
    gap = live - theirs
    middle, low, high = _range(live, promised)
    columns = {
        "live_usd": live,
        "backtest_usd": theirs if known else None,
        "gap_usd": gap if known else None,
        **{f"{cause}_usd": causes[:, k] for k, cause in enumerate(("signal", "fill", "cost", "missed"))},
        "carried_usd": gap - measured if known else None,
        "expected_usd": middle,
        "low_usd": low,
        "high_usd": high,
    }
    at = thinned(len(sessions), most)
    shown = {name: numbers(values, at) for name, values in columns.items()}
    return LiveCurve(session=sessions[at].tolist(), **shown)


def _scaled(days: Sessions, equity: Array, sessions: Sessions, live: Array) -> Array:
    """Return a backtest's equity at each session, scaled to the live close where it begins; NaN before and without one."""
    at = np.searchsorted(days, sessions, side="right") - 1
    begun = np.flatnonzero(at >= 0)
    scaled = np.full(len(sessions), np.nan)
    if len(begun) and equity[at[begun[0]]] > 0:
        scaled[begun] = equity[at[begun]] * (live[begun[0]] / equity[at[begun[0]]])
    return scaled


def _range(live: Array, promised: Expectation | None) -> tuple[Array | None, Array | None, Array | None]:
    """Return the middle and the ends of what a promise allows.

    Equity compounds, so that its logarithm after n sessions is normal around `n * (mean - sd ** 2 / 2)` with a standard
    deviation of `sd * sqrt(n)`; sessions are taken as independent. Each session's range is for it alone.
    """
    if promised is None or promised.daily_mean is None or promised.daily_deviation is None or not len(live):
        return None, None, None
    mean, spread, start = promised.daily_mean, promised.daily_deviation, float(live[0])
    if not (mean > -1 and math.isfinite(spread) and start > 0):
        return None, None, None
    n = np.arange(len(live))
    middle = n * (math.log1p(mean) - spread**2 / 2)
    away = INSIDE * spread * np.sqrt(n)
    with np.errstate(over="ignore"):
        return start * np.exp(middle), start * np.exp(middle - away), start * np.exp(middle + away)
