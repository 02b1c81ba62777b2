"""The scorecard: each success criterion of the desk as asked and as measured, with a 95 % interval and a verdict.

Pure. A figure that nobody measured is said to be so; one of too few observations is no verdict.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from research.statistics import (
    FEWEST_OBSERVATIONS,
    Interval,
    deepest_fall,
    drawdown_interval,
    mean_interval,
    profit_factor_interval,
    share_interval,
    sharpe_interval,
    sharpe_ratio,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MET: Final = "met"
BY_ESTIMATE: Final = "met by the estimate, not by the interval"
NOT_MET: Final = "not met"
NOT_ENOUGH: Final = "not enough"
NOT_MEASURED: Final = "not measured"
BOOTSTRAP: Final = "stationary bootstrap"
WILSON: Final = "Wilson"
RANKS: Final = "binomial ranks"
WEEKS_A_YEAR: Final = 52
MONTHS_A_YEAR: Final = 12


@dataclass(frozen=True)
class Criterion:
    """The bounds asked of a figure, in its unit; `low` and `high` are allowed themselves unless `strict`."""

    name: str
    label: str
    unit: str
    low: float = -math.inf
    high: float = math.inf
    strict: bool = False

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        unit = f" {self.unit}" if self.unit else ""
        if math.isinf(self.high):
            return f"{'above' if self.strict else 'at least'} {self.low:g}{unit}"
        return f"under {self.high:g}{unit}" if math.isinf(self.low) else f"{self.low:g} to {self.high:g}{unit}"

    def holds(self, value: float) -> bool:
        """Return True when a value is as asked."""
        return self.low < value < self.high if self.strict else self.low <= value <= self.high


CRITERIA: Final = (
    Criterion("profit_per_trade", "Profit a trade", "%", low=1.0),
    Criterion("sharpe_least", "Sharpe ratio", "", low=0.8, strict=True),
    Criterion("sharpe_wanted", "Sharpe ratio", "", low=1.5, strict=True),
    Criterion("drawdown_wanted", "Max drawdown", "%", high=2.0, strict=True),
    Criterion("drawdown_most", "Max drawdown", "%", high=15.0, strict=True),
    Criterion("trades_a_week", "Trades a week", "", low=6.0, high=9.0),
    Criterion("win_rate", "Win rate", "%", low=65.0, high=75.0),
    Criterion("profit_factor", "Profit factor", "", low=1.5),
    Criterion("trades_a_month", "Trades a month", "", low=4.0),
    Criterion("live_profit", "Live profit a trade, of the backtest's", "%", low=80.0, high=120.0),
    Criterion("live_sharpe", "Live Sharpe ratio, of the backtest's", "%", low=80.0, high=120.0),
    Criterion("api_p99", "API latency, 99th percentile", "ms", high=100.0, strict=True),
    Criterion("sixty_backtests", "60 backtests", "s", high=600.0, strict=True),
)


@dataclass(frozen=True)
class Estimate:
    """A measured figure in the criterion's unit; `value` None: not defined for so few observations."""

    value: float | None
    interval: Interval | None
    n: int
    method: str
    detail: str = ""


@dataclass(frozen=True)
class Record:
    """The record of a backtest or of a book.

    Attributes
    ----------
    trades
        Finished trades: entry_session, net_return (a fraction), pnl_usd.
    sessions
        (sessions,) ascending.
    returns
        (sessions,) of the equity, simple, deposits and withdrawals left out.
    """

    trades: pd.DataFrame
    sessions: pd.DatetimeIndex
    returns: Array
    periods_a_year: float

    @property
    def net_pct(self) -> Array:
        """Net return of each trade in per cent, in the order of entry."""
        return 100 * self._in_time("net_return")

    @property
    def profits_usd(self) -> Array:
        """Profit of each trade, in the order of entry."""
        return self._in_time("pnl_usd")

    def _in_time(self, name: str) -> Array:
        values: Array = self.trades.sort_values("entry_session", kind="stable")[name].to_numpy(dtype=np.float64)
        return values


