"""Online features held in memory, and the session that fresh ones are of. Owns when memory is believed; it judges no age.

Daily features change when they are materialised. Each materialisation has a number in the desk's database; rows in memory are
used only while that number, looked up at most `CONFIRMED_SECONDS` ago, is the one they were read under. Requests that arrive
together share one look. Whoever copies features without leaving a number (Feast's own command line) is noticed within
`RELOAD_SECONDS`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.errors import UnknownSymbol
from core.feature_hash import feature_hash
from core.frames import FEATURES
from core.sessions import calendar_name, close_of, last_closed_session, next_session
from storage.trading.served import vector_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from pipeline.resources import Resources

CONFIRMED_SECONDS = 0.02
RELOAD_SECONDS = 30.0
HISTORY_SECONDS = 2.0


@dataclass(frozen=True)
class OnlineRow:
    """A symbol's newest features in the order of `FEATURES`, and the close they were taken at; `known` unless all are NaN.

    `digest` and `vector` are made once for all requests: see `serving.inputs.Input`.
    """

    values: list[float]
    seen: dt.datetime
    session: dt.date
    known: bool
    digest: str
    vector: bytes


class OnlineRows:
    """The online store's rows by symbol, as fresh as the store itself."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._rows: dict[str, OnlineRow] = {}
        self._number: int | None = None
        self._confirmed_at = self._loaded_at = self._history_at = float("-inf")
        self._history: dt.date | None = None
        self._closes: dict[str, tuple[dt.datetime, dt.datetime, dt.date]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def get(self, symbol: str) -> OnlineRow:
        """The symbol's row.

        Raises
        ------
        UnknownSymbol
            When the online store does not know the symbol.
        """
        wanted = time.monotonic() - CONFIRMED_SECONDS
        while self._confirmed_at < wanted:
            if self._looking is None:
                self._looking = asyncio.create_task(self._look())
            await asyncio.shield(self._looking)
        row = self._rows.get(symbol)
        return row if row is not None else await asyncio.to_thread(self._read_one, symbol)

    async def reference_session(self, symbol: str) -> dt.date:
        """The session that fresh features would be of: the last one closed, or the newest stored of a finished history."""
        if not self._resources.historical:
            return self._last_closed(calendar_name(symbol))
        if self._history is None or time.monotonic() - self._history_at > HISTORY_SECONDS:
            self._history_at = time.monotonic()
            sessions = await asyncio.to_thread(self._resources.bars.last_sessions)
            if not sessions:
                raise UnknownSymbol(symbol)
            self._history = max(sessions.values())
        return self._history

    def _last_closed(self, name: str) -> dt.date:
        """The calendar's last closed session, computed once between two closes."""
        now = self._resources.clock()
        start, end, session = self._closes.get(name, (now, now, dt.date.min))
        if not start <= now < end:
            session = last_closed_session(now, name)
            self._closes[name] = (close_of(session, name), close_of(next_session(session, name), name), session)
        return session

    async def _look(self) -> None:
        """Compare the number of the newest materialisation, and read every row anew when it has moved."""
        started = time.monotonic()
        try:
            number = await asyncio.to_thread(self._resources.features.materialisation)
            if number != self._number or started - self._loaded_at > RELOAD_SECONDS:
                self._rows = await asyncio.to_thread(self._read_all)
                self._number, self._loaded_at = number, started
            self._confirmed_at = started
        finally:
            self._looking = None

    def _read_all(self) -> dict[str, OnlineRow]:
        symbols = self._resources.bars.symbols()
        return rows_of(self._resources.features.online(symbols)) if symbols else {}

    def _read_one(self, symbol: str) -> OnlineRow:
        """A symbol that memory does not hold: new to the store, or to nobody."""
        row = rows_of(self._resources.features.online([symbol])).get(symbol)
        if row is None:
            raise UnknownSymbol(symbol, self._resources.bars.symbols())
        return row


def rows_of(frame: pd.DataFrame) -> dict[str, OnlineRow]:
    """Rows by symbol of `FeastStore.online`; a symbol that it does not know has none."""
    there = frame[frame["event_timestamp"].notna()]
    values = there[list(FEATURES)].to_numpy(dtype=np.float64)
    seen = [stamp.to_pydatetime() for stamp in there["event_timestamp"]]
    return {symbol: _row(row, close) for symbol, row, close in zip(there["symbol"], values, seen, strict=True)}


def _row(values: NDArray[np.float64], close: dt.datetime) -> OnlineRow:
    plain = values.tolist()
    known = bool(np.isfinite(values).any())
    return OnlineRow(plain, close, session_of(close), known, feature_hash(plain), vector_of(plain))


def session_of(close: dt.datetime) -> dt.date:
    """The session that ended at a close; around the clock that is midnight of the day after."""
    return (close - dt.timedelta(microseconds=1)).date()
