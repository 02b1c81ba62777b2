"""One trade on one symbol's sessions, compiled: when an order fills, when and at what raw price the position is left.

Owns the order of events within a trade; the rules of a fill are those of `trading.fills`. It knows no money.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.compiled import compiled
from trading.fills import DELISTED, END_OF_DATA, HELD, RULE, brackets, exit_at_bar, exit_due, is_tradable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Masks = NDArray[np.bool_]


@compiled
def follow(  # noqa: PLR0917  # numba kernels take positions
    open_: Array,
    high: Array,
    low: Array,
    close: Array,
    session_no: NDArray[np.int64],
    leave: Masks,
    entry: int,
    end: int,
    payout: float,
    side: int,
    stop_pct: float,
    target_pct: float,
    max_sessions: int,
    exits_at_close: bool,
) -> tuple[int, float, int]:
    """Hold one symbol's position from the open of column `entry` until a rule ends it.

    Parameters
    ----------
    end, payout
        The `delisting_after` the entry.

    Returns
    -------
    column, raw price, reason
        Of the exit. A position that is still held at `end` is paid out, as `DELISTED`; without a delisting it leaves in the
        last column at its last close, as `END_OF_DATA`.
    """
    stop, target = brackets(side, open_[entry], stop_pct, target_pct)
    due, last = HELD, entry
    for t in range(entry, end):
        if not is_tradable(open_[t], high[t], low[t], close[t]):
            continue
        if due != HELD:
            return t, open_[t], due
        reason, price = exit_at_bar(side, t == entry, open_[t], high[t], low[t], stop, target)
        if reason != HELD:
            return t, price, reason
        due = exit_due(leave[t], session_no[t] - session_no[entry] + 1, max_sessions)
        if due != HELD and exits_at_close:
            return t, close[t], due
        last = t
    if end < len(open_):
        return end, payout, DELISTED
    return end - 1, close[last], END_OF_DATA


@compiled
def leaves_at_close(reason: int, exits_at_close: bool) -> bool:
    """Return True for an exit at a close, after the entries of that close were decided."""
    return reason == END_OF_DATA or (RULE <= reason < END_OF_DATA and exits_at_close)


@compiled
def next_session(session_no: NDArray[np.int64], t: int) -> int:
    """A symbol's first session after column `t`; the number of columns when they end before it."""
    for later in range(t + 1, len(session_no)):
        if session_no[later] >= 0:
            return later
    return len(session_no)


@compiled
def sessions_after(session_no: NDArray[np.int64], entry: int, column: int) -> int:
    """A symbol's sessions after column `entry` up to column `column`, on which its exchange may be shut."""
    while session_no[column] < 0:
        column -= 1
    return int(session_no[column] - session_no[entry])


@compiled
def delisting_after(delisted: NDArray[np.int64], payout: Array, t: int, columns: int) -> tuple[int, float]:
    """A symbol's first delisting after column `t`: its column and its cash; the number of columns when there is none."""
    end, cash = columns, np.nan
    for i in range(len(delisted)):
        if t < delisted[i] < end:
            end, cash = delisted[i], payout[i]
    return end, cash
