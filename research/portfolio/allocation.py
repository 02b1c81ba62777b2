"""Allocation of capital to strategies, and the past figures of such a portfolio.

A sleeve is one strategy on one symbol with money of its own. Sleeves are separate accounts: what one earns or loses stays in
it, and no money moves between them from day to day. That is how the desk holds them, and it needs no rebalancing trades, whose
costs no backtest has counted. So the shares drift away from the starting weights, and the figures here follow that drift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from core.errors import ConfigError, DataError
from research.portfolio.capped_simplex import capped_simplex

if TYPE_CHECKING:
    from collections.abc import Sequence

SESSIONS_A_YEAR = 252
NO_SPREAD = 1e-12  # a standard deviation of returns so small is the rounding of a curve that never moved

Method = Literal["risk_parity_profit_weighted", "inverse_volatility", "equal"]


@dataclass(frozen=True)
class Allocation:
    """Money for each sleeve, and what the sleeves together would have done over the returns they were judged on.

    Attributes
    ----------
    usd, weights
        By label, best profit per trade first; weights are fractions of the capital, and `usd` plus `cash_usd` is the capital.
    cash_usd
        Not given to any sleeve; it earns nothing.
    expected_return
        Annual growth of the portfolio held, `(final / capital) ^ (252 / sessions) - 1`, None of no sessions. Like the figures
        after it, it describes the past that the sleeves were chosen on: an upper guess of the future.
    volatility, sharpe
        Sample standard deviation of the portfolio's returns a year; mean to it, against a riskless rate of zero. None when the
        portfolio never moved.
    max_drawdown
        Largest fall under an earlier peak, starting capital included; 0 or negative.
    message
        What was left out or kept as cash, and why; empty when there is nothing to say.
    """

    usd: pd.Series
    weights: pd.Series
    cash_usd: float
    method: Method
    expected_return: float | None
    volatility: float | None
    sharpe: float | None
    max_drawdown: float | None
    message: str


def allocate_capital(
    returns: pd.DataFrame,
    profit_per_trade: pd.Series,
    *,
    method: Method = "risk_parity_profit_weighted",
    capital_usd: float = 1000.0,
    low_usd: float = 250.0,
    high_usd: float = 400.0,
    at_most: int = 3,
    sessions_a_year: int = SESSIONS_A_YEAR,
) -> Allocation:
    """Share capital among sleeves, each between `low_usd` and `high_usd`.

    `risk_parity_profit_weighted` weighs a sleeve by profit per trade / volatility, `inverse_volatility` by 1 / volatility,
    `equal` by 1; volatility is the sample standard deviation of its returns. The weights, normalised, are projected onto the
    bounds (`capped_simplex`). When all sleeves at `high_usd` do not use the capital up, the rest stays cash.

    A sleeve that can't be weighed is left out and named in the message: one that never moved has no volatility, one that earns
    nothing a trade has no weight by profit. `inverse_volatility` and `equal` ask for no profit, so they keep a losing sleeve
    and say so.

    Parameters
    ----------
    returns
        Fractions a session, one column a label, as of `research.portfolio.selection.returns_of`.
    profit_per_trade
        Fractions by label. The best `at_most` that can be weighed are held.

    Raises
    ------
    ConfigError
        When the bounds can't be met, the method is unknown, or no sleeve can be weighed: the message has the numbers.
    DataError
        When a label has no returns, or one is missing or not above -1.
    """
    _check_terms(method, capital_usd, low_usd, high_usd, at_most)
    profit = _in_rank_order(profit_per_trade)
    check_returns(returns, list(profit.index))
    scores, said = _scores(returns, profit, method)
    if len(scores) > at_most:
        said.append(f"Left out, as at most {at_most} are held: {', '.join(scores.index[at_most:])}.")
        scores = scores.iloc[:at_most]
    invested = min(capital_usd, high_usd * len(scores))
    _check_room(len(scores), capital_usd, low_usd)
    usd = pd.Series(
        capped_simplex(scores / math.fsum(scores) * invested, low_usd, high_usd, invested), index=scores.index, name="usd"
    )
    cash = capital_usd - invested
    if cash > 0:
        said.append(f"{_sleeves(len(usd))} of at most {high_usd:,.2f} USD: {cash:,.2f} of {capital_usd:,.2f} USD stay cash.")
    figures = _figures(held(returns, usd, cash), sessions_a_year)
    return Allocation(usd, (usd / capital_usd).rename("weight"), cash, method, *figures, " ".join(said))


def held(returns: pd.DataFrame, usd: pd.Series, cash_usd: float) -> pd.Series:
    """Value of sleeves held as separate accounts, with cash that earns nothing.

    `cash + sum of usd_i * prod(1 + return_i)`, on every session of `returns`; the first element, before them, is the start.
    Index positions count closes from the start.
    """
    check_returns(returns, list(usd.index))
    growth = (1 + returns[list(usd.index)].to_numpy(dtype=np.float64)).cumprod(axis=0)
    path = np.concatenate([np.ones((1, len(usd))), growth]) @ usd.to_numpy(dtype=np.float64) + cash_usd
    return pd.Series(path, name="equity_usd")


def deepest_fall(path_usd: pd.Series) -> float:
    """Largest fall under an earlier peak as a fraction of it: 0 or negative.

    >>> round(deepest_fall(pd.Series([100.0, 110.0, 99.0, 120.0])), 6)
    -0.1
    """
    path = path_usd.to_numpy(dtype=np.float64)
    return float((path / np.maximum.accumulate(path) - 1).min())


def check_returns(returns: pd.DataFrame, labels: Sequence[str]) -> None:
    """Refuse labels without returns, and returns that no account can have."""
    for name in labels:
        if name not in returns.columns:
            near = get_close_matches(str(name), [str(known) for known in returns.columns], n=1)
            hint = f" Did you mean {near[0]}?" if near else " Backtest it first: `desk sweep`."
            raise DataError(f"Returns: expected a column for each sleeve, found none of {name!r}.{hint}")
        values = returns[name].to_numpy(dtype=np.float64)
        wrong = values[~(np.isfinite(values) & (values > -1))]
        if len(wrong):
            raise DataError(f"Returns of {name}: expected fractions above -1, found {wrong[0]}. Backtest it again.")


def _check_terms(method: str, capital_usd: float, low_usd: float, high_usd: float, at_most: int) -> None:
    if method not in get_args(Method):
        raise ConfigError(f"method: expected one of {', '.join(get_args(Method))}; found {method!r}.")
    if not (math.isfinite(capital_usd) and capital_usd > 0):
        raise ConfigError(f"capital_usd: expected above 0, found {capital_usd}.")
    if not (0 <= low_usd <= high_usd < math.inf and high_usd > 0):
        raise ConfigError(f"low_usd, high_usd: expected 0 <= low <= high with high above 0, found {low_usd} and {high_usd}.")
    if at_most < 1:
        raise ConfigError(f"at_most: expected 1 or more, found {at_most}.")


def _check_room(sleeves: int, capital_usd: float, low_usd: float) -> None:
    if low_usd * sleeves <= capital_usd:
        return
    fewer = int(capital_usd // low_usd)
    raise ConfigError(
        f"{_sleeves(sleeves)} of at least {low_usd:,.2f} USD need {low_usd * sleeves:,.2f} USD; the capital is"
        f" {capital_usd:,.2f}. Lower low_usd to {capital_usd / sleeves:,.2f} or less"
        f"{f', or at_most to {fewer}' if fewer else ''}."
    )


def _sleeves(count: int) -> str:
    return f"{count} sleeve{'' if count == 1 else 's'}"


def _in_rank_order(profit_per_trade: pd.Series) -> pd.Series:
    """Largest profit first, equal ones by label, undefined last: the order given is irrelevant."""
    profit = profit_per_trade.astype(np.float64).sort_index()
    if profit.index.has_duplicates:
        raise DataError(
            f"profit_per_trade: expected each label once, found {profit.index[profit.index.duplicated()][0]} twice."
        )
    return profit.sort_values(ascending=False, kind="stable")


def _scores(returns: pd.DataFrame, profit: pd.Series, method: Method) -> tuple[pd.Series, list[str]]:
    """Weight of each sleeve that has one, not normalised, and what is to be said about the others."""
    spread = returns[list(profit.index)].std(ddof=1)
    moves, earns = spread > NO_SPREAD, profit > 0
    kept = {"equal": moves | True, "inverse_volatility": moves, "risk_parity_profit_weighted": moves & earns}[method]
    said = []
    if method != "equal" and not moves.all():
        said.append(f"Left out, without volatility (never moved, or under two returns): {', '.join(profit.index[~moves])}.")
    losing = _losing(profit[~earns & (moves | (method == "equal"))])
    if losing:
        verb = "Left out" if method == "risk_parity_profit_weighted" else f"Held, since {method} asks for no profit"
        said.append(f"{verb}, with no profit a trade: {losing}.")
    if not kept.any():
        raise ConfigError(
            f"Allocation by {method}: expected one sleeve or more that can be weighed, found none of {len(profit)}."
            f" {' '.join(said)} Rank other strategies; a portfolio of nothing earns nothing and loses nothing."
        )
    ones = pd.Series(1.0, index=profit.index)
    score = {"equal": ones, "inverse_volatility": 1 / spread, "risk_parity_profit_weighted": profit / spread}[method]
    return score[kept], said


def _losing(profit: pd.Series) -> str:
    return ", ".join(f"{name} ({'undefined' if math.isnan(value) else f'{value:.2%}'})" for name, value in profit.items())


def _figures(path: pd.Series, sessions_a_year: int) -> tuple[float | None, float | None, float | None, float | None]:
    """Annual return, volatility, Sharpe and deepest fall; the definitions are those of `backtest.metrics`, which is above."""
    moves = path.pct_change().iloc[1:]
    if moves.empty:
        return None, None, None, None
    annual = float((path.iloc[-1] / path.iloc[0]) ** (sessions_a_year / len(moves)) - 1)
    spread = float(moves.std(ddof=1))
    if not spread > NO_SPREAD:  # NaN of a single session fails too
        return annual, None, None, deepest_fall(path)
    year = math.sqrt(sessions_a_year)
    return annual, spread * year, float(moves.mean()) / spread * year, deepest_fall(path)
