"""Walk-forward results: the windows' track records joined into one, and its evidence against overfitting."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from backtest.metrics import SESSIONS_A_YEAR, summarise
from core.frames import TRADES
from research.evidence import period_returns
from research.statistics import SURVIVES, deflated_sharpe, overfitting
from research.walkforward import stitch

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from backtest.engine import Result
    from backtest.metrics import Figures
    from research.search import Task

MOST_OVERFITTING = 0.5
BLOCKS = 16
STILL = 1e-12  # spread of daily returns under which nothing was traded
IN_SHARES_OR_DOLLARS = ["quantity", "pnl_usd", "cost_usd"]


@dataclass(frozen=True)
class TrackRecord:
    """The trades, equity and figures of some sessions.

    Attributes
    ----------
    trades, equity
        TRADES; columns session, equity_usd, drawdown.
    exposure_usd
        Gross notional at the close of each session of `equity`.
    metrics
        Figures of `backtest.metrics`.
    """

    trades: pd.DataFrame
    equity: pd.DataFrame
    exposure_usd: NDArray[np.float64]
    metrics: Figures

    @classmethod
    def of(cls, result: Result) -> TrackRecord:
        """Return the record of one backtest."""
        return cls(result.trades, result.equity, result.exposure_usd, result.metrics)


@dataclass(frozen=True)
class OverfittingEvidence:
    """An out-of-sample record deflated by the search that led to it; None where a figure is not defined.

    Parameters
    ----------
    trials
        Backtests of the strategy ever tried.
    sharpe_variance
        Of the annualised Sharpe ratios of the parameter sets tried.
    deflated_sharpe
        Probability that the true Sharpe ratio is above zero although the best was chosen (Bailey, Lopez de Prado 2014).
    overfitting
        Probability that the best set in-sample is under the median out of sample, by CSCV (Bailey et al. 2017).
    """

    trials: int
    sharpe_variance: float | None
    deflated_sharpe: float | None
    overfitting: float | None

    @property
    def survives(self) -> bool:
        """Deflated Sharpe of at least 0.95 and a probability of overfitting under one half; undefined does not survive."""
        if self.deflated_sharpe is None or self.overfitting is None:
            return False
        return self.deflated_sharpe >= SURVIVES and self.overfitting < MOST_OVERFITTING

    def as_dict(self) -> dict[str, Any]:
        """Return the figures and `survives` as JSON values."""
        return {**asdict(self), "survives": self.survives}


def cash_record(sessions: pd.DatetimeIndex, initial_cash_usd: float, periods_a_year: float = SESSIONS_A_YEAR) -> TrackRecord:
    """Return the record of a window without a feasible parameter set, which holds cash."""
    trades, still = TRADES.empty(), np.zeros(len(sessions))
    equity = pd.DataFrame({"session": sessions, "equity_usd": initial_cash_usd, "drawdown": 0.0})
    return TrackRecord(
        trades, equity, still, summarise(trades, still + initial_cash_usd, still, initial_cash_usd, periods_a_year)
    )


def join(records: Sequence[TrackRecord], initial_cash_usd: float, periods_a_year: float = SESSIONS_A_YEAR) -> TrackRecord:
    """Join the records of successive test windows into one: each starts with the equity at which the one before ended.

    Parameters
    ----------
    records
        Each run from `initial_cash_usd`. Shares and dollars of trades are scaled to the joined equity; returns stay.
    """
    equity = stitch([record.equity for record in records], initial_cash_usd)
    trades, exposures, factor = [], [], 1.0
    for record in records:
        scaled = record.trades[IN_SHARES_OR_DOLLARS] * factor
        trades.append(record.trades.assign(**{name: scaled[name] for name in IN_SHARES_OR_DOLLARS}))
        exposures.append(record.exposure_usd * factor)
        factor *= float(record.equity["equity_usd"].iloc[-1]) / initial_cash_usd
    traded = [frame for frame in trades if len(frame)]
    joined = TRADES.coerce(pd.concat(traded, ignore_index=True)) if traded else TRADES.empty()
    exposure_usd = np.concatenate(exposures)
    figures = summarise(joined, equity["equity_usd"].to_numpy(), exposure_usd, initial_cash_usd, periods_a_year)
    return TrackRecord(joined, equity, exposure_usd, figures)


def returns_of(
    bars: Mapping[str, pd.DataFrame],
    task: Task,
    parameter_sets: Sequence[Mapping[str, Any]],
    first: dt.date,
    last: dt.date,
    *,
    jobs: int = 1,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> NDArray[np.float64]:
    """Return daily returns of each parameter set over the same sessions, (T, N); sets that never traded are left out."""
    panel = task.panel(bars, first, last)

    def run(params: Mapping[str, Any]) -> NDArray[np.float64]:
        return period_returns(task.evaluate(panel, params, first).equity_usd, task.initial_cash_usd)

    columns = []
    runs = (delayed(run)(params) for params in parameter_sets)
    for done, column in enumerate(Parallel(n_jobs=jobs, backend="threading", return_as="generator")(runs), start=1):
        on_progress(done, len(parameter_sets))
        if column.std() > STILL:
            columns.append(column)
    return np.column_stack(columns) if columns else np.empty((0, 0))


def overfitting_evidence(
    record: NDArray[np.float64], tried: NDArray[np.float64], trials: int, *, periods_a_year: float = SESSIONS_A_YEAR
) -> OverfittingEvidence:
    """Deflate an out-of-sample record by the search that led to it.

    Parameters
    ----------
    record
        Daily out-of-sample returns, shape (T,); one that never traded has no deflated Sharpe ratio.
    tried
        Daily returns of the parameter sets tried, shape (S, N), over one span.
    trials
        Parameter sets ever tried.
    """
    if tried.shape[1] < 2:  # noqa: PLR2004  # one set is no choice
        return OverfittingEvidence(trials, None, None, None)
    sharpes = tried.mean(axis=0) / tried.std(axis=0, ddof=1) * np.sqrt(periods_a_year)
    variance = float(sharpes.var(ddof=1))
    deflated = deflated_sharpe(record, trials, variance, periods_a_year=periods_a_year)
    overfitted = overfitting(tried, blocks=BLOCKS)
    return OverfittingEvidence(trials, variance, deflated, None if overfitted is None else overfitted.probability)
