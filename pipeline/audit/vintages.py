"""Bars as they were known at the decision of each past session. Owns which version of a bar a decision saw; it decides nothing.

A revision splits history: before it every decision saw the old bar, from then on the new one. Between two revisions of a symbol
what is known only grows, and since a row of signals or features is a function of the bars up to its own
(`research.leakage` holds it), one computation over each such stretch gives what every decision within it computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from core.errors import DataError
from core.sessions import calendar, calendar_name, sessions_between
from pipeline.bars import VIX

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pipeline.resources import Resources

LAST_WORD = pd.Timedelta(microseconds=1)  # an order has to go before the open
SHORTEST_WAIT = pd.Timedelta(minutes=30)  # around the clock the next open is the close itself


class Stretch(NamedTuple):
    """Decisions from `first` to before `end` (places in `Known.sessions`) and what the last of them saw of one symbol.

    `bars` are BARS with known_at and ingested_at, `vix` the same of the VIX.
    """

    first: int
    end: int
    bars: pd.DataFrame
    vix: pd.DataFrame


@dataclass(frozen=True)
class Known:
    """Every version of some symbols' bars, and the moments at which past decisions read them.

    Attributes
    ----------
    sessions
        Tz-naive midnights, ascending.
    moments
        The last moment (UTC) at which each session's decision could be made: just before the next open.
    """

    sessions: pd.DatetimeIndex
    moments: pd.DatetimeIndex
    versions: dict[str, pd.DataFrame]
    vix: pd.DataFrame

    def stretches(self, symbol: str) -> Iterator[Stretch]:
        """A symbol's history from revision to revision."""
        bars, vix = self.versions[symbol], self.vix
        seen, late = self._seen(bars)
        vix_seen, vix_late = self._seen(vix)
        bounds = [0, *np.union1d(late, vix_late).tolist(), len(self.sessions)]
        for first, end in pairwise(bounds):
            yield Stretch(first, end, _newest(bars, seen < end), _newest(vix, vix_seen < end))

    def rows(self, stretch: Stretch, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows of a frame with a column session that belong to the decisions of a stretch."""
        inside = frame["session"].isin(self.sessions[stretch.first : stretch.end])
        return frame[inside]

    def _seen(self, versions: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each version the first decision that saw it; and the decisions at which one appeared after its own session's."""
        seen = self.moments.searchsorted(pd.DatetimeIndex(versions["known_at"]), side="left")
        own = self.sessions.searchsorted(pd.DatetimeIndex(versions["session"]), side="left")
        return seen, np.unique(seen[(seen > own) & (seen < len(self.sessions))])


def read_known(resources: Resources, first: dt.date, last: dt.date, symbols: Sequence[str]) -> Known:
    """What the store knows of the symbols up to `last`, for decisions from `first` to `last`.

    Raises
    ------
    DataError
        When a symbol has no bar, or there is no session.
    """
    name = "24/7" if any(calendar_name(symbol) == "24/7" for symbol in symbols) else "XNYS"
    sessions = sessions_between(first, last, name)
    if sessions.empty:
        raise DataError(f"Sessions: expected at least one from {first} to {last}, found none. Widen --from and --to.")
    table = resources.bars.versions([*symbols, VIX], end=last)
    versions = {str(symbol): part.reset_index(drop=True) for symbol, part in table.groupby("symbol")}
    vix = versions.pop(VIX, table.iloc[:0])
    missing = sorted(set(symbols) - set(versions))
    if missing:
        raise DataError(f"No bars of {missing[0]} up to {last}. Load them: `desk ingest --full-history`.")
    return Known(sessions, deadlines(sessions, name), versions, vix)


def deadlines(sessions: pd.DatetimeIndex, name: str = "XNYS") -> pd.DatetimeIndex:
    """The last moments at which orders decided at the close of `sessions` could go: the ones training joins its features by."""
    exchange = calendar(name)
    after = exchange.sessions.searchsorted(sessions, side="right")
    opens = pd.DatetimeIndex(exchange.opens.iloc[after])
    closes = pd.DatetimeIndex(exchange.closes.loc[sessions])
    return pd.DatetimeIndex(np.maximum(opens, closes + SHORTEST_WAIT)) - LAST_WORD


def _newest(versions: pd.DataFrame, known: NDArray[np.bool_]) -> pd.DataFrame:
    """Of each session the last version among those known."""
    return versions[known].drop_duplicates("session", keep="last").reset_index(drop=True)
