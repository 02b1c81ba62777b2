"""The feature set beside TA-Lib called bare: nanoseconds a row, growth with the size, memory. `make bench` runs it.

Goal: all features of 500 symbols x 2,520 bars within 1.5 times TA-Lib's own time for the indicators behind them. Bare means its
C functions, their arguments ready, without its Python package, writing into outputs that exist. Both use memory again; the
frame of `build_features` is fresh each time, with its bars checked and its rows dated. Processor time of one thread, the best
of several turns, which the sides take one after another.
"""

from __future__ import annotations

import time
import tracemalloc
from ctypes import CDLL, byref, c_double, c_int, c_void_p
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import talib
from rich.console import Console
from rich.table import Table

from core.frames import BARS, FEATURES
from features.build import build_features, session_tables
from features.matrix import columns_of, fill_features
from tests.bench.peers.document import measured_on, table, write_section
from tests.bench.peers.workload import random_bars

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.matrix import Bars

SIZES = ((125, 2520), (250, 2520), (500, 2520), (500, 1260), (500, 630))  # symbols, bars
TURNS = 5
COLUMNS = ("Symbols x bars", "Features", "TA-Lib bare", "Ratio", "Frame", "Extra memory, MB", "Frame, bytes a row")
INTRODUCTION = """Nanoseconds a row (a bar of a symbol), processor time of one thread. *Features* fills a matrix of {features}
features that is used again, *TA-Lib bare* the outputs of {calls} C calls on the same bars. *Frame* is `build_features`: bars
checked, rows dated, memory fresh. *Extra memory* is the most that filling the matrix holds beside bars and matrix."""

REACH = c_double(2.0), c_double(2.0)  # deviations from the middle to the bands
ONE = c_double(1.0)
SMA, EMA = 0, 1
# Function, inputs, parameters, and bars before the first of its values: once for each output.
CALLS = (
    ("TA_RSI", "c", (14,), (14,)),
    ("TA_MACD", "c", (12, 26, 9), (33, 33, 33)),
    ("TA_ADX", "hlc", (14,), (27,)),
    ("TA_PLUS_DI", "hlc", (14,), (14,)),
    ("TA_MINUS_DI", "hlc", (14,), (14,)),
    ("TA_BBANDS", "c", (20, *REACH, SMA), (19, 19, 19)),
    ("TA_BBANDS", "c", (20, *REACH, EMA), (19, 19, 19)),
    ("TA_ATR", "hlc", (14,), (14,)),
    ("TA_ATR", "hlc", (20,), (20,)),
    ("TA_STDDEV", "c", (20, ONE), (19,)),  # for the volatility
    ("TA_SMA", "c", (20,), (19,)),
    ("TA_SMA", "v", (20,), (19,)),
    ("TA_SMA", "c", (50,), (49,)),
    *(("TA_LINEARREG_SLOPE", "c", (sessions,), (sessions - 1,)) for sessions in (3, 5, 9, 14)),
    ("TA_STDDEV", "c", (20, ONE), (19,)),
    ("TA_SMA", "c", (60,), (59,)),
    ("TA_STDDEV", "c", (60, ONE), (59,)),
    ("TA_ROCP", "c", (1,), (1,)),
)
OUTPUTS = sum(len(lookbacks) for *_, lookbacks in CALLS)


class Measured(NamedTuple):
    """Figures of one size; times in nanoseconds a row, memory in bytes."""

    symbols: int
    bars: int
    ours: float
    bare: float
    frame: float
    extra: float
    frame_bytes: float

    def cells(self) -> list[str]:
        """One row of the table."""
        return [
            f"{self.symbols} x {self.bars:,}",
            f"{self.ours:.0f}",
            f"{self.bare:.0f}",
            f"{self.ours / self.bare:.2f}",
            f"{self.frame:.0f}",
            f"{self.extra / 1e6:.2f}",
            f"{self.frame_bytes:.0f}",
        ]


def bare_calls(bars: Bars, out: np.ndarray, library: CDLL) -> list[partial[int]]:
    """TA-Lib's C functions with their arguments ready, symbol by symbol; outputs as rows of `out`, shape (OUTPUTS, T)."""
    columns = {"h": bars.high, "l": bars.low, "c": bars.close, "v": bars.volume}
    begin, count = byref(c_int()), byref(c_int())
    calls = []
    for _, rows in bars.parts():
        inputs = {name: c_void_p(values.ctypes.data + 8 * rows.start) for name, values in columns.items()}
        first, row, last = out.ctypes.data + 8 * rows.start, 0, c_int(rows.stop - rows.start - 1)
        for name, wanted, parameters, lookbacks in CALLS:
            to = [c_void_p(first + (row + k) * out.strides[0] + 8 * lookback) for k, lookback in enumerate(lookbacks)]
            given = (c_int(0), last, *(inputs[key] for key in wanted), *parameters, begin, count, *to)
            calls.append(partial(getattr(library, name), *given))
            row += len(to)
    return calls


def run_all(calls: list[partial[int]]) -> None:
    """Call each."""
    for call in calls:
        call()


def measure(symbols: int, sessions: int) -> Measured:
    """Time the sides in turns on random walks, then once more while memory is traced."""
    frame = BARS.coerce(pd.concat(random_bars(symbols, sessions).values()))
    vix = frame[frame["symbol"] == "S000"][["session"]].assign(close=20.0)
    bars = columns_of(frame)
    ours, theirs = np.zeros((len(FEATURES), len(frame))), np.zeros((OUTPUTS, len(frame)))
    sides = [
        lambda: fill_features(bars, session_tables(bars, vix), ours),
        partial(run_all, bare_calls(bars, theirs, CDLL(talib._ta_lib.__file__))),
        partial(build_features, frame, vix),
    ]
    sides[1]()
    np.testing.assert_array_equal(theirs[0, 14:sessions], talib.RSI(bars.close[:sessions], 14)[14:])  # it does compute
    best = np.min([[spent(side) for side in sides] for _ in range(TURNS)], axis=0) / len(frame) * 1e9
    return Measured(symbols, sessions, *best, peak(sides[0]), peak(sides[2]) / len(frame))


def spent(side: Callable[[], object]) -> float:
    """Processor time of one call, seconds."""
    started = time.thread_time()
    side()
    return time.thread_time() - started


def peak(side: Callable[[], object]) -> float:
    """Most memory that one call held at once, bytes."""
    tracemalloc.start()
    side()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def growth(found: list[Measured], side: str) -> str:
    """Cost of a symbol as a line in its bars, by least squares over the lengths measured."""
    bars = np.array([size.bars for size in found])
    slope, start = np.polyfit(bars, bars * [getattr(size, side) for size in found], 1)
    return f"{start / 1e3:.0f} µs a symbol and {slope:.0f} ns a bar"


def main() -> None:
    """Measure every size, print the table and write it to docs/benchmarks.md."""
    found = [measure(symbols, sessions) for symbols, sessions in SIZES]
    rows = [size.cells() for size in found]
    shown = Table(*COLUMNS, title="Features")
    for row in rows:
        shown.add_row(*row)
    Console().print(shown)
    largest = [size for size in found if size.symbols == max(SIZES)[0]]
    line = f"The cost is a line in the bars: {growth(largest, 'ours')} here, {growth(largest, 'bare')} in TA-Lib."
    introduction = INTRODUCTION.format(features=len(FEATURES), calls=len(CALLS))
    write_section("features", f"{measured_on()}\n\n{introduction}\n\n{table(COLUMNS, rows)}\n\n{line}")


if __name__ == "__main__":
    main()
