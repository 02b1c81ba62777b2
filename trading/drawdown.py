"""How far equity is under its peak and what that calls for. Pure; it alerts nobody and sells nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.errors import ConfigError

PERCENT = 100.0


class Level(StrEnum):
    """What a loss calls for, the mildest first."""

    OK = "ok"
    ALERT = "alert"
    HALT = "halt"


@dataclass(frozen=True)
class DrawdownLimits:
    """Percent under the peak at which a person is told, and at which the portfolio is sold and halted."""

    alert_pct: float = 1.0
    halt_pct: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.alert_pct <= self.halt_pct:
            raise ConfigError(
                f"Drawdown limits: expected 0 < alert <= halt, found {self.alert_pct} and {self.halt_pct}. They are in percent."
            )

    def level(self, equity_usd: float, peak_usd: float) -> Level:
        """The level of an equity; a limit is broken when it is reached, and equity that is no number is the worst.

        An account that is empty and always was has lost nothing; one that owes money has.
        """
        if equity_usd >= peak_usd or equity_usd > peak_usd * (1 - self.alert_pct / PERCENT):
            return Level.OK
        return Level.ALERT if equity_usd > peak_usd * (1 - self.halt_pct / PERCENT) else Level.HALT


def drawdown_pct(equity_usd: float, peak_usd: float) -> float:
    """Percent that equity is under its peak, 0 at a new one; all of it where the peak itself was nothing."""
    if peak_usd <= 0:
        return 0.0 if equity_usd >= peak_usd else PERCENT
    return max(0.0, PERCENT * (1 - equity_usd / peak_usd))
