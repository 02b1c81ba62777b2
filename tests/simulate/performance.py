"""Simulates live years after a backtest and writes the tables of docs/performance.md. `make simulate-performance` runs it.

`python -m tests.simulate.performance [YEARS]`; 500 years a cell (200 where delays are measured) take some minutes on two cores.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from rich.console import Console
from scipy.signal import lfilter

from monitoring.performance.checks import check_gap, check_win_rate
from monitoring.performance.comparisons import COMPARED, LiveRecord, compare_frequency, compare_profit, compare_sharpe
from monitoring.performance.expectation import (
    SUM,
    Expectation,
    daily_sums,
    expectation_from,
)
from monitoring.performance.findings import ALERT
from monitoring.performance.sequential import RESTART_SESSIONS, WINDOW_SESSIONS
from tests.simulate.tables import percent, write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitoring.performance.findings import Finding
    from monitoring.performance.sequential import Array, Days

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
LEVEL, MIN_RATIO = 0.05, 0.8
RATES = (0.1, 0.3, 1.0, 3.0)
DEVIATION = 0.02  # of a trade's net return
FREEDOM = 4  # degrees of Student's t: tails as fat as those of daily returns
LATE = 190  # session at which a late decay begins, between two openings of windows


@dataclass(frozen=True)
class PerformanceWorld:
    """Rate and returns of the trades.

    Attributes
    ----------
    rate
        Entries a session.
    edge
        Mean of a trade over its deviation.
    common
        Share of a trade's variance that it has in common with the others of its session.
    bursts
        Standard deviation of the logarithm of the rate, which returns to its mean within some weeks.
    losses
        True for many small gains and few large losses.
    backtest_sessions
        Length of the backtest behind the promise.
    """

    rate: float = 1.0
    edge: float = 0.2
    common: float = 0.0
    bursts: float = 0.0
    losses: bool = False
    backtest_sessions: int = 5 * WINDOW_SESSIONS


Cell = tuple[object, int, PerformanceWorld, float]  # heading, sleeves, world, share of the edge that is left
WORLDS = {
    "nothing in common": PerformanceWorld(),
    "a market in common": PerformanceWorld(common=0.3),
    "a market in common, trades in bursts": PerformanceWorld(common=0.3, bursts=0.5),
    "many gains, few large losses": PerformanceWorld(losses=True),
    "a backtest of one year": PerformanceWorld(common=0.3, backtest_sessions=WINDOW_SESSIONS),
}
USUAL = "a market in common, trades in bursts"


def false_alarms(years: int) -> str:
    """Share of the years in which profit a trade or Sharpe ratio alarm, of a sleeve or in sum, while the promise is kept."""
    head = ["World", "Sleeves", *(f"{rate:g} a session" for rate in RATES), "1 a session, live = 0.8 x backtest"]
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    cells = [
        (name, sleeves, replace(world, rate=rate), ratio)
        for name, world in WORLDS.items()
        for sleeves in (1, 3)
        for rate, ratio in [*((rate, 1.0) for rate in RATES), (1.0, MIN_RATIO)]
    ]
    shares = [percent(float(np.isfinite(delays).mean())) for delays in _each(_book_delay, cells, years)]
    width = len(RATES) + 1
    rows += [
        f"| {cells[place][0]} | {cells[place][1]} | {' | '.join(shares[place : place + width])} |"
        for place in range(0, len(cells), width)
    ]
    return "\n".join(rows)


def delays(years: int) -> str:
    """Sessions until a decay alarms: share within a year, median and 90 % quantile, one sleeve."""
    head = ("Edge of a trade", "Trades a session", "Left of the edge", "Within a year", "Within two", "Median", "90 %")
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    cells = [
        (edge, 1, replace(WORLDS[USUAL], rate=rate, edge=edge), ratio)
        for edge in (0.1, 0.2, 0.3)
        for rate in RATES
        for ratio in (0.5, 0.0)
    ]
    for (edge, _, world, ratio), waits in zip(cells, _each(_long_delay, cells, years), strict=True):
        rows.append(f"| {edge:g} | {world.rate:g} | {'half' if ratio else 'nothing'} | {_delay_cells(waits)} |")
    return "\n".join(rows)


def late_delays(years: int) -> str:
    """The same for a decay that begins after 190 sessions in which the promise was kept."""
    head = ("Trades a session", "Left of the edge", "Within a year", "Within two", "Median", "90 %")
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    cells = [(LATE, 1, replace(WORLDS[USUAL], rate=rate), ratio) for rate in RATES for ratio in (0.5, 0.0)]
    for (_, _, world, ratio), waits in zip(cells, _each(_late_delay, cells, years), strict=True):
        rows.append(f"| {world.rate:g} | {'half' if ratio else 'nothing'} | {_delay_cells(waits)} |")
    return "\n".join(rows)


def frequencies(years: int) -> str:
    """Share of the years in which the trade frequency alarms, by the live rate."""
    shares = (1.0, 0.5, 0.0, 2.0)
    head = ["Trades a session", "Trades", *(f"{share:g} x the rate" for share in shares), "Median delay of 0.5 x"]
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    cells = [
        (share, 1, replace(WORLDS[name], rate=rate), share)
        for name in ("a market in common", USUAL)
        for rate in RATES
        for share in shares
    ]
    found = _each(_frequency_delay, cells, years)
    for place in range(0, len(cells), len(shares)):
        waits, world = found[place : place + len(shares)], cells[place][2]
        alarms = " | ".join(percent(float(np.isfinite(each).mean())) for each in waits)
        named = "in bursts" if world.bursts else "evenly"
        rows.append(f"| {world.rate:g} | {named} | {alarms} | {_sessions(float(np.median(waits[1])))} |")
    return "\n".join(rows)


def fixed_limits(years: int) -> str:
    """Share of the years in which a fixed limit alarms at least once while the promise is kept."""
    head = ("Check", *(f"{rate:g} a session" for rate in RATES))
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    cells = [("", 1, replace(WORLDS[USUAL], rate=rate), 1.0) for rate in RATES]
    steps = {
        "Win rate of 30 days under 48 %": _win_rate_alarm,
        "The same, and its interval excludes 48 %": _clear_win_rate_alarm,
        "No entry for longer than 99 % of the gaps": _gap_alarm,
    }
    for name, step in steps.items():
        shares = [percent(float(np.isfinite(found).mean())) for found in _each(step, cells, max(years // 10, 20))]
        rows.append(f"| {name} | {' | '.join(shares)} |")
    return "\n".join(rows)


def first_alarm(look: Callable[[int], Finding], sessions: int, level: float) -> float:
    """Return the first session whose evening alarms, infinity without one.

    Within half a year the same windows are open, so that a p-value can only fall: the evenings before it is low enough need not
    be looked at.
    """

    def clear(today: int) -> bool:
        p_value = look(today).p_value
        return p_value is not None and p_value < level

    for start in range(0, sessions, RESTART_SESSIONS):
        low, high = start, min(start + RESTART_SESSIONS, sessions) - 1
        if not clear(high):
            continue
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if clear(middle) else (middle + 1, high)
        for today in range(low, min(start + RESTART_SESSIONS, sessions)):
            if look(today).verdict == ALERT:
                return float(today)
    return float("inf")


def trades_in(world: PerformanceWorld, sessions: int, rng: np.random.Generator, edges: Array) -> tuple[Days, Array]:
    """Draw the session and the net return of each trade; `edges` (sessions,) is the mean over the deviation by session."""
    swings = np.zeros(sessions)
    if world.bursts:
        swings = lfilter([1.0], [1.0, -0.9], rng.normal(0, world.bursts * np.sqrt(1 - 0.9**2), sessions))
    counts = rng.poisson(world.rate * np.exp(swings - world.bursts**2 / 2))
    days = np.repeat(np.arange(sessions), counts)
    shared, own = (rng.standard_t(FREEDOM, size) / np.sqrt(2) for size in (sessions, len(days)))
    if world.losses:  # a gamma's long tail, turned downwards
        own = 1 - rng.gamma(1.0, 1.0, len(days))
    noise = np.sqrt(world.common) * shared[days] + np.sqrt(1 - world.common) * own
    return days, DEVIATION * (edges[days] + noise)


def promised(world: PerformanceWorld, rng: np.random.Generator) -> Expectation:
    """Return what a backtest of that world promises."""
    days, net = trades_in(world, world.backtest_sessions, rng, np.full(world.backtest_sessions, world.edge))
    return _expected(days, net, world.backtest_sessions)


def record_until(today: int, days: Days, net: Array) -> LiveRecord:
    """Return the live record as an evening sees it."""
    known = days <= today
    return LiveRecord(net[known], days[known], days[known], daily_sums(net[known], days[known], today + 1), today + 1)


def main() -> None:
    years = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    fewer = max(years * 2 // 5, 1)
    steps = {false_alarms: years, delays: fewer, late_delays: fewer, frequencies: fewer, fixed_limits: fewer}
    for step, number in steps.items():
        with Console().status(f"{step.__name__}, {number:,} years a cell ..."):
            write_table(DOCUMENT, step.__name__.replace("_", "-"), step(number))
        Console().print(f"{step.__name__}: written to {DOCUMENT.name}")


def _each(step: Callable[..., float], cells: Sequence[Cell], years: int) -> list[Array]:
    """Return the delays of each cell, every year from its own seed."""

    def cell(place: int, part: Cell) -> Array:
        _, sleeves, world, ratio = part
        return np.array([step(world, sleeves, ratio, np.random.default_rng([place, year])) for year in range(years)])

    found: list[Array] = Parallel(n_jobs=2)(delayed(cell)(place, part) for place, part in enumerate(cells))
    return found


def _book_delay(world: PerformanceWorld, sleeves: int, ratio: float, rng: np.random.Generator, sessions: int = 252) -> float:
    """Return the first alarm of any comparison of a book in which each sleeve has its share of the trades."""
    edges = np.full(sessions, ratio * world.edge)
    past, net = trades_in(world, world.backtest_sessions, rng, np.full(world.backtest_sessions, world.edge))
    days, earned = trades_in(world, sessions, rng, edges)
    owners, live_owners = rng.integers(0, sleeves, len(past)), rng.integers(0, sleeves, len(days))
    judged = [(np.ones(len(past), bool), np.ones(len(days), bool))]
    if sleeves > 1:
        judged += [(owners == each, live_owners == each) for each in range(sleeves)]
    found = [
        _first_of_both(
            _expected(past[before], net[before], world.backtest_sessions), days[now], earned[now], sessions, len(judged)
        )
        for before, now in judged
    ]
    return min(found)


def _long_delay(world: PerformanceWorld, sleeves: int, ratio: float, rng: np.random.Generator) -> float:
    return _book_delay(world, sleeves, ratio, rng, sessions=3 * WINDOW_SESSIONS)


def _late_delay(world: PerformanceWorld, sleeves: int, ratio: float, rng: np.random.Generator) -> float:
    """Return the delay since the decay began; an alarm before it is left out as none of it."""
    sessions = LATE + 3 * WINDOW_SESSIONS
    expected = promised(world, rng)
    edges = world.edge * np.where(np.arange(sessions) < LATE, 1.0, ratio)
    days, net = trades_in(world, sessions, rng, edges)
    found = _first_of_both(expected, days, net, sessions, sleeves) - LATE
    return found if found >= 0 else float("nan")


def _first_of_both(expected: Expectation, days: Days, net: Array, sessions: int, books: int) -> float:
    level = LEVEL / books
    found = []
    for compare in (compare_profit, compare_sharpe):

        def look(today: int, compare: Callable[..., Finding] = compare) -> Finding:
            return compare(record_until(today, days, net), expected, SUM, min_ratio=MIN_RATIO, level=level)

        found.append(first_alarm(look, sessions, level / COMPARED))
    return min(found)


def _frequency_delay(world: PerformanceWorld, _: int, share: float, rng: np.random.Generator) -> float:
    sessions = WINDOW_SESSIONS
    expected = promised(world, rng)
    days, net = trades_in(replace(world, rate=share * world.rate), sessions, rng, np.full(sessions, world.edge))
    return first_alarm(
        lambda today: compare_frequency(record_until(today, days, net), expected, SUM, level=LEVEL), sessions, LEVEL
    )


def _clear_win_rate_alarm(world: PerformanceWorld, _: int, ratio: float, rng: np.random.Generator) -> float:
    return _win_rate_alarm(world, _, ratio, rng, clear=True)


def _win_rate_alarm(world: PerformanceWorld, _: int, ratio: float, rng: np.random.Generator, *, clear: bool = False) -> float:
    sessions = _calendar(WINDOW_SESSIONS)
    days, net = trades_in(world, len(sessions), rng, np.full(len(sessions), ratio * world.edge))
    trades = pd.DataFrame({"exit_session": sessions[days], "net_return": net})
    for today, session in enumerate(sessions):
        found = check_win_rate(trades, session.date(), window_days=30, min_rate_pct=48, min_trades=20)
        if found.verdict == ALERT and not (clear and found.may_be_luck):
            return float(today)
    return float("inf")


def _gap_alarm(world: PerformanceWorld, _: int, ratio: float, rng: np.random.Generator) -> float:
    expected = promised(world, rng)
    days, net = trades_in(world, WINDOW_SESSIONS, rng, np.full(WINDOW_SESSIONS, ratio * world.edge))
    for today in range(WINDOW_SESSIONS):
        live = record_until(today, days, net)
        if check_gap(live.waiting_sessions, len(live.entry_days), expected, SUM).verdict == ALERT:
            return float(today)
    return float("inf")


def _expected(days: Days, net: Array, sessions: int) -> Expectation:
    """Return the promise of trades that are entered and closed in one session."""
    return expectation_from(net, days, days, daily_sums(net, days, sessions), sessions)


@lru_cache
def _calendar(sessions: int) -> pd.DatetimeIndex:
    return pd.bdate_range("2000-01-03", periods=sessions)


def _delay_cells(waits: Array) -> str:
    waits = waits[~np.isnan(waits)]
    within = [percent(float((waits < years * WINDOW_SESSIONS).mean())) for years in (1, 2)]
    ends = [_sessions(float(np.quantile(waits, share, method="higher"))) for share in (0.5, 0.9)]
    return " | ".join([*within, *ends])


def _sessions(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "over three years"


if __name__ == "__main__":
    from tests.simulate import performance

    performance.main()  # under its own name, which worker processes can import
