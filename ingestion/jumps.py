"""Detect price moves that no market made: a missed split, as opposed to a violent day.

A fixed limit cannot do it: 78 real days of 19 liquid US symbols in 2010-2021 move more than 15 % (AMD +52 % on results,
three-times funds -35 % in March 2020). A move beyond the limit is refused only when the ratio to the last accepted close is
that of a usual split (1/2, 1/3, ... or 2, 3, ...), within 4 daily volatilities (3 % to 15 %), and no split is recorded for it.
No real day of those 19 symbols halves or doubles a price. 3-for-2, which three-times funds have come near, must be met within
2.5 volatilities and be a move of over 8.

Each close is compared with the last *accepted* one. After a missed split every bar nearer to the refused scale is refused too:
mixed with the stored history it would show as a crash. A move that takes back a large one of the last sessions is no split.
A large move that is no split is accepted and reported.

A bar is judged by what was known at its close: bars after it never change the verdict. A wrong tick and the first day of a
crash look alike until the next close, so that neither is refused; a move that the next close gave back is flagged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXEMPT = frozenset({"^VIX"})  # the VIX has no splits and doubled in a day (2018-02-05)
BPS = 10_000.0

_FACTORS = np.log([2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100])
_THREE_FOR_TWO = float(np.log(1.5))
_VIOLENT = 8.0
_WINDOW, _ENOUGH, _UNKNOWN_VOLATILITY, _LEAST_VOLATILITY = 60, 20, 0.03, 0.005
_RECENT = 10  # accepted bars for which a large move may be taken back
_NEW_BEGINNING = np.timedelta64(30, "D")


def moves_bps(bars: pd.DataFrame) -> pd.Series:
    """Move of each close from the last usable one in basis points; 0 for the first bar of a symbol and for exempt symbols."""
    usable = bars["close"].where((bars["close"] > 0) & np.isfinite(bars["close"]))
    last = usable.groupby(bars["symbol"]).ffill()
    move = usable / last.groupby(bars["symbol"]).shift() - 1
    return (move * BPS).fillna(0.0).where(~bars["symbol"].isin(EXEMPT), 0.0)


def unexplained_bps(bars: pd.DataFrame, splits: pd.DataFrame, *, fail_bps: float) -> pd.Series:
    """Move (basis points, against the last accepted close) of each bar that looks like an error; 0 for every other bar.

    Parameters
    ----------
    bars
        Columns symbol, session and close, sorted by symbol and session; unusable closes are passed over.
    splits
        `core.frames.ACTIONS`; a move over a recorded split is explained.
    fail_bps
        Moves up to this size are never refused.
    """
    recorded = splits[splits["kind"] == "split"]
    refused = pd.Series(0.0, index=bars.index)
    large = moves_bps(bars).abs() > fail_bps
    for symbol in bars.loc[large, "symbol"].unique():
        rows = bars[bars["symbol"] == symbol]
        dates = recorded.loc[recorded["symbol"] == symbol, "session"].to_numpy()
        refused[rows.index] = _refused(rows["close"].to_numpy(), rows["session"].to_numpy(), dates, fail_bps / BPS) * BPS
    return refused


def given_back_bps(bars: pd.DataFrame, *, fail_bps: float) -> pd.Series:
    """Move (basis points) of each bar beyond `fail_bps` of which the next close gives three quarters back; else 0.

    A flag for people: it knows the next close, and nothing is refused by it.
    """
    move = np.log1p(moves_bps(bars) / BPS)
    following = move.groupby(bars["symbol"]).shift(-1)
    back = (np.expm1(move).abs() * BPS > fail_bps) & ((move + following).abs() < move.abs() / 4)
    return pd.Series(np.expm1(move) * BPS, index=bars.index).where(back, 0.0)


def rescaled_symbols(fetched: pd.DataFrame, stored: pd.DataFrame) -> tuple[str, ...]:
    """Symbols whose fetched closes are all one split factor away from the stored closes of the same sessions.

    The source has adjusted its history for a split since: the stored history of these symbols must be loaded anew, whole.
    """
    both = fetched.merge(stored, on=["symbol", "session"], suffixes=("", "_stored"))
    both = both[(both["close"] > 0) & (both["close_stored"] > 0)]
    ratio = (both["close"] / both["close_stored"]).groupby(both["symbol"])
    scale = ratio.median()
    constant = ratio.max() / ratio.min() < 1.01  # noqa: PLR2004 - prices are rounded, splits are far larger
    return tuple(scale.index[constant & ~scale.between(0.95, 1.05)])


def _refused(
    close: NDArray[np.float64], sessions: NDArray[np.datetime64], splits: NDArray[np.datetime64], limit: float
) -> NDArray[np.float64]:
    """One symbol's unexplained moves as fractions, 0 where the bar is accepted."""
    refused = np.zeros(len(close))
    returns: list[float] = []
    reference = previous = -1  # rows of the last accepted and of the last usable close
    other_scale = np.nan  # last close refused as a missed split
    level, since = np.nan, 0  # close before the last large move that was accepted, and the bars accepted since
    for row in np.flatnonzero((close > 0) & np.isfinite(close)).tolist():
        if reference < 0 or sessions[row] - sessions[previous] > _NEW_BEGINNING:
            reference = previous = row
            level = np.nan
            continue
        previous = row
        move = float(np.log(close[row] / close[reference]))
        explained = bool(((splits > sessions[reference]) & (splits <= sessions[row])).any())
        if abs(np.expm1(move)) > limit and not explained:
            takes_back = since <= _RECENT and abs(np.log(close[row] / level)) < abs(move) / 4
            split_like = _split_like(move, _volatility(returns)) or abs(np.log(close[row] / other_scale)) < abs(move)
            if split_like and not takes_back:
                refused[row] = np.expm1(move)
                other_scale = close[row]
                continue
            level, since = close[reference], 0
        returns.append(0.0 if explained else move)
        reference, other_scale, since = row, np.nan, since + 1
    return refused


def _volatility(returns: list[float]) -> float:
    recent = returns[-_WINDOW:]
    return max(float(np.std(recent)), _LEAST_VOLATILITY) if len(recent) >= _ENOUGH else _UNKNOWN_VOLATILITY


def _split_like(move: float, volatility: float) -> bool:
    three_for_two = abs(-move - _THREE_FOR_TWO) <= min(2.5 * volatility, 0.10) and -move > _VIOLENT * volatility
    return three_for_two or bool((np.abs(abs(move) - _FACTORS) <= min(max(4 * volatility, 0.03), 0.15)).any())
