"""One line alone, compiled: a strategy on one symbol with all the cash, and the same at many stops, targets and time limits.

The trades and equity are those of `backtest.kernel.simulate` for that line; a test says so.
With one line nothing competes, so the loop jumps from signal to signal and a session without a position costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backtest.kernel import (
    COST,
    ENTRY_FEE,
    EXIT_FEE,
    GOT,
    HOLDING,
    NET,
    PAID,
    PNL,
    Log,
    Terms,
    empty_log,
    follow,
    leaves_at_close,
    next_session,
    write,
)  # fmt: skip
from backtest.metrics import EQUITY_FIGURES, measure_equity, measure_trades
from core.compiled import compiled
from trading.fills import is_tradable
from trading.risk import ACCEPTED, VERDICTS, grant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


EQUITY = len(EQUITY_FIGURES)


class Line(NamedTuple):
    """One symbol's bars and one strategy's signals on them, each (sessions,), and what the strategy declares."""

    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    session_no: NDArray[np.int64]
    entry: NDArray[np.int8]
    exit_long: NDArray[np.bool_]
    exit_short: NDArray[np.bool_]
    enters_at_open: bool
    exits_at_close: bool


@compiled
def run(  # noqa: PLR0917  # numba kernels take positions
    line: Line, stop_pct: Array, target_pct: Array, max_sessions: int, terms: Terms, cash_usd: float, log: Log,
    equity_usd: Array, exposure_usd: Array, refused: NDArray[np.int64],
) -> None:  # fmt: skip
    """Trade the line from its first session to its last, into `log`, `equity_usd`, `exposure_usd` and `refused`.

    Parameters
    ----------
    stop_pct, target_pct
        By session of the decision, (sessions,); NaN = none.
    log
        With room for as many trades as there are entry signals; emptied first.
    """
    open_, high, low, close, number = line.open, line.high, line.low, line.close, line.session_no
    sessions, peak_usd, booked, t = len(open_), cash_usd, 0, 0
    log.used[0] = 0
    refused[:] = 0
    exposure_usd[:] = 0.0
    while t < sessions:
        if line.entry[t] == 0 or not is_tradable(open_[t], high[t], low[t], close[t]):
            t += 1
            continue
        price = open_[t] if line.enters_at_open else close[t]
        shares, verdict = grant(price, stop_pct[t], cash_usd, 0.0, 0, peak_usd, terms.limits)
        refused[verdict] += 1
        entry = t if line.enters_at_open else next_session(number, t)
        if verdict != ACCEPTED or entry >= sessions or not is_tradable(open_[entry], high[entry], low[entry], close[entry]):
            t = max(t + 1, entry) if verdict == ACCEPTED else t + 1
            continue
        side = int(line.entry[t])
        leave = line.exit_long if side > 0 else line.exit_short
        out = follow(
            open_, high, low, close, number, leave, entry, side, stop_pct[t], target_pct[t], max_sessions, line.exits_at_close
        )  # fmt: skip
        n = write(
            log, 0, side, t, entry, out, number[out[0]] - number[entry], side * shares, open_[entry],
            terms.commission_bps, terms.slippage_bps,
        )  # fmt: skip
        equity_usd[booked:entry] = cash_usd
        cash_usd -= side * shares * log.values[PAID, n] + log.values[ENTRY_FEE, n]
        mark = open_[entry]
        for held in range(entry, out[0]):
            if is_tradable(open_[held], high[held], low[held], close[held]):
                mark = close[held]
            equity_usd[held], exposure_usd[held] = cash_usd + side * shares * mark, shares * mark
            peak_usd = max(peak_usd, equity_usd[held])
        cash_usd += side * shares * log.values[GOT, n] - log.values[EXIT_FEE, n]
        peak_usd = max(peak_usd, cash_usd)
        booked = out[0]
        again = out[0] + (line.enters_at_open or leaves_at_close(out[2], line.exits_at_close))
        t = max(t + 1, again)
    equity_usd[booked:] = cash_usd


@compiled
def scan(  # noqa: PLR0917  # numba kernels take positions
    line: Line,
    stops: Array,
    targets: Array,
    limits: NDArray[np.int64],
    terms: Terms,
    cash_usd: float,
    periods: float,
    out: Array,
) -> None:
    """Figures of the line at every point of a grid of exits, into `out`, (points, figures).

    Parameters
    ----------
    stops, targets, limits
        Stop and target in percent (NaN = none) and time limit in sessions (0 = none) of each point, (points,).
    periods
        Sessions a year.
    """
    sessions, size = len(line.open), int(np.count_nonzero(line.entry))
    log = empty_log(size)
    equity_usd, exposure_usd, stop_pct, target_pct = (
        np.zeros(sessions),
        np.zeros(sessions),
        np.zeros(sessions),
        np.zeros(sessions),
    )
    refused = np.zeros(len(VERDICTS), np.int64)
    for p in range(len(stops)):
        stop_pct[:], target_pct[:] = stops[p], targets[p]
        run(line, stop_pct, target_pct, limits[p], terms, cash_usd, log, equity_usd, exposure_usd, refused)
        n = log.used[0]
        out[p, :EQUITY] = measure_equity(equity_usd, exposure_usd, cash_usd, periods)
        out[p, EQUITY:] = measure_trades(
            log.values[NET, :n], log.values[PNL, :n], log.values[COST, :n], log.values[HOLDING, :n], sessions, periods
        )  # fmt: skip
