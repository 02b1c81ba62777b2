"""The figures of a backtest, from its trades and its equity curve.

Every figure is net of costs; returns and drawdowns are fractions. A figure that is not defined (no trade, no loss, no spread)
is None, never zero or infinity; in arrays it is NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

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


class Curve(NamedTuple):
    """Sums over the closes booked so far. The deepest fall is from `fallen_from` to `fallen_to`."""

    before_usd: float
    peak_usd: float
    total: float
    losses: float
    fallen_to_usd: float
    fallen_from_usd: float
    exposure: float
    moves: int


class Deals(NamedTuple):
    """Sums over the trades booked so far: how many, how many of them won; net returns won and lost; USD earned and given."""

    trades: int
    winners: int
    won: float
    lost: float
    earned_usd: float
    given_usd: float
    held: float
    cost_usd: float


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
    curve, changes = still_curve(initial_cash_usd), np.empty(len(equity_usd))
    for t in range(len(equity_usd)):
        if equity_usd[t] != curve.before_usd or exposure_usd[t] != 0:
            curve = book_close(curve, changes, equity_usd[t], exposure_usd[t])
    out = np.empty(len(EQUITY_FIGURES))
    equity_figures(curve, changes, len(equity_usd), initial_cash_usd, periods_a_year, out)
    return out


@compiled
def still_curve(initial_cash_usd: float) -> Curve:
    """Sums of an account that has not moved yet."""
    return Curve(initial_cash_usd, initial_cash_usd, 0.0, 0.0, initial_cash_usd, initial_cash_usd, 0.0, 0)


@compiled
def book_close(curve: Curve, changes: Array, now_usd: float, exposure_usd: float) -> Curve:
    """Add one close. One without exposure whose equity is that of the close before adds nothing and may be left out.

    `changes` keeps the returns that are not zero, so that their spread can be taken around the mean.
    """
    before, peak, total, losses, low, high, exposure, moves = curve
    if now_usd != before:
        change = now_usd / before - 1
        changes[moves] = change
        moves += 1
        total += change
        losses += min(change, 0.0) ** 2
        peak = max(peak, now_usd)
        if now_usd * high < low * peak:  # now / peak < low / high, without dividing
            low, high = now_usd, peak
    if exposure_usd != 0:
        exposure += exposure_usd / now_usd
    return Curve(now_usd, peak, total, losses, low, high, exposure, moves)


@compiled
def equity_figures(  # noqa: PLR0917  # numba kernels take positions
    curve: Curve, changes: Array, sessions: int, initial_cash_usd: float, periods_a_year: float, out: Array
) -> None:
    """`EQUITY_FIGURES` of the closes booked, into `out`."""
    mean = curve.total / max(sessions, 1)
    squares = (sessions - curve.moves) * mean**2
    for i in range(curve.moves):
        squares += (changes[i] - mean) ** 2
    spread = math.sqrt(squares / (sessions - 1)) if sessions > 1 else math.nan
    yearly, growth = math.sqrt(periods_a_year), curve.before_usd / initial_cash_usd
    out[0], out[1], out[2] = sessions, curve.before_usd, growth - 1
    out[3] = growth ** (periods_a_year / sessions) - 1 if sessions > 0 and growth > 0 else math.nan
    out[4], out[5] = spread * yearly, _quotient(mean * yearly, spread)
    out[6] = _quotient(mean * yearly, math.sqrt(curve.losses / max(sessions, 1)))
    out[7] = curve.fallen_to_usd / curve.fallen_from_usd - 1
    out[8] = curve.exposure / sessions if sessions > 0 else math.nan


@compiled
def measure_trades(  # noqa: PLR0917  # numba kernels take positions
    net_return: Array, pnl_usd: Array, cost_usd: Array, holding: Array, sessions: int, periods_a_year: float
) -> Array:
    """`TRADE_FIGURES` of finished trades, NaN where one is not defined.

    `profit_per_trade`, `average_winner` and `average_loser` are means of `net_return`; `win_rate_adjusted_profit` is
    `profit_per_trade * win_rate`; `profit_factor` is dollars won for each dollar lost; `avg_hold_days` counts sessions from
    entry to exit.
    """
    deals = no_deals()
    for i in range(len(net_return)):
        deals = book_trade(deals, net_return[i], pnl_usd[i], cost_usd[i], holding[i])
    out = np.empty(len(TRADE_FIGURES))
    trade_figures(deals, sessions, periods_a_year, out)
    return out


@compiled
def no_deals() -> Deals:
    """Sums of no trade."""
    return Deals(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@compiled
def book_trade(deals: Deals, net_return: float, pnl_usd: float, cost_usd: float, held: float) -> Deals:
    """Add one finished trade."""
    won = net_return > 0
    return Deals(
        deals.trades + 1,
        deals.winners + won,
        deals.won + (net_return if won else 0.0),
        deals.lost + (0.0 if won else net_return),
        deals.earned_usd + max(pnl_usd, 0.0),
        deals.given_usd - min(pnl_usd, 0.0),
        deals.held + held,
        deals.cost_usd + cost_usd,
    )


@compiled
def trade_figures(deals: Deals, sessions: int, periods_a_year: float, out: Array) -> None:
    """`TRADE_FIGURES` of the trades booked, into `out`."""
    n, winners = float(deals.trades), float(deals.winners)
    out[0], out[1], out[2] = n, _quotient(winners, n), _quotient(deals.won + deals.lost, n)
    out[3], out[4] = _quotient(deals.won, winners), _quotient(deals.lost, n - winners)
    out[5], out[6] = out[2] * out[1], _quotient(deals.earned_usd, deals.given_usd)
    out[7] = _quotient(n * periods_a_year / MONTHS_A_YEAR, float(sessions))
    out[8], out[9] = _quotient(deals.held, n), deals.cost_usd


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
