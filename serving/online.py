"""Online features held in memory, and the session that fresh ones are of. Judges no age.

Daily features change when they are materialised. Each materialisation has a number in the desk's database; rows in memory are
used only while that number, looked up at most `CONFIRMED_SECONDS` ago, is the one they were read under. Requests that arrive
together share one look-up. Whoever copies features without leaving a number (Feast's own command line) is noticed within
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
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from storage.features.feature_store import FeastStore
    from storage.market.bars import BarStore

CONFIRMED_SECONDS = 0.02
RELOAD_SECONDS = 30.0
HISTORY_SECONDS = 2.0


@dataclass(frozen=True)
class OnlineRow:
    """A symbol's newest features in the order of `FEATURES`, and the close they were taken at.

    `has_values` is False when all of them are NaN. `digest` and `vector` serve all requests: see `serving.inputs.Input`.
    """

    values: list[float]
    known_at: dt.datetime
    session: dt.date
    has_values: bool
    digest: str
    vector: bytes


class OnlineRows:
    """The online store's rows by symbol, as fresh as the store itself.

    Parameters
    ----------
    features, bars
        Open the stores on first use: the API starts before its database answers.
    historical
        True when the provider is a finished history, whose newest session is the newest stored one.
    """

    def __init__(
        self,
        features: Callable[[], FeastStore],
        bars: Callable[[], BarStore],
        clock: Callable[[], dt.datetime],
        *,
        historical: bool,
    ) -> None:
        self._features, self._bars, self._clock, self._historical = features, bars, clock, historical
        self._rows: dict[str, OnlineRow] = {}
        self._number: int | None = None
        self._confirmed_at = self._loaded_at = self._history_at = float("-inf")
        self._history: dt.date | None = None
        self._closes: dict[str, tuple[dt.datetime, dt.datetime, dt.date]] = {}
        self._lookup: asyncio.Task[None] | None = None

    async def get(self, symbol: str) -> OnlineRow:
        """Return the symbol's row.

        Raises
        ------
        UnknownSymbol
            When the online store does not know the symbol.
        """
        wanted = time.monotonic() - CONFIRMED_SECONDS
        while self._confirmed_at < wanted:
            if self._lookup is None:
                self._lookup = asyncio.create_task(self._refresh())
            await asyncio.shield(self._lookup)
        row = self._rows.get(symbol)
        return row if row is not None else await asyncio.to_thread(self._read_one, symbol)

    async def reference_session(self, symbol: str) -> dt.date:
        """Return the session that fresh features would be of: the last one closed, or a finished history's newest."""
        if not self._historical:
            return self._last_closed(calendar_name(symbol))
        if self._history is None or time.monotonic() - self._history_at > HISTORY_SECONDS:
            self._history_at = time.monotonic()
            sessions = await asyncio.to_thread(lambda: self._bars().last_sessions())
            if not sessions:
                raise UnknownSymbol(symbol)
            self._history = max(sessions.values())
        return self._history

    def _last_closed(self, name: str) -> dt.date:
        """Return the calendar's last closed session, computed once between two closes."""
        now = self._clock()
        start, end, session = self._closes.get(name, (now, now, dt.date.min))
        if not start <= now < end:
            session = last_closed_session(now, name)
            self._closes[name] = (close_of(session, name), close_of(next_session(session, name), name), session)
        return session

    async def _refresh(self) -> None:
        """Compare the number of the newest materialisation, and read every row again when it has moved."""
        started = time.monotonic()
        try:
            number = await asyncio.to_thread(lambda: self._features().materialisation())
            if number != self._number or started - self._loaded_at > RELOAD_SECONDS:
                self._rows = await asyncio.to_thread(self._read_all)
                self._number, self._loaded_at = number, started
            self._confirmed_at = started
        finally:
            self._lookup = None

    def _read_all(self) -> dict[str, OnlineRow]:
        symbols = self._bars().symbols()
        return rows_of(self._features().online(symbols)) if symbols else {}

    def _read_one(self, symbol: str) -> OnlineRow:
        """Return the row of a symbol that memory does not hold."""
        row = rows_of(self._features().online([symbol])).get(symbol)
        if row is None:
            raise UnknownSymbol(symbol, self._bars().symbols())
        return row


def rows_of(frame: pd.DataFrame) -> dict[str, OnlineRow]:
    """Return the rows of `FeastStore.online` by symbol; a symbol that it does not know has none."""
    stored = frame[frame["event_timestamp"].notna()]
    values = stored[list(FEATURES)].to_numpy(dtype=np.float64)
    closes = [stamp.to_pydatetime() for stamp in stored["event_timestamp"]]
    return {symbol: _row(row, close) for symbol, row, close in zip(stored["symbol"], values, closes, strict=True)}


def _row(values: NDArray[np.float64], close: dt.datetime) -> OnlineRow:
    plain = values.tolist()
    has_values = bool(np.isfinite(values).any())
    return OnlineRow(plain, close, session_of(close), has_values, feature_hash(plain), vector_of(plain))


def session_of(close: dt.datetime) -> dt.date:
    """Return the session that ended at a close; around the clock that is midnight of the day after."""
    return (close - dt.timedelta(microseconds=1)).date()
