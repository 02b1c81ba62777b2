"""The evidence for a curve's figures, under the names of a report; `statistics` computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from backtest.metrics import EQUITY_FIGURES, SESSIONS_A_YEAR, defined, measure_equity
from research import statistics

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from backtest.metrics import Figures

    Array = NDArray[np.float64]

OF_A_BENCHMARK: Final = ("total_return", "annual_return", "volatility", "max_drawdown", "sharpe")


def period_returns(equity_usd: Array, initial_cash_usd: float) -> Array:
    """Return the simple return of each session, shape (sessions,), the first one from the initial cash.

    Examples
    --------
    >>> period_returns(np.array([110.0, 99.0]), 100.0).round(2).tolist()
    [0.1, -0.1]
    """
    before = np.concatenate([[initial_cash_usd], equity_usd[:-1]])[: len(equity_usd)]
    with np.errstate(divide="ignore", invalid="ignore"):  # after the equity is gone no return is defined
        returns: Array = equity_usd / before - 1
    return returns


def sharpe_evidence(
    equity_usd: Array,
    initial_cash_usd: float,
    *,
    trials: int | None = None,
    sharpe_variance: float | None = None,
    periods_a_year: float = SESSIONS_A_YEAR,
) -> Figures:
    """Return standard error, 95 % interval, probabilistic and deflated Sharpe ratio of a curve; None where not defined.

    Parameters
    ----------
    equity_usd
        (sessions,) at each close.
    trials
        Backtests the curve was chosen from, this one included. None when nothing was chosen, as of a benchmark.
    sharpe_variance
        Variance of the trials' annualised Sharpe ratios; one trial needs none.
    """
    returns = period_returns(equity_usd, initial_cash_usd)
    found, interval = statistics.moments(returns), statistics.sharpe_interval(returns, periods_a_year=periods_a_year)
    variance = 0.0 if trials == 1 else sharpe_variance
    deflated = None
    if found and trials and variance is not None:
        deflated = statistics.deflated_sharpe(found, trials, variance, periods_a_year=periods_a_year)
    return {
        "sharpe_se": statistics.sharpe_standard_error(found, periods_a_year=periods_a_year) if found else None,
        "sharpe_low": interval.low if interval else None,
        "sharpe_high": interval.high if interval else None,
        "probabilistic_sharpe": statistics.probabilistic_sharpe(found, periods_a_year=periods_a_year) if found else None,
        "deflated_sharpe": deflated,
        "trials": trials,
    }


def benchmark_evidence(
    name: str, curve: pd.DataFrame, initial_cash_usd: float, *, periods_a_year: float = SESSIONS_A_YEAR
) -> Figures:
    """Return the figures of a benchmark's curve and of its Sharpe ratio, each under `name` and an underscore.

    Parameters
    ----------
    curve
        Columns session, equity_usd.
    """
    equity_usd = curve["equity_usd"].to_numpy(dtype=np.float64)
    measured = measure_equity(equity_usd, np.zeros(len(equity_usd)), float(initial_cash_usd), float(periods_a_year))
    known = dict(zip(EQUITY_FIGURES, measured.tolist(), strict=True))
    figures: Figures = {figure: defined(known[figure]) for figure in OF_A_BENCHMARK}
    figures |= sharpe_evidence(equity_usd, initial_cash_usd, periods_a_year=periods_a_year)
    return {f"{name}_{figure}": value for figure, value in figures.items()}
