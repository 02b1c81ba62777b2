"""The figures of a backtest, from its trades and its equity curve. Owns their definitions; it never simulates.

Every figure is net of costs; returns and drawdowns are fractions. A figure that is not defined (no trade, no loss, no spread)
is None, never zero or infinity; in arrays it is NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from core.compiled import compiled

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SESSIONS_A_YEAR: Final = 252
MONTHS_A_YEAR: Final = 12
NOTHING: Final = 1e-12  # a spread, a loss or a number of sessions smaller than that is none, to rounding

Figures = dict[str, float | int | None]

EQUITY_FIGURES: Final = (
    "sessions", "final_equity_usd", "total_return", "annual_return", "volatility", "sharpe", "sortino", "max_drawdown",
    "exposure",
)  # fmt: skip
TRADE_FIGURES: Final = (
    "trade_count", "win_rate", "profit_per_trade", "average_winner", "average_loser", "win_rate_adjusted_profit",
    "profit_factor", "trades_per_month", "avg_hold_days", "cost_usd",
)  # fmt: skip
FIGURES: Final = EQUITY_FIGURES + TRADE_FIGURES
COUNTS: Final = {"sessions", "trade_count"}


def summarise(
    trades: pd.DataFrame,
    equity_usd: Array,
    exposure_usd: Array,
    initial_cash_usd: float,
    periods_a_year: float = SESSIONS_A_YEAR,
) -> Figures:
    """All figures of one run.

    Parameters
    ----------
    trades
        TRADES.
    equity_usd, exposure_usd
        At the close of each session: equity marked to market, gross notional of the open positions.
    periods_a_year
        Sessions (bars) a year of the curve.
    """
    names = ("net_return", "pnl_usd", "cost_usd", "holding_sessions")
    net, pnl, cost, holding = (trades[name].to_numpy(dtype=np.float64) for name in names)
    return as_figures(
        measure_equity(equity_usd, exposure_usd, float(initial_cash_usd), float(periods_a_year)),
        measure_trades(net, pnl, cost, holding, len(equity_usd), float(periods_a_year)),
    )


def as_figures(equity: Array, trades: Array) -> Figures:
    """Measured arrays as a dict; what is not finite is None."""
    values = zip(FIGURES, (*equity.tolist(), *trades.tolist()), strict=True)
    return {name: int(value) if name in COUNTS else defined(value) for name, value in values}


@compiled
def measure_equity(equity_usd: Array, exposure_usd: Array, initial_cash_usd: float, periods_a_year: float) -> Array:
    """`EQUITY_FIGURES` of a curve, NaN where one is not defined.

    Sharpe and Sortino against a riskless rate of zero (Sharpe 1994; Sortino and Price 1994, with the root mean square of the
    losses over all sessions as downside deviation). `exposure` is the mean of gross notional to equity over all closes.
    """
    sessions = len(equity_usd)
    before = peak = initial_cash_usd
    total = losses = deepest = used = 0.0
    for t in range(sessions):
        now = equity_usd[t]
        if now != before:
            change = now / before - 1
            total += change
            losses += min(change, 0.0) ** 2
            peak = max(peak, now)
            deepest = min(deepest, now / peak - 1)
            before = now
        if exposure_usd[t] != 0:
            used += exposure_usd[t] / now
    spread = (
        math.sqrt(_squares(equity_usd, initial_cash_usd, total / max(sessions, 1)) / (sessions - 1))
        if sessions > 1
        else math.nan
    )
    yearly, growth, mean = math.sqrt(periods_a_year), before / initial_cash_usd, total / max(sessions, 1)
    return np.array(
        (
            float(sessions),
            before,
            growth - 1,
            growth ** (periods_a_year / sessions) - 1 if sessions > 0 and growth > 0 else math.nan,
            spread * yearly,
            _quotient(mean * yearly, spread),
            _quotient(mean * yearly, math.sqrt(losses / max(sessions, 1))),
            deepest,
            used / sessions if sessions > 0 else math.nan,
        )
    )


@compiled
def _squares(equity_usd: Array, initial_cash_usd: float, mean: float) -> float:
    """Sum of the squared deviations of the returns from their mean."""
    before, squares, still = initial_cash_usd, 0.0, 0
    for now in equity_usd:
        if now == before:
            still += 1
        else:
            squares += (now / before - 1 - mean) ** 2
            before = now
    return squares + still * mean**2


@compiled
def measure_trades(  # noqa: PLR0917  # numba kernels take positions
    net_return: Array, pnl_usd: Array, cost_usd: Array, holding: Array, sessions: int, periods_a_year: float
) -> Array:
    """`TRADE_FIGURES` of finished trades, NaN where one is not defined.

    `profit_per_trade`, `average_winner` and `average_loser` are means of `net_return`; `win_rate_adjusted_profit` is
    `profit_per_trade * win_rate`; `profit_factor` is dollars won for each dollar lost; `avg_hold_days` counts sessions from
    entry to exit.
    """
    n = len(net_return)
    winners, won, lost, earned, given, held, cost = 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        if net_return[i] > 0:
            winners += 1
            won += net_return[i]
        else:
            lost += net_return[i]
        earned += max(pnl_usd[i], 0.0)
        given -= min(pnl_usd[i], 0.0)
        held += holding[i]
        cost += cost_usd[i]
    profit, rate = _quotient(won + lost, float(n)), _quotient(float(winners), float(n))
    return np.array(
        (
            float(n),
            rate,
            profit,
            _quotient(won, float(winners)),
            _quotient(lost, float(n - winners)),
            profit * rate,
            _quotient(earned, given),
            _quotient(n * periods_a_year / MONTHS_A_YEAR, float(sessions)),
            _quotient(held, float(n)),
            cost,
        )
    )


@compiled
def _quotient(numerator: float, denominator: float) -> float:
    return numerator / denominator if abs(denominator) > NOTHING else math.nan


def drawdown(equity_usd: Array) -> Array:
    """Fraction below the highest value so far: 0 at a peak, -0.1 ten per cent under it.

    >>> drawdown(np.array([100.0, 110.0, 99.0])).round(6).tolist()
    [0.0, 0.0, -0.1]
    """
    below: NDArray[np.float64] = equity_usd / np.maximum.accumulate(equity_usd) - 1
    return below


def defined(value: float) -> float | None:
    """The value, or None when it is not a finite number."""
    return float(value) if math.isfinite(value) else None
