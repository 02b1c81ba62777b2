"""The figures of a backtest, from its trades and its equity curve. Owns their definitions; it never simulates.

Every figure is net of costs; returns and drawdowns are fractions. A figure that is not defined (no trade, no loss, no spread)
is None, never zero or infinity.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

SESSIONS_A_YEAR = 252
SESSIONS_A_MONTH = 21

Figures = dict[str, float | int | None]


def summarise(
    trades: pd.DataFrame, equity_usd: NDArray[np.float64], exposure_usd: NDArray[np.float64], initial_cash_usd: float
) -> Figures:
    """All figures of one run.

    Parameters
    ----------
    trades
        TRADES.
    equity_usd, exposure_usd
        At the close of each session: equity marked to market, gross notional of the open positions.
    """
    return {**equity_figures(equity_usd, initial_cash_usd), **trade_figures(trades, len(equity_usd), exposure_usd, equity_usd)}


def equity_figures(equity_usd: NDArray[np.float64], initial_cash_usd: float) -> Figures:
    """Return, risk and drawdown of an equity curve.

    Annualised with 252 sessions; Sharpe and Sortino against a riskless rate of zero (Sharpe 1994; Sortino and Price 1994, with
    the root mean square of the losses over all sessions as downside deviation).
    """
    path = np.concatenate([[initial_cash_usd], equity_usd])
    returns = np.diff(path) / path[:-1]
    sessions = len(returns)
    total = path[-1] / initial_cash_usd - 1
    spread = float(returns.std(ddof=1)) if sessions > 1 else math.nan
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0) ** 2))) if sessions else math.nan
    mean = float(returns.mean()) if sessions else math.nan
    return {
        "sessions": sessions,
        "final_equity_usd": float(path[-1]),
        "total_return": float(total),
        "annual_return": defined((1 + total) ** (SESSIONS_A_YEAR / sessions) - 1) if sessions and total > -1 else None,
        "volatility": defined(spread * math.sqrt(SESSIONS_A_YEAR)),
        "sharpe": quotient(mean * math.sqrt(SESSIONS_A_YEAR), spread),
        "sortino": quotient(mean * math.sqrt(SESSIONS_A_YEAR), downside),
        "max_drawdown": float(drawdown(path).min()),
    }


def drawdown(equity_usd: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fraction below the highest value so far: 0 at a peak, -0.1 ten per cent under it.

    >>> drawdown(np.array([100.0, 110.0, 99.0])).round(6).tolist()
    [0.0, 0.0, -0.1]
    """
    below: NDArray[np.float64] = equity_usd / np.maximum.accumulate(equity_usd) - 1
    return below


def trade_figures(
    trades: pd.DataFrame, sessions: int, exposure_usd: NDArray[np.float64], equity_usd: NDArray[np.float64]
) -> Figures:
    """What the trades did.

    `profit_per_trade`, `average_winner` and `average_loser` are means of `net_return`; `win_rate_adjusted_profit` is
    `profit_per_trade * win_rate`; `profit_factor` is dollars won for each dollar lost; `exposure` is the mean of gross notional
    to equity over all closes; `avg_hold_days` counts sessions from entry to exit.
    """
    net = trades["net_return"].to_numpy(dtype=np.float64)
    pnl = trades["pnl_usd"].to_numpy(dtype=np.float64)
    wins = net > 0
    profit, win_rate = mean_or_none(net), mean_or_none(wins)
    return {
        "trade_count": len(net),
        "win_rate": win_rate,
        "profit_per_trade": profit,
        "average_winner": mean_or_none(net[wins]),
        "average_loser": mean_or_none(net[~wins]),
        "win_rate_adjusted_profit": None if profit is None or win_rate is None else profit * win_rate,
        "profit_factor": quotient(float(pnl[pnl > 0].sum()), float(-pnl[pnl < 0].sum())),
        "trades_per_month": quotient(len(net) * SESSIONS_A_MONTH, sessions),
        "avg_hold_days": mean_or_none(trades["holding_sessions"].to_numpy()),
        "exposure": mean_or_none(exposure_usd / equity_usd),
        "cost_usd": float(trades["cost_usd"].sum()),
    }


def defined(value: float) -> float | None:
    """The value, or None when it is not a finite number."""
    return float(value) if math.isfinite(value) else None


def quotient(numerator: float, denominator: float) -> float | None:
    """`numerator / denominator`, or None when the denominator is zero (to rounding) or undefined.

    >>> quotient(1.0, 2.0), quotient(1.0, 0.0)
    (0.5, None)
    """
    return defined(numerator / denominator) if abs(denominator) > 1e-12 else None  # noqa: PLR2004  # NaN fails the test too


def mean_or_none(values: NDArray[np.floating | np.integer | np.bool_]) -> float | None:
    """The mean, or None of nothing."""
    return defined(float(np.mean(values))) if len(values) else None
