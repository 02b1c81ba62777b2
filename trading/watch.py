"""Stops and targets watched by single prices: the bounds of a usable price, and the barrier it reaches. Pure; sends nothing.

The barriers are those of `trading.fills`. A price stands for a bar that is all one price and has no open of its own.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading.fills import HELD, STOP, exit_at_bar

if TYPE_CHECKING:
    from decimal import Decimal

    from core.models import Position

REACHED_STOP, REACHED_TARGET = "watch_stop", "watch_target"  # reasons in `trading.risk_events`, as are all below
NO_PRICE, STALE_PRICE, ABSURD_PRICE = "watch_no_price", "watch_stale_price", "watch_absurd_price"
AHEAD_SECONDS = 60.0  # the most that the venue's clock may be ahead of ours


@dataclass(frozen=True)
class PriceSeen:
    """A price that was paid, and when (UTC)."""

    price: Decimal
    at: dt.datetime


@dataclass(frozen=True)
class Doubt:
    """The reason not to trade on a price: the rule and its numbers."""

    reason: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Bounds:
    """Bounds of a price that may be traded on.

    Parameters
    ----------
    max_age_seconds
        An older price may no longer be the market's.
    max_move_pct
        A price farther from the last close is likelier a wrong print or a split than a market price.
    """

    max_age_seconds: float
    max_move_pct: float

    @property
    def max_age(self) -> dt.timedelta:
        """Return the greatest age of a price."""
        return dt.timedelta(seconds=self.max_age_seconds)


def doubt(seen: PriceSeen | None, now: dt.datetime, opened: dt.datetime, close: float | None, bounds: Bounds) -> Doubt | None:
    """Return the reason not to trade on a price, or None.

    Parameters
    ----------
    opened
        When the session began: a price from before it is of no use in it.
    close
        The last close on record, None when there is none to hold the price against.
    """
    if seen is None:
        return Doubt(NO_PRICE, {"found": None})
    quoted = {"price": str(seen.price), "at": seen.at.isoformat()}
    age = (now - seen.at).total_seconds()
    if age > bounds.max_age_seconds or seen.at < opened:
        return Doubt(STALE_PRICE, {"limit": bounds.max_age_seconds, "found": age, "unit": "s", **quoted})
    if age < -AHEAD_SECONDS:
        return Doubt(ABSURD_PRICE, {"limit": -AHEAD_SECONDS, "found": age, "unit": "s", **quoted})
    if not seen.price.is_finite() or seen.price <= 0:
        return Doubt(ABSURD_PRICE, {"limit": 0.0, "found": str(seen.price), "unit": "USD", **quoted})
    move = None if close is None or close <= 0 else abs(float(seen.price) / close - 1) * 100
    if move is None or move > bounds.max_move_pct:
        return Doubt(ABSURD_PRICE, {"limit": bounds.max_move_pct, "found": move, "unit": "%", "close": close, **quoted})
    return None


def reached(position: Position, price: Decimal) -> str | None:
    """Return the barrier that a price has reached, the stop before the target; None within them."""
    side = 1 if position.quantity > 0 else -1
    at, stop, target = float(price), _or_nan(position.stop_price), _or_nan(position.target_price)
    reason, _ = exit_at_bar(side, True, at, at, at, stop, target)
    return None if reason == HELD else REACHED_STOP if reason == STOP else REACHED_TARGET


def _or_nan(price: Decimal | None) -> float:
    return math.nan if price is None else float(price)
