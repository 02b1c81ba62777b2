"""The volatility regime and the VIX beside a symbol's bars.

VIX of session t belongs to row t. Cboe goes on calculating it until 16:15 New York, a quarter of an hour after the shares
close, so a row is complete only then: its `created_timestamp` says so, and the decision comes later still. A day without VIX
is NaN and is never filled from the day before: an old value would be a claim about a market nobody measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from core.errors import DataError
from core.sessions import sessions_between

if TYPE_CHECKING:
    from features.kernels import Array

HIGH_ABOVE: Final = 25.0
LOW_BELOW: Final = 15.0


def vix_regime(vix: pd.Series[float]) -> pd.Series[str]:
    """Name the regime of each VIX level: high above 25, low below 15, else medium; None where VIX is unknown.

    >>> vix_regime(pd.Series([25.1, 25.0, 15.0, 14.9, np.nan])).tolist()
    ['high', 'medium', 'medium', 'low', None]
    """
    names = pd.Series("medium", index=vix.index, name="vix_regime", dtype="object")
    names[vix > HIGH_ABOVE] = "high"
    names[vix < LOW_BELOW] = "low"
    names[vix.isna()] = None
    return names


def vix_by_session(vix: pd.DataFrame | None) -> pd.Series[float]:
    """Return VIX closes on every XNYS session from the first to the last known one; NaN on sessions that have none.

    Parameters
    ----------
    vix
        Columns session (naive midnight) and close (index points), any order; None or no rows = nothing known. Values on
        days without an XNYS session (Cboe has published some) are left out.

    Raises
    ------
    DataError
        When a session occurs twice.
    """
    if vix is None or vix.empty:
        return pd.Series(dtype="float64", index=pd.DatetimeIndex([], name="session"), name="vix")
    if vix["session"].duplicated().any():
        twice = vix.loc[vix["session"].duplicated(), "session"].iloc[0]
        raise DataError(f"VIX: expected one row a session, found two for {twice:%Y-%m-%d}. Read it as of one moment.")
    closes = vix.set_index("session")["close"].astype("float64").sort_index()
    return closes.reindex(sessions_between(closes.index[0], closes.index[-1])).rename_axis("session").rename("vix")


def with_vix(bars: pd.DataFrame, vix: pd.DataFrame | None) -> pd.DataFrame:
    """Return the bars of one symbol with a column `vix`: the level at each session, NaN where it is unknown.

    >>> days = pd.to_datetime(["2024-07-02", "2024-07-03"])
    >>> with_vix(pd.DataFrame({"session": days}), pd.DataFrame({"session": days[:1], "close": [12.0]}))["vix"].tolist()
    [12.0, nan]
    """
    return bars.assign(vix=vix_at(bars["session"], vix_by_session(vix)))


def vix_at(session: pd.Series[pd.Timestamp], by_session: pd.Series[float]) -> Array:
    """Return the values of a session-indexed series at the given sessions, NaN where absent."""
    values: Array = np.asarray(by_session.reindex(pd.DatetimeIndex(session)), dtype=np.float64)
    return values
