"""Buy and hold of a panel, net of costs, as a benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backtest.metrics import COUNTS, EQUITY_FIGURES, Figures, defined, drawdown, measure_equity
from backtest.one_trade import delisting_after, follow
from core.errors import ConfigError
from trading.costs import commission_usd, exit_commission_usd, exit_price, slipped

if TYPE_CHECKING:
    import datetime as dt

    from numpy.typing import NDArray

    from backtest.panel import Panel
    from trading.costs import Costs

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Benchmark:
    """A curve to hold a backtest against.

    Attributes
    ----------
    equity
        Columns session, equity_usd (marked at each close), drawdown (fraction below the peak, 0 or negative).
    metrics
        `backtest.metrics.EQUITY_FIGURES`; None where one is not defined.
    """

    equity: pd.DataFrame
    metrics: Figures


def buy_and_hold(panel: Panel, costs: Costs, initial_cash_usd: float = 100_000.0, start: dt.date | None = None) -> Benchmark:
    """Equal parts of the cash in every symbol, bought at its first open of the span and sold in the last session.

    It leaves as a backtest's position does, so that the two compare: at the symbol's last close, both fills paying costs, or by
    a delisting, whose cash stays. The part of a symbol that begins later waits in cash; nothing is rebalanced.

    Parameters
    ----------
    start
        First session of the span; None = the panel's first.
    """
    if not initial_cash_usd > 0:
        raise ConfigError(f"Initial cash: expected above 0 USD, found {initial_cash_usd}.")
    first = int(panel.sessions.searchsorted(pd.Timestamp(start))) if start else 0
    part_usd = initial_cash_usd / len(panel.symbols)
    held = [_hold(panel, s, first, part_usd, costs) for s in range(len(panel.symbols))]
    equity_usd, exposure_usd = (np.sum(curves, axis=0) for curves in zip(*held, strict=True))
    below_peak = drawdown(np.concatenate([[initial_cash_usd], equity_usd]))[1:]
    frame = pd.DataFrame({"session": panel.sessions[first:], "equity_usd": equity_usd, "drawdown": below_peak})
    found = measure_equity(equity_usd, exposure_usd, float(initial_cash_usd), panel.bars_a_year).tolist()
    named = zip(EQUITY_FIGURES, found, strict=True)
    return Benchmark(frame, {name: int(value) if name in COUNTS else defined(value) for name, value in named})


def _hold(panel: Panel, s: int, first: int, part_usd: float, costs: Costs) -> tuple[Array, Array]:
    """Value and exposure in USD at each close from column `first` on, (sessions,), of one symbol's part of the cash."""
    open_, high, low, close = (prices[s, first:] for prices in panel.market[:4])
    at = np.flatnonzero((open_ > 0) & (high > 0) & (low > 0) & (close > 0))  # where something can be filled; no NaN is above 0
    value, exposure = np.full(len(close), part_usd), np.zeros(len(close))
    if not len(at):
        return value, exposure
    bought = int(at[0])
    end, payout = delisting_after(panel.market.delisted[s] - first, panel.market.payout[s], bought, len(close))
    never = np.zeros(len(close), np.bool_)
    sold, raw, reason = follow(
        open_, high, low, close, panel.market.session_no[s, first:], never, bought, end, payout, 1, np.nan, np.nan, 0,
        exits_at_close=False,
    )  # fmt: skip
    paid, got = slipped(open_[bought], 1, costs.slippage_bps), exit_price(raw, reason, 1, costs.slippage_bps)
    shares = part_usd / (paid + commission_usd(1.0, paid, costs.commission_bps))
    at = at[at <= sold]
    marked = np.repeat(close[at], np.diff(at, append=sold + 1))  # a session without a bar keeps the last mark
    value[bought : sold + 1] = shares * marked
    exposure[bought:sold] = value[bought:sold]
    value[sold:] = shares * (got - exit_commission_usd(1.0, got, reason, costs.commission_bps))
    return value, exposure
