"""Volatility compression: buy the expansion that follows a quiet spell, leave when volatility is back at its mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from features.indicators import atr, ratio
from trading.strategies.base import Entry, Exit, Rule, make_signals

if TYPE_CHECKING:
    from trading.strategies.base import Prices, Signals


class VolatilityCompression(Rule):
    """Entry when the short average true range, after a spell under the long one, rises over it.

    ATR(14) against ATR(20): both are slow, and their ratio rarely leaves 0.85 to 1.15 on daily bars. The rule as it was first
    stated (under 0.6 for three sessions, then over 1.2) therefore hardly ever fires; the defaults are levels that it meets.

    Parameters
    ----------
    short_sessions, long_sessions
        Wilder's smoothing of the two ranges.
    compressed, expanded
        The ratio short / long under which a bar is quiet, and over which the spell has ended.
    quiet_sessions
        Quiet bars in a row that make a spell.
    within_sessions
        The expansion must come this many sessions after the spell's last bar or sooner.
    max_sessions
        Sessions after which the position is left; None = no time limit.
    stop_pct, target_pct
        Percent of the entry price; None = none.
    """

    name: ClassVar[str] = "compression"
    entry: ClassVar[Entry] = "next_open"
    exit: ClassVar[Exit] = "next_open"

    short_sessions: int = Field(14, ge=2)
    long_sessions: int = Field(20, ge=3)
    compressed: float = Field(0.97, gt=0)
    expanded: float = Field(1.03, gt=0)
    quiet_sessions: int = Field(3, ge=1)
    within_sessions: int = Field(10, ge=1)
    max_sessions: int | None = Field(5, ge=1)
    stop_pct: float | None = Field(1.0, gt=0, lt=100)
    target_pct: float | None = Field(2.5, gt=0)

    def rule(self, prices: Prices) -> Signals:
        """Signals of one symbol; strength is the ratio of the two ranges."""
        high, low, close = prices.high, prices.low, prices.close
        relative = ratio(atr(high, low, close, self.short_sessions), atr(high, low, close, self.long_sessions))
        over = relative > self.expanded
        fresh = over & ~np.concatenate([[False], over[:-1]])
        return make_signals(
            len(prices.close),
            entry=fresh & self._spell_before(relative),
            exit_long=relative <= 1.0,
            stop_pct=self.stop_pct,
            target_pct=self.target_pct,
            strength=relative,
        )

    def _spell_before(
        self, relative: np.ndarray[tuple[int], np.dtype[np.float64]]
    ) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return True for bars where a spell ended on one of the `within_sessions` bars before each bar."""
        quiet = np.cumsum(np.concatenate([[0], relative < self.compressed]))
        ended = np.zeros(len(relative), dtype=np.bool_)
        ended[self.quiet_sessions - 1 :] = quiet[self.quiet_sessions :] - quiet[: -self.quiet_sessions] == self.quiet_sessions
        seen = np.cumsum(np.concatenate([[0], ended]))
        at = np.arange(len(relative))
        return seen[at] > seen[np.maximum(at - self.within_sessions, 0)]
