"""Comparisons of a live record with its backtest: profit a trade, Sharpe ratio, trade frequency. Arrays in, findings out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from monitoring.performance.findings import ALERT, FREQUENCY, NOT_ENOUGH, OK, PROFIT, SHARPE, Finding, not_enough
from monitoring.performance.sequential import (
    FEWEST,
    WINDOW_SESSIONS,
    Promise,
    Reading,
    read_windows,
    running_mean,
    running_sharpe,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitoring.performance.expectation import Expectation
    from monitoring.performance.sequential import Array, Days

NO_BACKTEST: Final = "No backtest is on record."
YEARLY: Final = math.sqrt(WINDOW_SESSIONS)
FEWEST_PROMISED: Final = 30  # trades of a backtest from which it promises anything
COMPARED: Final = 1.4  # profit a trade and Sharpe ratio share a level; not 2, for they fall together (docs/performance.md)


@dataclass(frozen=True)
class LiveRecord:
    """The live record of a sleeve, or of the sum.

    Attributes
    ----------
    net_returns, exit_days
        (trades,) of closed trades in the order of their exits, with the session number of each, the first live session being 0.
    entry_days
        (entries,) session number of each entry, of open trades too.
    daily
        (sessions,) return of each session, or sum of the net returns closed in it.
    sessions
        Live sessions so far.
    """

    net_returns: Array
    exit_days: Days
    entry_days: Days
    daily: Array
    sessions: int

    @property
    def waiting_sessions(self) -> int:
        """Sessions since the last entry; without one since the first session."""
        return self.sessions - 1 - int(self.entry_days.max() if len(self.entry_days) else 0)


@dataclass(frozen=True)
class _Figure:
    """A figure that a backtest promises, and its words."""

    kind: str
    name: str
    unit: Callable[[float], str]
    estimate: Callable[[Array], Array]
    what: str


_PROFIT = _Figure(PROFIT, "Profit a trade", lambda value: f"{100 * value:+.2f} %", running_mean, "trades")
_SHARPE = _Figure(SHARPE, "Sharpe ratio", lambda value: f"{YEARLY * value:+.2f}", running_sharpe, "sessions")


def compare_profit(live: LiveRecord, expected: Expectation | None, sleeve: str, *, min_ratio: float, level: float) -> Finding:
    """Compare the net return of a trade with the backtest's; see `docs/performance.md` for the test.

    Parameters
    ----------
    min_ratio
        Share of the promise below which the live figure alerts, once it is beyond luck.
    level
        Probability of a false alarm of this comparison in a year.
    """
    if expected is None or expected.trades < FEWEST_PROMISED:
        return not_enough(PROFIT, sleeve, None, len(live.net_returns), _nothing_promised(expected))
    planned = WINDOW_SESSIONS * expected.trades / max(expected.sessions, 1)
    return _compare(_PROFIT, live.net_returns, live.exit_days, live, expected.profit, sleeve, planned, min_ratio, level)


def compare_sharpe(live: LiveRecord, expected: Expectation | None, sleeve: str, *, min_ratio: float, level: float) -> Finding:
    """Compare the Sharpe ratio of the sessions' returns with the backtest's, as `compare_profit` does."""
    if expected is None or expected.trades < FEWEST_PROMISED:
        return not_enough(SHARPE, sleeve, None, len(live.daily), _nothing_promised(expected))
    days = np.arange(live.sessions - len(live.daily), live.sessions)  # the first close of an equity curve has no return
    return _compare(_SHARPE, live.daily, days, live, expected.sharpe, sleeve, WINDOW_SESSIONS, min_ratio, level)


def compare_frequency(live: LiveRecord, expected: Expectation | None, sleeve: str, *, level: float) -> Finding:
    """Compare the number of entries with the range that the backtest lets expect, both ways."""
    promise = None if expected is None else expected.frequency
    if promise is None:
        text = NO_BACKTEST if expected is None else "The backtest has no entries."
        return not_enough(FREQUENCY, sleeve, None, len(live.entry_days), text)
    counts = np.bincount(live.entry_days, minlength=live.sessions).astype(np.float64)
    days, today = np.arange(live.sessions), live.sessions - 1
    sides = [
        read_windows(counts, days, today, promise, planned=WINDOW_SESSIONS, level=level / 2, above=above)
        for above in (False, True)
    ]
    readings = [reading for reading in sides if reading is not None]
    if not readings:
        text = f"{len(live.entry_days)} entries in {live.sessions} sessions; judged from {FEWEST} sessions on."
        return not_enough(FREQUENCY, sleeve, promise.mean, live.sessions, text)
    reading = min(readings, key=lambda each: each.p_value)
    low, high = max(0.0, promise.mean - reading.margin), promise.mean + reading.margin
    p_value = min(1.0, 2 * reading.p_value)
    outside = p_value < level
    entered, n = round(reading.estimate * reading.count), reading.count
    text = (
        f"{entered} entries in {n} sessions, {math.floor(low * n)} to {math.ceil(high * n)} expected"
        f" ({promise.mean * n:.1f} by the backtest, p {p_value:.3f})."
    )
    return Finding(FREQUENCY, sleeve, ALERT if outside else OK, reading.estimate, promise.mean, (low, high), n, text, p_value)


def _nothing_promised(expected: Expectation | None) -> str:
    if expected is None:
        return NO_BACKTEST
    return f"The backtest has {expected.trades} trades; {FEWEST_PROMISED} are needed."


def _compare(  # noqa: PLR0917  # passes on a comparison's terms
    figure: _Figure,
    values: Array,
    days: Days,
    live: LiveRecord,
    promise: Promise | None,
    sleeve: str,
    planned: float,
    min_ratio: float,
    level: float,
) -> Finding:
    """Return the finding: an alert when the figure is below its share of the promise, and that is beyond luck."""
    if promise is None or promise.mean <= 0:
        words = "is not defined" if promise is None else f"promises nothing: {figure.unit(promise.mean)}"
        text = f"{figure.name} of the backtest {words}."
        return not_enough(figure.kind, sleeve, None, len(values), text)
    asked, own = min_ratio * promise.mean, level / COMPARED
    reading = read_windows(values, days, live.sessions - 1, promise, planned=planned, level=own, estimate=figure.estimate)
    if reading is None:
        text = f"{len(values)} {figure.what} so far; judged from {FEWEST} in a year on."
        return not_enough(figure.kind, sleeve, asked, len(values), text)
    beyond_luck, below = reading.p_value < own, reading.estimate < asked
    interval = (reading.estimate - reading.margin, reading.estimate + reading.margin)
    return Finding(
        kind=figure.kind,
        sleeve=sleeve,
        verdict=ALERT if below and beyond_luck else NOT_ENOUGH if below else OK,
        measured=reading.estimate,
        asked=asked,
        interval=interval,
        n=reading.count,
        text=_words(figure, promise.mean, reading, below=below, beyond_luck=beyond_luck, level=own),
        p_value=reading.p_value,
    )


def _words(figure: _Figure, promised: float, reading: Reading, *, below: bool, beyond_luck: bool, level: float) -> str:
    ratio = reading.estimate / promised
    said = (
        f"{figure.name} {figure.unit(reading.estimate)} over {reading.count} {figure.what},"
        f" {ratio:.2f} of the {figure.unit(promised)} promised (p {reading.p_value:.3f}, needed {level:.3f})"
    )
    if not below:
        return f"{said}."
    return f"{said}: below the promise beyond luck." if beyond_luck else f"{said}: it may be bad luck."
