"""Gap fade: trade against a large opening gap, at the open, until half of it is filled or the session closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from trading.strategies.base import Entry, Exit, Rule, make_signals

if TYPE_CHECKING:
    from trading.strategies.base import Prices, Signals


class GapFade(Rule):
    """Fade of the opening gap, long after a gap down and short after a gap up.

    Decided and filled at the open from that open and the close before. The target is a share of the gap, so each trade has
    its own; what has not reached it leaves at the close of `max_sessions`, by default the same session.

    Parameters
    ----------
    gap_pct
        Smallest gap that is faded, percent of the close before.
    filled
        Share of the gap that is the target.
    direction
        Which gaps are faded.
    max_sessions
        Sessions after which the position is left at the close, the entry session counted as the first.
    stop_pct
        Percent of the entry price; None = none.
    """

    name: ClassVar[str] = "gap"
    entry: ClassVar[Entry] = "open"
    exit: ClassVar[Exit] = "close"

    gap_pct: float = Field(1.5, gt=0, lt=100)
    filled: float = Field(0.5, gt=0, le=1)
    direction: Literal["both", "down", "up"] = "both"
    max_sessions: int | None = Field(1, ge=1)
    stop_pct: float | None = Field(1.0, gt=0, lt=100)

    def rule(self, prices: Prices) -> Signals:
        """Signals of one symbol; strength is the size of the gap in percent."""
        open_ = prices.open
        before = np.concatenate([[np.nan], prices.close])[:-1]  # the row's open is known, its close is not
        gap_pct = 100 * (open_ / before - 1)
        down = (gap_pct < -self.gap_pct) & (self.direction != "up")
        up = (gap_pct > self.gap_pct) & (self.direction != "down")
        return make_signals(
            len(prices.close),
            entry=down.astype(np.int8) - up.astype(np.int8),
            stop_pct=self.stop_pct,
            target_pct=np.where(down | up, 100 * self.filled * np.abs(open_ - before) / open_, np.nan),
            strength=np.abs(gap_pct),
        )
