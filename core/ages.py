"""The lower bound of an age: what comes from the future says nothing about this moment, for a clock is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import datetime as dt

AHEAD_SECONDS: Final = 5.0  # the most that another clock may be ahead of ours, where no setting says otherwise


def seconds_ahead(at: dt.datetime, now: dt.datetime, tolerance_seconds: float = AHEAD_SECONDS) -> float:
    """Return by how many seconds a moment lies in the future, 0 as long as the clocks may differ by so much.

    >>> import datetime as dt
    >>> now = dt.datetime(2024, 7, 3, 15, tzinfo=dt.UTC)
    >>> [seconds_ahead(now + dt.timedelta(seconds=seconds), now) for seconds in (-60, 5, 6)]
    [0.0, 0.0, 6.0]
    """
    ahead = (at - now).total_seconds()
    return ahead if ahead > tolerance_seconds else 0.0
