"""The indicators' loops, compiled: what TA-Lib does not compute or lets rounding decide, and lookups by session.

Owns no names, units or defaults. Each indicator's loop reads bars from the first to the last and writes element t before it has
seen bar t + 1.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.compiled import compiled

Array: TypeAlias = NDArray[np.float64]
Instants: TypeAlias = NDArray[np.int64]  # nanoseconds, or whole numbers that count sessions
DAY = 86_400_000_000_000  # nanoseconds


@compiled
def directional_movement(  # noqa: PLR0917  # numba kernels take positions
    high: Array, low: Array, close: Array, sessions: int, tie: float, plus_di: Array, minus_di: Array, adx: Array
) -> None:
    """Write Wilder's directional indicators and their index (shape (T,), 0 to 100) into the last three; NaN in warm-up.

    The sums run as `sum - sum / sessions + value` from a plain sum of `sessions - 1` values, the mean of the index from a
    plain mean of `sessions` values (Wilder 1978). Moves that differ by less than `tie` of the close count as equal.
    """
    plus_di[:], minus_di[:], adx[:] = np.nan, np.nan, np.nan
    rose, fell, ranged = first_sums(high, low, close, sessions, tie)
    mean = lost = 0.0
    last = 2 * sessions - 1  # of the bars whose plain mean starts the index
    for t in range(sessions, len(close)):
        up, down, true_range = moves(high, low, close, t, tie)
        rose, fell = rose - rose / sessions + up, fell - fell / sessions + down
        ranged = ranged - ranged / sessions + true_range
        plus_di[t], minus_di[t] = 100 * share(rose, ranged), 100 * share(fell, ranged)
        index = 100 * share(abs(plus_di[t] - minus_di[t]), plus_di[t] + minus_di[t])
        if t > last:
            mean = (mean * (sessions - 1) + index) / sessions
        else:
            mean, lost = added(mean, lost, index)
            if t == last:
                mean = (mean + lost) / sessions
        if t >= last:
            adx[t] = mean


@compiled
def first_sums(high: Array, low: Array, close: Array, sessions: int, tie: float) -> tuple[float, float, float]:
    """Sums of the movements and true ranges of bars 1 to `sessions - 1`, each rounded once."""
    rose = fell = ranged = 0.0
    lost_rose = lost_fell = lost_ranged = 0.0
    for t in range(1, min(sessions, len(close))):
        up, down, true_range = moves(high, low, close, t, tie)
        rose, lost_rose = added(rose, lost_rose, up)
        fell, lost_fell = added(fell, lost_fell, down)
        ranged, lost_ranged = added(ranged, lost_ranged, true_range)
    return rose + lost_rose, fell + lost_fell, ranged + lost_ranged


@compiled
def moves(high: Array, low: Array, close: Array, t: int, tie: float) -> tuple[float, float, float]:
    """Directional movement up and down, at most one of them over zero, and the true range of bar t (Wilder 1978)."""
    up, down, margin = high[t] - high[t - 1], low[t - 1] - low[t], tie * close[t]
    rose = up if up > margin and up > down + margin else 0.0
    fell = down if down > margin and down > up + margin else 0.0
    reach = max(abs(close[t - 1] - high[t]), abs(close[t - 1] - low[t]))
    return rose, fell, max(high[t] - low[t], reach)


@compiled
def added(total: float, lost: float, value: float) -> tuple[float, float]:
    """Add to a running total, and to `lost` what rounding took from it (Knuth's two-sum).

    Their sum at the end is that of `math.fsum`, or its neighbour where the exact sum lies half-way between two floats.
    """
    grown = total + value
    taken = grown - total
    return grown, lost + ((total - (grown - taken)) + (value - taken))


@compiled
def share(part: float, whole: float) -> float:
    """Divide, giving zero where the whole is zero: no range, no direction."""
    return part / whole if whole != 0 else 0.0


@compiled
def divide(part: Array, whole: Array, out: Array) -> None:
    """Write part / whole, NaN where the whole is zero."""
    for t in range(len(out)):
        out[t] = part[t] / whole[t] if whole[t] != 0 else np.nan


@compiled
def standardise(values: Array, mean: Array, deviation: Array, out: Array) -> None:
    """Write the distance from the mean in deviations, NaN where there is no deviation."""
    for t in range(len(out)):
        out[t] = (values[t] - mean[t]) / deviation[t] if deviation[t] != 0 else np.nan


@compiled
def band_position(close: Array, middle: Array, reach: Array, out: Array) -> None:
    """Write where the close lies between bands `reach` under and over the middle: 0 at the lower, 1 at the upper."""
    for t in range(len(out)):
        lower = middle[t] - reach[t]
        width = (middle[t] + reach[t]) - lower
        out[t] = (close[t] - lower) / width if width != 0 else np.nan


@compiled
def band_width(middle: Array, reach: Array, out: Array) -> None:
    """Write the distance of the bands as a fraction of the middle."""
    for t in range(len(out)):
        out[t] = ((middle[t] + reach[t]) - (middle[t] - reach[t])) / middle[t] if middle[t] != 0 else np.nan


@compiled
def exceeds(values: Array, average: Array, threshold: float, out: Array) -> None:
    """Write 1.0 where values / average is over the threshold, 0.0 where it is not, NaN where it is unknown."""
    for t in range(len(out)):
        margin = values[t] / average[t] - threshold if average[t] != 0 else np.nan
        out[t] = np.nan if np.isnan(margin) else (1.0 if margin > 0 else 0.0)


@compiled
def slots_of(sessions: Instants, first_day: int, slot_of_day: Instants, slots: Instants) -> int:
    """Write the slot of each session; return the first element that is on no day of the table, -1 when there is none."""
    for t in range(len(sessions)):
        day = sessions[t] // DAY - first_day
        listed = 0 <= day < len(slot_of_day) and sessions[t] == (day + first_day) * DAY
        slots[t] = slot_of_day[day] if listed else -1
        if slots[t] < 0:
            return t
    return -1


@compiled
def gather(table: Array, slots: Instants, out: Array) -> None:
    """Write the columns of the table at the slots: out[k, t] = table[k, slots[t]]."""
    for k in range(len(table)):
        for t in range(len(slots)):
            out[k, t] = table[k, slots[t]]


@compiled
def newest(instants: Instants, memory: int, out: Instants) -> None:
    """Write the largest of the last `memory` values at each element, in time proportional to their number alone.

    `queue` holds the positions that can still be a largest value, newest last; their values fall.
    """
    queue = np.empty(len(instants), dtype=np.int64)
    head = tail = 0
    for t in range(len(instants)):
        while tail > head and instants[queue[tail - 1]] <= instants[t]:
            tail -= 1
        queue[tail] = t
        tail += 1
        if queue[head] <= t - memory:
            head += 1
        out[t] = instants[queue[head]]
