"""Features of a prediction: those of the request, or a symbol's newest ones in the online store. Refuses features too old."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from core.errors import StaleData
from core.feature_hash import feature_hash
from core.frames import FEATURES
from core.sessions import calendar_name, next_session, sessions_between
from storage.trading.served import vector_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from serving.online import OnlineRows

NAN = float("nan")


class Input(NamedTuple):
    """A vector of features and its origin.

    Attributes
    ----------
    values
        In the order of `FEATURES`, NaN where unknown.
    session, for_session
        The session at whose close they were taken, and the one after.
    known_at
        That close; None for features that came with the request.
    digest, vector
        `core.feature_hash.feature_hash` of the values, and the values as they are stored.
    """

    values: list[float]
    session: dt.date
    for_session: dt.date
    known_at: dt.datetime | None
    digest: str
    vector: bytes

    @property
    def source(self) -> str:
        """Return the origin as it is stored: `given` or `online`."""
        return "given" if self.known_at is None else "online"


class Inputs:
    """Finds the features of a request.

    Parameters
    ----------
    max_age_sessions
        Age of online features above which they are refused.
    """

    def __init__(self, rows: OnlineRows, max_age_sessions: int) -> None:
        self._rows = rows
        self._max_age = max_age_sessions

    async def get(self, symbol: str, given: Mapping[str, float | None] | None) -> Input:
        """Return the features given by name, else the newest in the online store.

        Raises
        ------
        UnknownSymbol
            When the online store does not know the symbol.
        StaleData
            When its newest features are older than allowed, of a session to come, or all unknown.
        """
        newest = await self._rows.reference_session(symbol)
        if given is not None:
            values = [NAN if (value := given[name]) is None else value for name in FEATURES]
            return Input(values, newest, following(symbol, newest), None, feature_hash(values), vector_of(values))
        row = await self._rows.get(symbol)
        if row.session != newest:
            require_age(symbol, row.session, newest, self._max_age)
        if not row.has_values:
            raise StaleData(
                f"Features of {symbol} at {row.session} are all unknown: its history is shorter than their warm-up."
            )
        return Input(row.values, row.session, following(symbol, row.session), row.known_at, row.digest, row.vector)


@lru_cache(maxsize=4096)
def following(symbol: str, session: dt.date) -> dt.date:
    """Return the session after one, in the symbol's calendar."""
    return next_session(session, calendar_name(symbol))


@lru_cache(maxsize=1024)
def age_of(session: dt.date, newest: dt.date, calendar: str) -> int:
    """Count the sessions that have closed since one."""
    return max(len(sessions_between(session, newest, calendar)) - 1, 0)


def require_age(symbol: str, session: dt.date, newest: dt.date, limit: int) -> None:
    """Refuse features that are older than the limit, or of a session that has not closed.

    Raises
    ------
    StaleData
        Names both sessions and the limit.
    """
    if session > newest:
        raise StaleData(f"Features of {symbol} are of {session}, and the last closed session is {newest}: a clock is wrong.")
    age = age_of(session, newest, calendar_name(symbol))
    if age > limit:
        raise StaleData(f"Features of {symbol} are of {session}, {age} sessions before {newest}; at most {limit} are allowed.")