@dataclass(frozen=True)
class Row:
    """A line of the scorecard; `low` and `high` None where there is no interval, or where an end has no bound."""

    name: str
    criterion: str
    asked: str
    measured: float | None
    low: float | None
    high: float | None
    unit: str
    n: int
    method: str
    verdict: str
    detail: str

    @property
    def sentence(self) -> str:
        """The row in one line."""
        shown = _shown(self)
        ends = "" if shown["95 % interval"] == "-" else f" ({shown['95 % interval']})"
        return f"{self.criterion}: {shown['measured']}{ends}, asked {self.asked}: {shown['verdict']}"


@dataclass(frozen=True)
class Scorecard:
    """Every criterion of one source: `source` names what was measured, `first` and `last` its sessions (ISO dates)."""

    source: str
    first: str | None
    last: str | None
    rows: tuple[Row, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    def count(self, verdict: str) -> int:
        """Return the number of rows with a verdict."""
        return sum(row.verdict == verdict for row in self.rows)

    @property
    def summary(self) -> str:
        """The verdicts in one sentence."""
        counted = [(name, self.count(name)) for name in (MET, BY_ESTIMATE, NOT_MET, NOT_ENOUGH, NOT_MEASURED)]
        return f"{len(self.rows)} criteria: " + ", ".join(f"{many} {name}" for name, many in counted if many) + "."

    def table(self) -> pd.DataFrame:
        """Return the rows as text, as a report shows them."""
        return pd.DataFrame([_shown(row) for row in self.rows])


def make_scorecard(source: str, record: Record, others: Mapping[str, Estimate | str]) -> Scorecard:
    """Return the scorecard of a record.

    Parameters
    ----------
    others
        Estimates of criteria that the record does not hold, by name; or a sentence that says why one was not measured.
    """
    estimates: dict[str, Estimate | str] = {**estimates_of(record), **others}
    rows = tuple(_row(each, estimates.get(each.name, "")) for each in CRITERIA)
    first, last = (f"{day:%Y-%m-%d}" for day in record.sessions[[0, -1]]) if len(record.sessions) else (None, None)
    return Scorecard(source, first, last, rows)


def estimates_of(record: Record) -> dict[str, Estimate]:
    """Return the estimates that a record alone gives, by criterion."""
    sharpe, drawdown = sharpe_of(record), drawdown_of(record)
    return {
        "profit_per_trade": profit_of(record),
        "sharpe_least": sharpe,
        "sharpe_wanted": sharpe,
        "drawdown_wanted": drawdown,
        "drawdown_most": drawdown,
        "trades_a_week": _frequency(record, WEEKS_A_YEAR),
        "win_rate": _win_rate(record),
        "profit_factor": _profit_factor(record),
        "trades_a_month": _frequency(record, MONTHS_A_YEAR),
    }


def profit_of(record: Record) -> Estimate:
    """Return the mean net return of a trade, in per cent."""
    net = record.net_pct
    return Estimate(float(net.mean()) if len(net) else None, mean_interval(net), len(net), BOOTSTRAP)


def sharpe_of(record: Record) -> Estimate:
    """Return the annualised Sharpe ratio."""
    returns, yearly = record.returns, record.periods_a_year
    value, interval = sharpe_ratio(returns, periods_a_year=yearly), sharpe_interval(returns, periods_a_year=yearly)
    return Estimate(value, interval, len(returns), BOOTSTRAP)


def drawdown_of(record: Record) -> Estimate:
    """Return the deepest fall in per cent; where the equity never moved there is none to speak of."""
    if not np.any(record.returns):
        return Estimate(None, None, 0, BOOTSTRAP, "no session moved the equity")
    interval = drawdown_interval(record.returns)
    return Estimate(100 * deepest_fall(record.returns), _times(interval, 100.0), len(record.returns), BOOTSTRAP)


def relative(live: Estimate, reference: Estimate) -> Estimate | str:
    """Return a live figure and its interval in per cent of a backtest's estimate, which must be above zero."""
    if reference.value is None or live.value is None:
        return Estimate(None, None, live.n, live.method, f"{reference.n} in the backtest")
    if reference.value <= 0:
        return f"the backtest's is {reference.value:.3g}: no share of it is defined"
    share = 100 / reference.value
    detail = f"the backtest's {reference.value:.3g} of {reference.n} is taken as given"
    return Estimate(live.value * share, _times(live.interval, share), live.n, live.method, detail)


def total_seconds(seconds: Array, many: int) -> Estimate:
    """Return the time of `many` backtests one after another, from the time that each of some took."""
    mean = float(seconds.mean()) if len(seconds) else None
    interval = _times(mean_interval(seconds), float(many))
    return Estimate(
        None if mean is None else many * mean, interval, len(seconds), BOOTSTRAP, "one after another, on this machine"
    )


def _frequency(record: Record, spans_a_year: int) -> Estimate:
    """Return trades a week or month, from their number in each run of as many sessions as one has."""
    size = max(round(record.periods_a_year / spans_a_year), 1)
    entered = record.sessions.searchsorted(pd.DatetimeIndex(record.trades["entry_session"]))
    each = np.bincount(entered, minlength=len(record.sessions))[: len(record.sessions)]
    whole = len(each) // size
    spans = each[: whole * size].reshape(whole, size).sum(axis=1).astype(np.float64)
    trades = len(record.trades)
    value = trades * size / len(each) if trades and len(each) else None
    return Estimate(value, mean_interval(spans) if trades else None, whole, BOOTSTRAP, f"{trades} trades")


def _win_rate(record: Record) -> Estimate:
    won, trades = int((record.net_pct > 0).sum()), len(record.trades)
    interval = _times(share_interval(won, trades), 100.0)
    return Estimate(100 * won / trades if trades else None, interval, trades, WILSON)


def _profit_factor(record: Record) -> Estimate:
    profits = record.profits_usd
    lost = -float(np.clip(profits, None, 0).sum())
    value = float(np.clip(profits, 0, None).sum()) / lost if lost > 0 else None
    detail = "no losing trade" if len(profits) and value is None else ""
    return Estimate(value, profit_factor_interval(profits) if value is not None else None, len(profits), BOOTSTRAP, detail)


def _row(criterion: Criterion, estimate: Estimate | str) -> Row:
    head = (criterion.name, criterion.label, criterion.bounds)
    if isinstance(estimate, str):
        return Row(*head, None, None, None, criterion.unit, 0, "", NOT_MEASURED, estimate)
    low, high = (None, None) if estimate.interval is None else (_finite(end) for end in estimate.interval)
    verdict = verdict_of(criterion, estimate)
    detail = estimate.detail
    if verdict == NOT_ENOUGH:
        few = f"{estimate.n} of the {FEWEST_OBSERVATIONS} observations it takes"
        detail = "; ".join(part for part in (detail, few if estimate.n < FEWEST_OBSERVATIONS else "no interval") if part)
    return Row(*head, estimate.value, low, high, criterion.unit, estimate.n, estimate.method, verdict, detail)


def verdict_of(criterion: Criterion, estimate: Estimate) -> str:
    """Judge by the interval's ends; without a value or an interval there is not enough to judge by."""
    if estimate.value is None or estimate.interval is None:
        return NOT_ENOUGH
    if not criterion.holds(estimate.value):
        return NOT_MET
    return MET if all(criterion.holds(end) for end in _judged(criterion, estimate.interval)) else BY_ESTIMATE


def _judged(criterion: Criterion, interval: Interval) -> list[float]:
    """Return the unfavourable ends: the low one where a least is asked, the high one where a most is."""
    ends = ((interval.low, criterion.low), (interval.high, criterion.high))
    return [end for end, bound in ends if not math.isinf(bound)]


def _times(interval: Interval | None, factor: float) -> Interval | None:
    return None if interval is None else Interval(interval.low * factor, interval.high * factor)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _shown(row: Row) -> dict[str, Any]:
    unit = f" {row.unit}" if row.unit else ""
    measured = "-" if row.measured is None else f"{row.measured:.2f}{unit}"
    ends = ["no bound" if end is None else f"{end:.2f}" for end in (row.low, row.high)]
    has_interval = row.verdict not in {NOT_ENOUGH, NOT_MEASURED}
    return {
        "criterion": row.criterion,
        "asked": row.asked,
        "measured": measured,
        "95 % interval": f"{ends[0]} to {ends[1]}" if has_interval else "-",
        "n": row.n,
        "interval by": row.method if has_interval else "-",
        "verdict": row.verdict + (f" ({row.detail})" if row.detail else ""),
    }
