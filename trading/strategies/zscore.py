"""Z-score reversion: buy a close far under its average while no trend runs, leave when the distance has closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from features.indicators import deviation, directional, rsi, sma, zscore
from trading.strategies.base import BandLines, Entry, Exit, Rule, make_signals

if TYPE_CHECKING:
    from trading.strategies.base import Prices, Signals


class ZScoreReversion(Rule):
    """Mean reversion by the distance of the close from its average, in standard deviations.

    Entry at a close with z at or under `entry_z`, RSI between its two levels (outside them the move is an extreme that tends
    to go on) and ADX under `adx_below`. Exit at a close with z at or over `exit_z`, or with |z| at or over `stop_z`.

    Parameters
    ----------
    sessions
        Closes in the average and the deviation.
    entry_z, exit_z, stop_z
        Levels of z, in population standard deviations.
    rsi_low, rsi_high
        Entries need RSI(14) between them.
    adx_below
        Entries need ADX(14) under it: no strong trend.
    max_sessions
        Sessions after which the position is left; None = no time limit.
    stop_pct, target_pct
        Percent of the entry price; None = none.
    """

    name: ClassVar[str] = "zscore"
    entry: ClassVar[Entry] = "next_open"
    exit: ClassVar[Exit] = "next_open"

    sessions: int = Field(60, ge=2)
    entry_z: float = Field(-1.0, lt=0)
    exit_z: float = -0.5
    stop_z: float = Field(3.0, gt=0)
    rsi_low: float = Field(30.0, ge=0, le=100)
    rsi_high: float = Field(70.0, ge=0, le=100)
    adx_below: float = Field(30.0, gt=0, le=100)
    max_sessions: int | None = Field(None, ge=1)
    stop_pct: float | None = Field(None, gt=0, lt=100)
    target_pct: float | None = Field(None, gt=0)

    def rule(self, prices: Prices) -> Signals:
        """Signals of one symbol; strength is how far z is under zero."""
        high, low, close = prices.high, prices.low, prices.close
        z, index = zscore(close, self.sessions), rsi(close)
        calm = directional(high, low, close).adx < self.adx_below
        balanced = (index >= self.rsi_low) & (index <= self.rsi_high)
        broken = np.abs(z) >= self.stop_z
        return make_signals(
            len(prices.close),
            entry=(z <= self.entry_z) & ~broken & balanced & calm,
            exit_long=(z >= self.exit_z) | broken,
            stop_pct=self.stop_pct,
            target_pct=self.target_pct,
            strength=-z,
        )

    def bands(self, prices: Prices) -> BandLines:
        """The average, and the price at which z is `entry_z`."""
        mean = sma(prices.close, self.sessions)
        return BandLines(mean, mean + self.entry_z * deviation(prices.close, self.sessions))
