"""What the desk's strategies say of a symbol's bars, in one frame. Owns how several speak together; it decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from trading.strategies.base import standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading.strategies.base import Strategy


def joint_name(strategies: Sequence[Strategy]) -> str:
    """The name under which strategies that share a portfolio are on record: theirs, sorted and joined."""
    return "+".join(sorted(strategy.name for strategy in strategies))


def signals_of(strategies: Sequence[Strategy], bars: pd.DataFrame) -> pd.DataFrame:
    """Every strategy's signals on the bars of one symbol, one row a strategy and bar.

    Parameters
    ----------
    bars
        BARS of one symbol with a column `vix`.

    Returns
    -------
    pd.DataFrame
        SIGNALS with strategy, symbol, open and close. Strengths of several strategies are their standings, as in the backtest
        (`backtest.panel.rules_of`).
    """
    parts = []
    for strategy in strategies:
        found = strategy.signals(bars)
        if len(strategies) > 1:
            found = found.assign(strength=standing(found["entry"].to_numpy(), found["strength"].to_numpy()))
        about = {"strategy": strategy.name, "symbol": str(bars["symbol"].iloc[0])}
        parts.append(found.assign(**about, open=bars["open"].to_numpy(), close=bars["close"].to_numpy()))
    return pd.concat(parts, ignore_index=True)
