"""Bollinger reversal: buy a close under the lower band, leave at the middle band. Long only; it knows no regime and no size."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from features.indicators import TIE, bollinger, ratio
from trading.strategies.base import BandLines, Entry, Exit, Rule, make_signals

if TYPE_CHECKING:
    from trading.strategies.base import Prices, Signals


class BollingerReversal(Rule):
    """Mean reversion from the lower Bollinger band (Bollinger 2001, *Bollinger on Bollinger Bands*).

    Parameters
    ----------
    band_sessions, deviations
        The band: simple average of so many closes, minus so many population standard deviations.
    max_sessions
        Sessions after which the position is left; None = no time limit.
    stop_pct, target_pct
        Percent of the entry price; None = none.
    """

    name: ClassVar[str] = "bollinger"
    entry: ClassVar[Entry] = "next_open"
    exit: ClassVar[Exit] = "next_open"

    band_sessions: int = Field(20, ge=2)
    deviations: float = Field(2.0, gt=0, le=10)
    max_sessions: int | None = Field(2, ge=1)
    stop_pct: float | None = Field(0.8, gt=0, lt=100)
    target_pct: float | None = Field(1.5, gt=0)

    def rule(self, prices: Prices) -> Signals:
        """Signals of one symbol; strength is the depth under the band in half band widths."""
        close = prices.close
        band = bollinger(close, self.band_sessions, self.deviations)
        return make_signals(
            len(prices.close),
            entry=close < band.lower - TIE * close,  # prices that stand still are not under their own average
            exit_long=close >= band.middle,
            stop_pct=self.stop_pct,
            target_pct=self.target_pct,
            strength=ratio(band.lower - close, band.middle - band.lower),
        )

    def bands(self, prices: Prices) -> BandLines:
        """The middle and the lower band."""
        band = bollinger(prices.close, self.band_sessions, self.deviations)
        return BandLines(band.middle, band.lower)
