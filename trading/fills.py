"""The fill rules for one bar: the only place that knows when and at what raw price a position is left. No costs, no I/O.

The backtest kernel and the paper broker call these functions, so that a rule cannot differ between them. `side` is +1 for a
long and -1 for a short position; a stop or target of NaN is none. On each bar of a position, in this order:

1. the open is at or beyond the stop: out at the open (`stop_gap`);
2. the open is at or beyond the target: out at the open (`target_gap`);
3. the bar reaches the stop: out at the stop;
4. the bar reaches the target: out at the target.

When a bar touches both, the stop is taken: the order of prices within a bar is unknown, and the worse is assumed. The entry
bar skips 1 and 2, for the position did not exist before its open. At the close of a bar still held, `exit_due` asks for the
rule and the time exit; the caller fills them at the next open, or at this close if the strategy declares `exit="close"`.

A position that no bar ends is closed by a recorded delisting (`trading.delistings`), and what a backtest holds at its last
session leaves at the symbol's last close (`end_of_data`), whenever that was.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core.compiled import compiled

HELD: Final = 0
STOP_GAP: Final = 1
TARGET_GAP: Final = 2
STOP: Final = 3
TARGET: Final = 4
RULE: Final = 5
TIME: Final = 6
END_OF_DATA: Final = 7
DELISTED: Final = 8
RISK: Final = 9  # sold for risk: the kill switch, the risk worker, a breach at the close; no backtest does
REASONS: Final = ("held", "stop_gap", "target_gap", "stop", "target", "rule", "time", "end_of_data", "delisted", "risk")


@compiled
def is_tradable(open_: float, high: float, low: float, close: float) -> bool:
    """Return True when every price of the bar is a positive number; another bar fills nothing.

    >>> is_tradable(100.0, 101.0, 99.0, 100.5), is_tradable(100.0, 101.0, 0.0, 100.5)
    (True, False)
    """
    return open_ > 0 and high > 0 and low > 0 and close > 0


@compiled
def brackets(side: int, raw_entry_price: float, stop_pct: float, target_pct: float) -> tuple[float, float]:
    """Return stop and target prices, from percentages of the raw entry price (before slippage); NaN stays NaN.

    >>> brackets(1, 100.0, 2.0, 4.0), brackets(-1, 100.0, 2.0, 4.0)
    ((98.0, 104.0), (102.0, 96.0))
    """
    return raw_entry_price * (1 - side * stop_pct / 100), raw_entry_price * (1 + side * target_pct / 100)


@compiled
def exit_at_bar(  # noqa: PLR0917  # numba kernels take positions
    side: int, on_entry_bar: bool, open_: float, high: float, low: float, stop: float, target: float
) -> tuple[int, float]:
    """Apply the stop and target rules to one bar; return the reason and the raw price of the exit, or (`HELD`, NaN).

    A bar that touches stop and target is taken to have touched the stop first:

    >>> reason, price = exit_at_bar(1, False, 100.0, 105.0, 97.0, 98.0, 104.0)
    >>> REASONS[reason], price
    ('stop', 98.0)
    >>> reason, price = exit_at_bar(1, False, 97.5, 99.0, 97.0, 98.0, 104.0)
    >>> REASONS[reason], price
    ('stop_gap', 97.5)
    """
    worst, best = (low, high) if side > 0 else (high, low)
    if not on_entry_bar:
        if side * open_ <= side * stop:
            return STOP_GAP, open_
        if side * open_ >= side * target:
            return TARGET_GAP, open_
    if side * worst <= side * stop:
        return STOP, stop
    if side * best >= side * target:
        return TARGET, target
    return HELD, np.nan


@compiled
def exit_due(rule_exit: bool, sessions_held: int, max_sessions: int) -> int:
    """Return the decision at the close of a bar still held: `TIME`, else `RULE`, else `HELD`.

    `sessions_held` counts the entry session as the first; `max_sessions` of 0 is no time limit.

    >>> [REASONS[exit_due(rule, held, 5)] for rule, held in [(False, 4), (True, 4), (True, 5)]]
    ['held', 'rule', 'time']
    """
    if 0 < max_sessions <= sessions_held:
        return TIME
    return RULE if rule_exit else HELD


@compiled
def is_limit_fill(reason: int) -> bool:
    """Return True for an exit by a resting limit order, which pays no slippage: targets only."""
    return reason in (TARGET, TARGET_GAP)
