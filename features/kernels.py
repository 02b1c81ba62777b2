"""The indicators' loops, compiled: what TA-Lib does not compute or lets rounding decide. Owns no names, units or defaults.

Each loop reads bars from the first to the last and writes element t before it has seen bar t + 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.compiled import compiled

if TYPE_CHECKING:
    from features.indicators import Array


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
    """Add to a running total, and to `lost` what rounding took from it (Knuth's two-sum): together they give `math.fsum`."""
    grown = total + value
    taken = grown - total
    return grown, lost + ((total - (grown - taken)) + (value - taken))


@compiled
def share(part: float, whole: float) -> float:
    """Divide, giving zero where the whole is zero: no range, no direction."""
    return part / whole if whole != 0 else 0.0
