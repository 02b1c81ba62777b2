"""RSI reversion: buy an oversold close, leave when the index has recovered. Long only; it knows no regime and no size."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from features.indicators import rsi
from trading.strategies.base import Entry, Exit, Rule, make_signals

if TYPE_CHECKING:
    from trading.strategies.base import Prices, Signals


class RsiReversion(Rule):
    """Mean reversion from a low relative strength index (Wilder 1978, *New Concepts in Technical Trading Systems*).

    Entry at a close with RSI under `oversold`; exit at a close with RSI over `recovered`.

    Parameters
    ----------
    rsi_sessions
        Wilder's smoothing of the index.
    oversold, recovered
        Levels of the index, 0 to 100.
    max_sessions
        Sessions after which the position is left; None = no time limit.
    stop_pct, target_pct
        Percent of the entry price; None = none.
    """

    name: ClassVar[str] = "rsi"
    entry: ClassVar[Entry] = "next_open"
    exit: ClassVar[Exit] = "next_open"

    rsi_sessions: int = Field(14, ge=2)
    oversold: float = Field(25.0, gt=0, lt=100)
    recovered: float = Field(50.0, gt=0, lt=100)
    max_sessions: int | None = Field(3, ge=1)
    stop_pct: float | None = Field(1.0, gt=0, lt=100)
    target_pct: float | None = Field(2.0, gt=0)

    def rule(self, prices: Prices) -> Signals:
        """Signals of one symbol; strength is how far the index is under `oversold`."""
        index = rsi(prices.close, self.rsi_sessions)
        return make_signals(
            len(prices.close),
            entry=index < self.oversold,
            exit_long=index > self.recovered,
            stop_pct=self.stop_pct,
            target_pct=self.target_pct,
            strength=self.oversold - index,
        )
