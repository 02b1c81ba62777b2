"""Walk-forward windows: the sessions that train, the sessions that test, and the curve of all tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backtest.metrics import drawdown
from core.errors import ConfigError, DataError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

WARM_UP_SESSIONS = 504  # two years: a 250-session exponential average has forgotten 98 % of what came before them


@dataclass(frozen=True)
class Window:
    """One step of a walk-forward test; every session named is the first or last one inside."""

    train_start: dt.date
    train_end: dt.date
    test_start: dt.date
    test_end: dt.date


def windows(
    sessions: pd.DatetimeIndex,
    *,
    train_sessions: int,
    test_sessions: int,
    anchored: bool = False,
    embargo_sessions: int = 0,
) -> list[Window]:
    """Split a history into training windows, each followed by the sessions it is tested on (Pardo 2008, chapter 11).

    Test windows follow each other without gap or overlap. A remainder of at least half a test window is a last, shorter one;
    less than that is left out.

    Parameters
    ----------
    sessions
        Ascending, without duplicates.
    anchored
        Training always begins with the first session and grows, instead of rolling.
    embargo_sessions
        Sessions between the end of training and the test, so that no position of the one is open in the other.

    Raises
    ------
    ConfigError
        When a length is not positive, or the history holds not one training and test window.

    >>> days = pd.bdate_range("2020-01-06", periods=10)
    >>> [str(w.test_start) for w in windows(days, train_sessions=5, test_sessions=2)]
    ['2020-01-13', '2020-01-15', '2020-01-17']
    """
    _check(len(sessions), train_sessions, test_sessions, embargo_sessions)
    days = [day.date() for day in sessions]
    found = []
    for test in range(train_sessions + embargo_sessions, len(days), test_sessions):
        last = min(test + test_sessions, len(days)) - 1
        if 2 * (last - test + 1) < test_sessions:
            break
        train_end = test - embargo_sessions - 1
        train_start = 0 if anchored else train_end - train_sessions + 1
        found.append(Window(days[train_start], days[train_end], days[test], days[last]))
    return found


def _check(sessions: int, train_sessions: int, test_sessions: int, embargo_sessions: int) -> None:
    least = {
        "train_sessions": (train_sessions, 1),
        "test_sessions": (test_sessions, 1),
        "embargo_sessions": (embargo_sessions, 0),
    }
    for name, (value, floor) in least.items():
        if value < floor:
            raise ConfigError(f"{name}: expected {floor} or more, found {value}.")
    needed = train_sessions + embargo_sessions + test_sessions
    if sessions < needed:
        raise ConfigError(
            f"Walk-forward: expected at least {needed} sessions ({train_sessions} to train, {embargo_sessions} between, "
            f"{test_sessions} to test), found {sessions}. Shorten them, or load more: `desk ingest --full-history`."
        )


def between(
    bars: Mapping[str, pd.DataFrame], first: dt.date, last: dt.date, *, warm_up_sessions: int = WARM_UP_SESSIONS
) -> dict[str, pd.DataFrame]:
    """Bars of each symbol up to `last`, with `warm_up_sessions` before `first`; a symbol without a bar inside is left out."""
    cut = {}
    for symbol, frame in bars.items():
        days = pd.DatetimeIndex(frame["session"])
        start, stop = int(days.searchsorted(pd.Timestamp(first))), int(days.searchsorted(pd.Timestamp(last), side="right"))
        if start < stop:
            cut[symbol] = frame.iloc[max(start - warm_up_sessions, 0) : stop].reset_index(drop=True)
    return cut


def stitch(equities: Sequence[pd.DataFrame], initial_cash_usd: float) -> pd.DataFrame:
    """Chain the equity curves of test windows into one, each window starting with what the one before ended with.

    Parameters
    ----------
    equities
        Columns session, equity_usd; ascending, every one run from `initial_cash_usd`.

    Returns
    -------
    pd.DataFrame
        Columns session, equity_usd, drawdown (from the highest value of the whole curve).

    Raises
    ------
    DataError
        When there is no window, or one begins before the one ahead of it has ended.
    """
    if not equities:
        raise DataError("Stitching: expected the equity of one test window or more, found none. Run a walk-forward test first.")
    factor, pieces = 1.0, []
    for equity in equities:
        pieces.append(equity["equity_usd"].to_numpy(dtype=np.float64) * factor)
        factor = float(pieces[-1][-1]) / initial_cash_usd
    sessions = pd.DatetimeIndex(np.concatenate([equity["session"].to_numpy() for equity in equities]))
    if not (sessions.is_monotonic_increasing and sessions.is_unique):
        raise DataError(
            "Stitching: expected test windows one after the other, found two that overlap. Sort them, run each once."
        )
    path = np.concatenate([[initial_cash_usd], *pieces])
    return pd.DataFrame({"session": sessions, "equity_usd": path[1:], "drawdown": drawdown(path)[1:]})
