"""Vintages of bars: the versions that each past decision read, point-in-time.

A revision splits history: every decision before it read the old bar, every later one the new bar. Between two revisions of a
symbol, bars are only added, and since a row of signals or features is a function of the bars up to its own (`research.leakage`
proves it), one computation over each vintage gives what every decision within it computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from core.errors import DataError
from core.sessions import calendar, calendar_name, joint_sessions
from pipeline.bars import VIX

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from storage.market.bars import BarStore

BEFORE_OPEN = pd.Timedelta(microseconds=1)  # an order has to go before the open
SHORTEST_WAIT = pd.Timedelta(minutes=30)  # around the clock the next open is the close itself


class Vintage(NamedTuple):
    """The bars of one symbol that the decisions from `first` to before `end` (places in `BarVintages.sessions`) read.

    `bars` are BARS with known_at and ingested_at, `vix` the same of the VIX.
    """

    first: int
    end: int
    bars: pd.DataFrame
    vix: pd.DataFrame


@dataclass(frozen=True)
class BarVintages:
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

    def of_symbol(self, symbol: str) -> Iterator[Vintage]:
        """Yield the vintages of a symbol, from revision to revision."""
        bars, vix = self.versions[symbol], self.vix
        seen, late = self._seen(bars)
        vix_seen, vix_late = self._seen(vix)
        bounds = [0, *np.union1d(late, vix_late).tolist(), len(self.sessions)]
        for first, end in pairwise(bounds):
            yield Vintage(first, end, _newest(bars, seen < end), _newest(vix, vix_seen < end))

    def rows(self, vintage: Vintage, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a frame with a column session that belong to the decisions of a vintage."""
        inside = frame["session"].isin(self.sessions[vintage.first : vintage.end])
        return frame[inside]

    def _seen(self, versions: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return for each version the first decision that read it, and the decisions at which a version appeared late."""
        seen = self.moments.searchsorted(pd.DatetimeIndex(versions["known_at"]), side="left")
        own = self.sessions.searchsorted(pd.DatetimeIndex(versions["session"]), side="left")
        return seen, np.unique(seen[(seen > own) & (seen < len(self.sessions))])


def read_vintages(bars: BarStore, first: dt.date, last: dt.date, symbols: Sequence[str]) -> BarVintages:
    """Return the vintages of the symbols' bars up to `last`, for decisions from `first` to `last`.

    Raises
    ------
    DataError
        When a symbol has no bar, or there is no session.
    """
    names = {calendar_name(symbol) for symbol in symbols}
    sessions = joint_sessions(first, last, names)
    if sessions.empty:
        raise DataError(f"Sessions: expected at least one from {first} to {last}, found none. Widen --from and --to.")
    table = bars.versions([*symbols, VIX], end=last)
    versions = {str(symbol): part.reset_index(drop=True) for symbol, part in table.groupby("symbol")}
    vix = versions.pop(VIX, table.iloc[:0])
    missing = sorted(set(symbols) - set(versions))
    if missing:
        raise DataError(f"No bars of {missing[0]} up to {last}. Load them: `desk ingest --full-history`.")
    return BarVintages(sessions, _first_deadlines(sessions, names), versions, vix)


def decision_deadlines(sessions: pd.DatetimeIndex, name: str = "XNYS") -> pd.DatetimeIndex:
    """Return the last moments at which orders decided at the close of `sessions` could be sent; training joins by them."""
    exchange = calendar(name)
    after = exchange.sessions.searchsorted(sessions, side="right")
    opens = pd.DatetimeIndex(exchange.opens.iloc[after])
    closes = pd.DatetimeIndex(exchange.closes.loc[sessions])
    return pd.DatetimeIndex(np.maximum(opens, closes + SHORTEST_WAIT)) - BEFORE_OPEN


def _first_deadlines(sessions: pd.DatetimeIndex, names: Iterable[str]) -> pd.DatetimeIndex:
    """Return the earliest deadline of each session among the calendars that have it."""
    earliest = pd.Series(pd.NaT, index=sessions, dtype="datetime64[ns, UTC]")
    for name in names:
        own = sessions[sessions.isin(calendar(name).sessions)]
        deadlines = pd.Series(decision_deadlines(own, name), index=own).reindex(sessions)
        earliest = earliest.where(earliest.notna() & ~(deadlines < earliest), deadlines)
    return pd.DatetimeIndex(earliest)


def _newest(versions: pd.DataFrame, visible: NDArray[np.bool_]) -> pd.DataFrame:
    """Return the last visible version of each session."""
    return versions[visible].drop_duplicates("session", keep="last").reset_index(drop=True)
