"""Looks for look-ahead: recomputes on cut-off and on falsified futures and compares bit for bit. It trusts no promise.

A value of session t that changes when bars after t are taken away, or replaced by noise, knew them. Rows on which nothing fired
are compared like all others. For what is decided at an open, the rest of the decision's own bar counts as future too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Compute = Callable[[pd.DataFrame], pd.DataFrame]

WARM_UP_SKIP = 250  # bars taken away to see what remembers them
AFTER_THE_OPEN = ("high", "low", "close", "adj_close", "volume")
DECIDED_AT_OPEN = ("entry", "stop_pct", "target_pct", "strength")


@dataclass(frozen=True)
class Leak:
    """A column that knew the future.

    Attributes
    ----------
    column, symbol
        What leaked, and where it was seen.
    session
        First session whose value changed.
    known_until
        The last session that was left untouched.
    how
        `cut` (later bars taken away), `noise` (replaced) or `own bar` (the rest of the bar after its open).
    """

    column: str
    symbol: str
    session: pd.Timestamp
    known_until: pd.Timestamp
    how: str


def find_leaks(
    compute: Compute,
    bars: Mapping[str, pd.DataFrame],
    *,
    cuts: int = 1000,
    seed: int = 7,
    decided_at_open: Sequence[str] = (),
) -> list[Leak]:
    """Compare `compute` on every bar with `compute` on falsified ones; one leak a column, the first that was seen.

    Parameters
    ----------
    compute
        From the bars of one symbol (BARS and `vix`) to a frame with one row a bar.
    bars
        Bars by symbol.
    cuts
        Random (symbol, session) pairs, each tried both ways.
    decided_at_open
        Columns that may use no more of their own bar than its open.

    Raises
    ------
    DataError
        When a symbol has fewer than three bars, or `compute` gives other than one row a bar.
    """
    rng = np.random.default_rng(seed)
    symbols = sorted(bars)
    short = [symbol for symbol in symbols if len(bars[symbol]) < 3]  # noqa: PLR2004
    if short or not symbols:
        raise DataError(f"Leak check: expected symbols with three bars or more, found {short or 'none'}. Load more history.")
    whole = {symbol: _computed(compute, bars[symbol]) for symbol in symbols}
    found: dict[str, Leak] = {}
    for _ in range(cuts):
        symbol = symbols[rng.integers(len(symbols))]
        frame, truth = bars[symbol], whole[symbol]
        cut = int(rng.integers(1, len(frame)))
        trials: list[tuple[str, pd.DataFrame, int, Sequence[str]]] = [
            ("cut", frame.iloc[:cut], cut, tuple(truth.columns)),
            ("noise", _falsified(frame, cut, rng), cut, tuple(truth.columns)),
        ]
        if decided_at_open:
            trials.append(("own bar", _own_bar_falsified(frame, cut, rng), cut + 1, decided_at_open))
        for how, falsified, rows, columns in trials:
            again = _computed(compute, falsified.reset_index(drop=True))
            for column in columns:
                first = _first_difference(truth[column].to_numpy()[:rows], again[column].to_numpy()[:rows])
                if first is not None and column not in found:
                    at = frame["session"].iloc
                    found[column] = Leak(column, symbol, at[first], at[cut - 1], how)
    return sorted(found.values(), key=lambda leak: leak.column)


def with_errors(bars: Mapping[str, pd.DataFrame], *, share: float = 0.04, seed: int = 7) -> dict[str, pd.DataFrame]:
    """Return the bars with errors planted at random: wrong ticks, missed splits, missing and impossible prices.

    What decides on clean bars decides nothing: a check of the cleaning needs something to clean.
    """
    rng = np.random.default_rng(seed)
    spoiled = {}
    for symbol, frame in bars.items():
        copy = frame.copy()
        close = copy["close"].to_numpy(dtype=np.float64, copy=True)
        for at in np.flatnonzero(rng.random(len(copy)) < share):
            kind = rng.integers(4)
            if kind == 0:
                close[at] *= rng.choice([0.5, 0.7, 1.4, 1.8])
            elif kind == 1:
                close[at : at + rng.integers(1, 20)] *= rng.choice([0.5, 0.25, 2.0])
            else:
                close[at] = np.nan if kind == 2 else rng.choice([0.0, -1.0, np.inf])  # noqa: PLR2004 - the kinds are numbered
        spoiled[symbol] = copy.assign(close=close)
    return spoiled


def warm_up(compute: Compute, bars: pd.DataFrame, *, tolerance: float = 1e-6, skip: int = WARM_UP_SKIP) -> dict[str, int]:
    """Bars that each column needs until it no longer remembers where the history began.

    The same bars with the first `skip` taken away give other values at first; the figure is the number of rows until the two
    agree within `tolerance` (relative above 1, absolute below) and go on agreeing. Averages of a window need their window,
    recursive ones (EMA, RSI, ADX) several times their span.
    """
    long, short = _computed(compute, bars).iloc[skip:], _computed(compute, bars.iloc[skip:].reset_index(drop=True))
    needed = {}
    for column in short.columns:
        old, new = (frame[column].to_numpy(dtype=np.float64) for frame in (long, short))
        agree = np.abs(new - old) <= tolerance * np.maximum(np.abs(old), 1.0)
        agree |= np.isnan(new) & np.isnan(old)
        needed[str(column)] = len(agree) - int(np.argmin(agree[::-1])) if not agree.all() else 0
    return needed


def _computed(compute: Compute, frame: pd.DataFrame) -> pd.DataFrame:
    result = compute(frame).drop(columns="session", errors="ignore")
    if len(result) != len(frame):
        raise DataError(f"Leak check: expected one row a bar ({len(frame)}), found {len(result)}.")
    return result


def _falsified(frame: pd.DataFrame, cut: int, rng: np.random.Generator) -> pd.DataFrame:
    """The bars from `cut` on replaced by plausible ones of another market, VIX included."""
    later = len(frame) - cut
    close = frame["close"].iloc[cut - 1] * np.exp(np.cumsum(rng.normal(0, 0.05, later)))
    open_ = close * np.exp(rng.normal(0, 0.02, later))
    values: dict[str, NDArray[Any]] = {
        "open": open_,
        "high": np.maximum(open_, close) * 1.01,
        "low": np.minimum(open_, close) * 0.99,
        "close": close,
        "adj_close": close,
        "volume": rng.uniform(1e3, 1e7, later),
        "vix": rng.uniform(8, 60, later),
    }
    copy = frame.copy()
    for name, fresh in values.items():
        if name in copy:
            copy[name] = np.concatenate([frame[name].to_numpy(dtype=np.float64)[:cut], fresh])
    return copy


def _own_bar_falsified(frame: pd.DataFrame, at: int, rng: np.random.Generator) -> pd.DataFrame:
    """The bars up to `at`, whose own high, low, close and volume are replaced."""
    copy = frame.iloc[: at + 1].copy()
    other = _falsified(copy, at, rng)
    for name in (*AFTER_THE_OPEN, "vix"):
        if name in copy:
            copy[name] = other[name]
    open_ = copy["open"].iloc[-1]
    copy.loc[copy.index[-1], "high"] = max(open_, copy["close"].iloc[-1]) * 1.01
    copy.loc[copy.index[-1], "low"] = min(open_, copy["close"].iloc[-1]) * 0.99
    return copy


def _first_difference(one: NDArray[Any], other: NDArray[Any]) -> int | None:
    """Position of the first element that is not the same, missing values being the same as each other."""
    same = (one == other) | (pd.isna(one) & pd.isna(other))
    return None if same.all() else int(np.argmin(same))
