"""One line alone, compiled: a strategy on one symbol with all the cash, and the same at many stops, targets and time limits.

The trades and equity are those of `backtest.kernel.simulate` for that line; a test says so.
With one line nothing competes, so the loop jumps from signal to signal and a session without a position costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from backtest.kernel import ENTRY_FEE, EXIT_FEE, GOT, PAID, CostTerms, Log, write
from backtest.metrics import EQUITY_FIGURES, book_close, book_trade, equity_figures, no_deals, still_curve, trade_figures
from backtest.one_trade import delisting_after, follow, leaves_at_close, next_session, sessions_after
from core.compiled import compiled
from trading.costs import commission_usd, exit_commission_usd, exit_price, outcome, slipped
from trading.fills import is_tradable
from trading.risk import ACCEPTED, grant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest.metrics import Curve, Deals

    Array = NDArray[np.float64]


EQUITY = len(EQUITY_FIGURES)

# Passing so many arrays costs a call more than the few bars that it looks at.
_follow = njit(nogil=True, inline="always")(follow.py_func)  # type: ignore[attr-defined]  # the dispatcher's own function
_write = njit(nogil=True, inline="always")(write.py_func)  # type: ignore[attr-defined]


class Line(NamedTuple):
    """One symbol's bars and one strategy's signals on them, each (sessions,), and what the strategy declares.

    `delisted` and `payout` are those of the symbol in `backtest.kernel.Market`.
    """

    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    session_no: NDArray[np.int64]
    delisted: NDArray[np.int64]
    payout: NDArray[np.float64]
    entry: NDArray[np.int8]
    exit_long: NDArray[np.bool_]
    exit_short: NDArray[np.bool_]
    enters_at_open: bool
    exits_at_close: bool


@compiled
def run(  # noqa: PLR0917  # numba kernels take positions
    line: Line, stop_pct: Array, target_pct: Array, max_sessions: int, terms: CostTerms, cash_usd: float, log: Log,
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
    end, payout = delisting_after(line.delisted, line.payout, 0, sessions)
    log.used[0] = 0
    refused[:] = 0
    exposure_usd[:] = 0.0
    while t < sessions:
        if line.entry[t] == 0 or not is_tradable(open_[t], high[t], low[t], close[t]):
            t += 1
            continue
        if t >= end:
            end, payout = delisting_after(line.delisted, line.payout, t, sessions)
        price = open_[t] if line.enters_at_open else close[t]
        shares, verdict = grant(price, stop_pct[t], cash_usd, 0.0, 0, peak_usd, terms.limits)
        refused[verdict] += 1
        entry = t if line.enters_at_open else next_session(number, t)
        if verdict != ACCEPTED or entry >= end or not is_tradable(open_[entry], high[entry], low[entry], close[entry]):
            t = max(t + 1, entry) if verdict == ACCEPTED else t + 1
            continue
        side = int(line.entry[t])
        leave = line.exit_long if side > 0 else line.exit_short
        out = _follow(
            open_, high, low, close, number, leave, entry, end, payout, side, stop_pct[t], target_pct[t],
            max_sessions, line.exits_at_close,
        )  # fmt: skip
        n = _write(
            log, 0, side, t, entry, out, sessions_after(number, entry, out[0]), side * shares, open_[entry],
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
    terms: CostTerms,
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
    changes, following, sessions = np.empty(len(line.open)), _next_entries(line), len(line.open)
    for p in range(len(stops)):
        curve, deals = _trade(line, following, stops[p], targets[p], limits[p], terms, cash_usd, changes)
        equity_figures(curve, changes, sessions, cash_usd, periods, out[p, :EQUITY])
        trade_figures(deals, sessions, periods, out[p, EQUITY:])


@compiled
def _next_entries(line: Line) -> NDArray[np.int64]:
    """For each session the first from it on at which an entry may be decided; the number of sessions when there is none."""
    sessions = len(line.open)
    following = np.full(sessions + 1, sessions)
    for t in range(sessions - 1, -1, -1):
        wanted = line.entry[t] != 0 and is_tradable(line.open[t], line.high[t], line.low[t], line.close[t])
        following[t] = t if wanted else following[t + 1]
    return following


@compiled
def _trade(  # noqa: PLR0917  # numba kernels take positions
    line: Line, following: NDArray[np.int64], stop_pct: float, target_pct: float, max_sessions: int, terms: CostTerms,
    cash_usd: float, changes: Array,
) -> tuple[Curve, Deals]:  # fmt: skip
    """Do as `run` does with the same exits everywhere, but keep no trade and no curve, only their sums."""
    open_, high, low, close, number = line.open, line.high, line.low, line.close, line.session_no
    curve, deals = still_curve(cash_usd), no_deals()
    sessions, t = len(open_), following[0]
    end, payout = delisting_after(line.delisted, line.payout, 0, sessions)
    while t < sessions:
        if t >= end:
            end, payout = delisting_after(line.delisted, line.payout, t, sessions)
        price = open_[t] if line.enters_at_open else close[t]
        shares, verdict = grant(price, stop_pct, cash_usd, 0.0, 0, curve.peak_usd, terms.limits)
        entry = t if line.enters_at_open else next_session(number, t)
        if verdict != ACCEPTED or entry >= end or not is_tradable(open_[entry], high[entry], low[entry], close[entry]):
            t = following[min(max(t + 1, entry) if verdict == ACCEPTED else t + 1, sessions)]
            continue
        side = int(line.entry[t])
        leave = line.exit_long if side > 0 else line.exit_short
        column, raw_exit, reason = _follow(
            open_, high, low, close, number, leave, entry, end, payout, side, stop_pct, target_pct,
            max_sessions, line.exits_at_close,
        )  # fmt: skip
        spent, got, net, pnl, cost = _settle(side, shares, open_[entry], raw_exit, reason, terms)
        deals = book_trade(deals, net, pnl, cost, float(sessions_after(number, entry, column)))
        cash_usd -= spent
        mark = open_[entry]
        for held in range(entry, column):
            if is_tradable(open_[held], high[held], low[held], close[held]):
                mark = close[held]
            curve = book_close(curve, changes, cash_usd + side * shares * mark, shares * mark)
        cash_usd += got
        curve = book_close(curve, changes, cash_usd, 0.0)
        again = column + (line.enters_at_open or leaves_at_close(reason, line.exits_at_close))
        t = following[min(max(t + 1, again), sessions)]
    return curve, deals


@compiled
def _settle(  # noqa: PLR0917  # numba kernels take positions
    side: int, shares: float, raw_entry: float, raw_exit: float, reason: int, terms: CostTerms
) -> tuple[float, float, float, float, float]:
    """Cash that the entry takes and the exit gives, and the trade's net return, profit and cost."""
    paid, got = slipped(raw_entry, side, terms.slippage_bps), exit_price(raw_exit, reason, side, terms.slippage_bps)
    entry_fee = commission_usd(shares, paid, terms.commission_bps)
    exit_fee = exit_commission_usd(shares, got, reason, terms.commission_bps)
    _, net, pnl, cost = outcome(side, shares, raw_entry, raw_exit, paid, got, entry_fee + exit_fee)
    return side * shares * paid + entry_fee, side * shares * got - exit_fee, net, pnl, cost
