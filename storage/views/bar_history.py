"""Closes at many sessions at once, the newest re-scaling of symbols, and whole histories of one symbol as arrays."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from storage.market.tables import corporate_actions, raw_prices
from storage.views.places import arrays_of, one_of, places
from storage.views.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Quoted = tuple[str, dt.date]  # a symbol, and a day at or before which a close is wanted

bar, action = raw_prices.c, corporate_actions.c
quoted = places(symbol=sa.Text, day=sa.Date)
_newest = (
    sa.select(bar.ts, bar.close)
    .where(bar.symbol == quoted.c.symbol, bar.timeframe == "1d", bar.ts < quoted.c.day + 1)  # ts opens its day in UTC
    .order_by(bar.ts.desc(), bar.ingested_at.desc())
    .limit(1)
    .lateral("newest")
)
CLOSES: Final = sa.select(*quoted.c, *_newest.c).select_from(quoted.join(_newest, sa.true()))
LAST_RESCALED: Final = (
    sa.select(action.symbol, sa.func.max(action.session).label("newest"))
    .where(one_of(action.symbol, "symbols"), action.kind.in_(("split", "spin_off")))
    .group_by(action.symbol)
)
_of_symbol = sa.and_(bar.symbol == sa.bindparam("symbol", type_=sa.Text), bar.timeframe == "1d")
VERSION: Final = sa.select(sa.func.count(), sa.func.max(bar.ingested_at)).where(_of_symbol)
_seconds = sa.cast(sa.extract("epoch", bar.ts), sa.BigInteger)  # read ten times as fast as a moment
HISTORY: Final = (
    sa.select(_seconds, bar.open, bar.high, bar.low, bar.close, bar.volume)
    .ext(distinct_on(bar.ts))
    .where(_of_symbol)
    .order_by(bar.ts, bar.ingested_at.desc())
)
_since = sa.bindparam("since", type_=sa.Date)
RECENT_CLOSES: Final = (
    sa.select(bar.symbol, _seconds, bar.close)
    .ext(distinct_on(bar.symbol, bar.ts))
    .where(one_of(bar.symbol, "symbols"), bar.timeframe == "1d", bar.ts >= _since)
    .order_by(bar.symbol, bar.ts, bar.ingested_at.desc())
)
CALENDAR_DAYS: Final = 1.6  # of a session, at most, holidays included
MOST_HISTORIES: Final = 64  # of symbols that stay in memory: 20 years of one are a quarter of a megabyte


@dataclass(frozen=True)
class History:
    """Every daily bar of a symbol, oldest first: sessions as `datetime64[D]`, prices in its currency, volume in shares."""

    sessions: NDArray[np.datetime64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


class BarHistory(Reader):
    """Reads of the schema `market`; prices are those of the newest version of each bar.

    Histories of symbols stay in memory until a bar of theirs is written.
    """

    def __init__(self, source: sa.Engine | sa.Connection) -> None:
        super().__init__(source)
        self._histories: OrderedDict[str, tuple[tuple[int, dt.datetime], History]] = OrderedDict()

    def on(self, connection: sa.Connection) -> BarHistory:
        """Return the reads on a connection, with the same histories in memory."""
        other = BarHistory(connection)
        other._histories = self._histories
        return other

    def history(self, symbol: str) -> History | None:
        """Return every daily bar of a symbol; None when there is none."""
        ((count, newest),) = self._all(VERSION, {"symbol": symbol})
        if not count:
            return None
        stored = self._histories.get(symbol)
        if stored is not None and stored[0] == (count, newest):
            return stored[1]
        figures = np.array([tuple(row) for row in self._all(HISTORY, {"symbol": symbol})], dtype=np.float64).T
        history = History(_days(figures[0]), *figures[1:].copy())
        self._histories[symbol] = ((count, newest), history)
        while len(self._histories) > MOST_HISTORIES:
            self._histories.popitem(last=False)
        return history

    def returns(self, symbols: Collection[str], sessions: int) -> pd.DataFrame:
        """Return the simple returns of the newest sessions, one column a symbol, NaN where one has no bar."""
        newest = max((session for session, _ in self.closes([(each, dt.date.max) for each in symbols]).values()), default=None)
        if newest is None:
            return pd.DataFrame(columns=list(symbols), dtype="float64")
        since = newest - dt.timedelta(days=int(sessions * CALENDAR_DAYS) + 10)
        rows = self._all(RECENT_CLOSES, {"symbols": list(symbols), "since": since})
        frame = pd.DataFrame(rows, columns=["symbol", "seconds", "close"])
        closes = frame.assign(session=_days(frame["seconds"].to_numpy())).pivot(
            index="session", columns="symbol", values="close"
        )
        return closes.reindex(columns=list(symbols)).pct_change(fill_method=None).tail(sessions)

    def closes(self, wanted: Collection[Quoted]) -> dict[Quoted, tuple[dt.date, float]]:
        """Return for each symbol and day the newest close at or before it with its session; absent where there is none."""
        rows = self._all(CLOSES, arrays_of(quoted, dict.fromkeys(wanted))) if wanted else ()
        return {(symbol, day): (ts.astimezone(dt.UTC).date(), float(close)) for symbol, day, ts, close in rows}

    def last_rescaled(self, symbols: Collection[str]) -> dict[str, dt.date]:
        """Return the session of the newest split or spin-off on record of each symbol that has one."""
        rows = self._all(LAST_RESCALED, {"symbols": list(symbols)}) if symbols else ()
        return {row.symbol: row.newest for row in rows}


def _days(seconds: NDArray[Any]) -> NDArray[np.datetime64]:
    """Return the days of seconds since 1970."""
    return seconds.astype("int64").astype("datetime64[s]").astype("datetime64[D]")
