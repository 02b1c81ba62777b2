"""The earnings filter: no entry near an announcement of results. It adds no entry, touches no exit and fetches no calendar."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.errors import ConfigError
from core.sessions import calendar, calendar_name
from trading.strategies.base import Wrapper
from trading.strategies.per_symbol import symbol_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from trading.strategies.base import Strategy


@dataclass(frozen=True)
class EarningsFilter(Wrapper):
    """A strategy that enters only when no announcement is near the session of the fill.

    An entry is taken out when its fill falls on the announcement's session, on one of the `sessions_before` it or on one of the
    `sessions_after` it. Whether results come before the open or after the close is rarely on record, so the day itself is
    always closed. A date on which the exchange rests counts as the next session, the first whose prices know the results.

    Parameters
    ----------
    calendar
        Announcement dates by symbol. A symbol that is not in it has none (a fund) and is never held back.
    sessions_before, sessions_after
        Sessions of the symbol's exchange, 0 or more. With `sessions_before` of at least `max_sessions`, no position is
        carried into an announcement.

    Notes
    -----
    A calendar of the past is used as if each date had been known `sessions_before` sessions ahead. Companies announce their
    dates two to four weeks ahead, but a source that is loaded today gives the dates that came true.
    """

    strategy: Strategy
    calendar: Mapping[str, Collection[dt.date]] = field(hash=False)
    sessions_before: int = 2
    sessions_after: int = 2

    def __post_init__(self) -> None:
        for name in ("sessions_before", "sessions_after"):
            if getattr(self, name) < 0:
                raise ConfigError(f"Earnings filter: expected {name} of 0 or more, found {getattr(self, name)}.")

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        """Return SIGNALS of the wrapped strategy without the entries whose fill is near an announcement."""
        signals = self.strategy.signals(bars)
        dates = self.calendar.get(symbol_of(bars), ()) if len(bars) else ()
        if not dates:
            return signals
        near = self._near(symbol_of(bars), bars["session"], dates)
        return signals.assign(entry=signals["entry"].where(~near, 0).astype("int8"))

    def describe(self) -> dict[str, Any]:
        """Return the wrapped strategy's parameters, the two spans and a digest of the calendar."""
        dates = {symbol: sorted(str(day) for day in days) for symbol, days in self.calendar.items()}
        digest = hashlib.sha256(json.dumps(dates, sort_keys=True).encode()).hexdigest()
        return {
            **self.strategy.describe(),
            "earnings_sessions_before": self.sessions_before,
            "earnings_sessions_after": self.sessions_after,
            "earnings_calendar": digest[:12],
        }

    def _near(self, symbol: str, sessions: pd.Series[Any], dates: Collection[dt.date]) -> NDArray[np.bool_]:
        """Return True for each bar whose fill is near one of `dates`."""
        days = calendar(calendar_name(symbol)).sessions
        known = pd.DatetimeIndex(sorted(dates))
        known = known[(known >= days[0]) & (known <= days[-1])]
        closed = np.zeros(len(days) + 1, dtype=np.bool_)  # one more: the fill that follows the calendar's last session
        for at in days.searchsorted(known):
            closed[max(at - self.sessions_before, 0) : at + self.sessions_after + 1] = True
        # A close decides the fill of the exchange's next session, which need not be the next bar; an open decides its own.
        fills = days.searchsorted(pd.DatetimeIndex(sessions), side="left" if self.entry == "open" else "right")
        return np.asarray(closed[fills])


def lapsed(calendar: Mapping[str, Collection[dt.date]], session: dt.date) -> list[str]:
    """Symbols that have announced before and of which no date at or after `session` is known: they are not held back."""
    return sorted(symbol for symbol, dates in calendar.items() if dates and max(dates) < session)
