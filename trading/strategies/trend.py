"""EMA-ADX trend: be long while the fast average is over the slow one and a trend is measured. No stop and no target."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from features.indicators import directional, ema, ratio
from trading.strategies.base import Entry, Exit, Rule, make_signals

if TYPE_CHECKING:
    from trading.strategies.base import Prices, Signals


class EmaAdxTrend(Rule):
    """Trend following by two exponential averages and the average directional index (Wilder 1978).

    Entry at a close with the fast average over the slow one, ADX at or over `adx_least` and, if set, a body of at least
    `body_least` of the bar's range that closes up. Exit at a close with the fast average under the slow one.

    Parameters
    ----------
    fast_sessions, slow_sessions
        Spans of the averages.
    adx_least
        Strength of the trend that an entry needs, 0 to 100.
    body_least
        (close - open) / (high - low) that an entry needs; None = not required.
    max_sessions
        Sessions after which the position is left; None = no time limit.
    """

    name: ClassVar[str] = "trend"
    entry: ClassVar[Entry] = "next_open"
    exit: ClassVar[Exit] = "next_open"

    fast_sessions: int = Field(15, ge=2)
    slow_sessions: int = Field(100, ge=3)
    adx_least: float = Field(20.0, ge=0, le=100)
    body_least: float | None = Field(None, gt=0, le=1)
    max_sessions: int | None = Field(None, ge=1)

    def rule(self, prices: Prices) -> Signals:
        """Signals of one symbol; strength is ADX."""
        open_, high, low, close = prices.open, prices.high, prices.low, prices.close
        fast, slow = ema(close, self.fast_sessions), ema(close, self.slow_sessions)
        strength = directional(high, low, close).adx
        entry = (fast > slow) & (strength >= self.adx_least)
        if self.body_least is not None:
            entry &= ratio(close - open_, high - low) >= self.body_least
        return make_signals(len(close), entry=entry, exit_long=fast < slow, strength=strength)
