"""Drawdown, equity's distance from its peak, and its limits. Pure; it alerts nobody and sells nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from core.errors import ConfigError
from trading.equity import is_amount

PERCENT = 100.0


class Level(StrEnum):
    """Levels of a loss, the mildest first: nothing to do, an alert, a halt."""

    OK = "ok"
    ALERT = "alert"
    HALT = "halt"


@dataclass(frozen=True)
class DrawdownLimits:
    """Percent under the peak at which a person is alerted, and at which the portfolio is sold and halted."""

    alert_pct: float = 1.0
    halt_pct: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.alert_pct <= self.halt_pct:
            raise ConfigError(
                f"Drawdown limits: expected 0 < alert <= halt, found {self.alert_pct} and {self.halt_pct}. They are in percent."
            )

    def level(self, equity_usd: float, peak_usd: float) -> Level:
        """Return the level of an equity; a limit is broken when it is reached.

        What is no positive amount is an alert and never a halt: on zero, debt, NaN or infinity nothing may be sold. An account
        that is empty and always was has lost nothing.

        >>> limits = DrawdownLimits(alert_pct=1.0, halt_pct=2.0)
        >>> [str(limits.level(equity, 100_000.0)) for equity in (99_500.0, 99_000.0, 98_000.0)]
        ['ok', 'alert', 'halt']
        """
        if equity_usd == 0 == peak_usd:
            return Level.OK
        if not is_amount(equity_usd) or not math.isfinite(peak_usd):
            return Level.ALERT
        if equity_usd >= peak_usd or equity_usd > peak_usd * (1 - self.alert_pct / PERCENT):
            return Level.OK
        return Level.ALERT if equity_usd > peak_usd * (1 - self.halt_pct / PERCENT) else Level.HALT


def drawdown_pct(equity_usd: float, peak_usd: float) -> float:
    """Return the percent that equity is under its peak: 0 at a new peak; 100 where the peak was 0 and equity is less.

    >>> drawdown_pct(75_000.0, 100_000.0), drawdown_pct(101_000.0, 100_000.0)
    (25.0, 0.0)
    """
    if peak_usd <= 0:
        return 0.0 if equity_usd >= peak_usd else PERCENT
    return max(0.0, PERCENT * (1 - equity_usd / peak_usd))
