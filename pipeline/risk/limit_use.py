"""A limit with its use and distance. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

PERCENT: Final = 100.0
WARNED_AT: Final = 0.8  # of a limit, unless it has a warning of its own
ROUNDING: Final = 1e-9
LimitState = Literal["ok", "warning", "breach", "off", "unknown"]


@dataclass(frozen=True)
class LimitUse:
    """A limit, and how much of it is used.

    Attributes
    ----------
    name
        Of the limit, that of the refusals it causes where it refuses.
    setting
        Name of the setting that it stands in; None where it is none.
    unit
        Unit of limit, used and distance.
    limit, used
        None where it is off, and where nothing is measured.
    subject
        What uses it most: a symbol, a sleeve.
    note
        Why nothing is measured, or what the figure means.
    at_least
        True for a limit that the figure must not fall under.
    warned_at
        Figure from which the state is a warning; None: from `WARNED_AT` of the limit on.
    inclusive
        True for a limit that is broken when it is reached.
    pauses
        True for a limit beyond which something rests and nothing is broken: a warning at most.
    """

    name: str
    setting: str | None
    unit: str
    limit: float | None
    used: float | None
    subject: str | None = None
    note: str | None = None
    at_least: bool = False
    warned_at: float | None = None
    inclusive: bool = False
    pauses: bool = False

    @property
    def distance(self) -> float | None:
        """Room between the figure and the limit; negative beyond it."""
        if self.limit is None or self.used is None:
            return None
        return self.used - self.limit if self.at_least else self.limit - self.used

    @property
    def distance_pct(self) -> float | None:
        """The distance in percent of the limit; None of a limit of 0."""
        distance = self.distance
        return PERCENT * distance / abs(self.limit) if distance is not None and self.limit else None

    @property
    def state(self) -> LimitState:
        """Return `breach` beyond the limit, `warning` near it.

        >>> [LimitUse("max_positions", None, "positions", 5, used).state for used in (3, 4, 5, 6)]
        ['ok', 'warning', 'warning', 'breach']
        >>> LimitUse("max_drawdown", None, "%", None, 1.0).state, LimitUse("max_drawdown", None, "%", 2.0, None).state
        ('off', 'unknown')
        """
        if self.limit is None:
            return "off"
        if self.used is None or math.isnan(self.used):
            return "unknown"
        sign = -1 if self.at_least else 1
        beyond, rounding = sign * (self.used - self.limit), ROUNDING * abs(self.limit)
        if beyond > rounding or (self.inclusive and beyond >= -rounding):
            return "warning" if self.pauses else "breach"
        if self.warned_at is not None:
            near = sign * self.used >= sign * self.warned_at
        else:
            near = not self.at_least and self.limit > 0 and self.used >= WARNED_AT * self.limit
        return "warning" if near else "ok"
