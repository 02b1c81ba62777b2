"""Sharpe ratio and profit a trade, live beside what the backtest promised, with a light for each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final, Literal

import numpy as np
from pydantic import Field

from core.deployments import label_of
from monitoring.performance.comparisons import FEWEST_PROMISED, YEARLY
from monitoring.performance.expectation import SUM
from monitoring.performance.sequential import FEWEST
from pipeline.views.columns import on_sessions
from pipeline.views.view import Row
from research.statistics import mean_interval, sharpe_interval, sharpe_ratio

if TYPE_CHECKING:
    from monitoring.performance.expectation import Expectation
    from research.statistics import Interval
    from storage.views.live_record import Array, CashMoved, ClosedTrades, Closes

Light = Literal["green", "yellow", "red", "not enough"]
GREEN: Final = "green"
YELLOW: Final = "yellow"
RED: Final = "red"
NOT_ENOUGH: Final = "not enough"
DARKER: Final = (NOT_ENOUGH, GREEN, YELLOW, RED)  # a row has the darkest of its lights
RED_BELOW: Final = 0.8  # of the backtest's

Figure = Annotated[float | None, Field(description="null: not defined, or nothing is promised.")]


class LiveComparison(Row):
    """A sleeve, or the whole book, beside its backtest; intervals are of 95 %."""

    sleeve: Annotated[str, Field(description="Name of the sleeve; empty for the whole book.")]
    label: Annotated[str, Field(description="The same for people.")]
    backtest_sharpe: Figure
    live_sharpe: Figure
    live_sharpe_low: Figure
    live_sharpe_high: Figure
    sharpe_delta: Annotated[float | None, Field(description="Live less backtest.")]
    sharpe_light: Light
    backtest_profit_pct: Annotated[float | None, Field(description="Mean net return of a trade, in percent.")]
    live_profit_pct: Figure
    live_profit_low_pct: Figure
    live_profit_high_pct: Figure
    profit_delta_pct: Annotated[float | None, Field(description="Live less backtest, in percentage points.")]
    profit_light: Light
    backtest_trades: int | None
    backtest_sessions: int | None
    trades: Annotated[int, Field(description="Closed trades on record.")]
    sessions: Annotated[int, Field(description="Closes on record.")]
    light: Annotated[Light, Field(description="The worse of the two lights; red: under 0.8 of the backtest's.")]
    reason: Annotated[str, Field(description="The reason of a light that is `not enough`; else empty.")]


@dataclass(frozen=True)
class _Compared:
    """A figure, live and promised, with its light and the reason of one that is not enough."""

    backtest: float | None
    live: float | None
    low: float | None
    high: float | None
    light: Light
    reason: str

    @property
    def delta(self) -> float | None:
        """Live less backtest."""
        return None if self.live is None or self.backtest is None else self.live - self.backtest


def compare_book(
    closes: Closes, cash: CashMoved, trades: ClosedTrades, promised: dict[str, Expectation], sleeves: list[str]
) -> list[LiveComparison]:
    """Return the row of the book and one for each sleeve.

    A sleeve's sessions earn what its trades closed in them earned, live and in its backtest; the book's earn what its equity
    moved, deposits and withdrawals left out.
    """
    rows = [_row(SUM, _returns(closes, cash), trades.net_returns, len(closes.sessions), promised.get(SUM))]
    last = closes.sessions[-1:]
    for sleeve in sleeves:
        mine = trades.sleeves == sleeve
        net, days = trades.net_returns[mine], trades.exit_sessions[mine]
        daily = on_sessions(net, np.minimum(days, last) if len(last) else days, closes.sessions)
        rows.append(_row(sleeve, daily, net, len(closes.sessions), promised.get(sleeve)))
    return rows


def light_of(live: float, backtest: float) -> Light:
    """Return the light of a live figure; under a backtest that promises nothing there is no yellow.

    >>> light_of(1.0, 1.0), light_of(0.8, 1.0), light_of(0.79, 1.0), light_of(-0.2, -0.1)
    ('green', 'yellow', 'red', 'red')
    """
    if live >= backtest:
        return GREEN
    return YELLOW if backtest > 0 and live >= RED_BELOW * backtest else RED


def _row(sleeve: str, daily: Array, net: Array, sessions: int, promised: Expectation | None) -> LiveComparison:
    sharpe_promise, profit_promise = (None, None) if promised is None else (promised.sharpe, promised.profit)
    sharpe = _compared(
        None if sharpe_promise is None else sharpe_promise.mean * YEARLY,
        sharpe_ratio(daily),
        _interval(True, daily.tobytes()),
        _too_little(promised, len(daily), "sessions"),
    )
    profit = _compared(
        None if profit_promise is None else 100 * profit_promise.mean,
        100 * float(net.mean()) if len(net) else None,
        _interval(False, (100 * net).tobytes()),
        _too_little(promised, len(net), "closed trades"),
    )
    return LiveComparison(
        sleeve=sleeve,
        label=label_of(sleeve) if sleeve else "book",
        backtest_sharpe=sharpe.backtest,
        live_sharpe=sharpe.live,
        live_sharpe_low=sharpe.low,
        live_sharpe_high=sharpe.high,
        sharpe_delta=sharpe.delta,
        sharpe_light=sharpe.light,
        backtest_profit_pct=profit.backtest,
        live_profit_pct=profit.live,
        live_profit_low_pct=profit.low,
        live_profit_high_pct=profit.high,
        profit_delta_pct=profit.delta,
        profit_light=profit.light,
        backtest_trades=None if promised is None else promised.trades,
        backtest_sessions=None if promised is None else promised.sessions,
        trades=len(net),
        sessions=sessions,
        light=max(sharpe.light, profit.light, key=DARKER.index),
        reason=" ".join(dict.fromkeys(each.reason for each in (sharpe, profit) if each.reason)),
    )


def _compared(backtest: float | None, live: float | None, interval: Interval | None, too_little: str) -> _Compared:
    low, high = (None, None) if interval is None else interval
    if too_little:
        return _Compared(backtest, live, low, high, NOT_ENOUGH, too_little)
    if backtest is None or live is None:
        which = "backtest" if backtest is None else "record"
        return _Compared(backtest, live, low, high, NOT_ENOUGH, f"The {which} does not vary: a figure is not defined.")
    return _Compared(backtest, live, low, high, light_of(live, backtest), "")


def _too_little(promised: Expectation | None, n: int, what: str) -> str:
    """Return why nothing can be compared; "" when there is enough."""
    if promised is None:
        return "No backtest is on record."
    if promised.trades < FEWEST_PROMISED:
        return f"The backtest has {promised.trades} trades; {FEWEST_PROMISED} are needed."
    return f"{n} {what} so far; {FEWEST} are needed." if n < FEWEST else ""


def _returns(closes: Closes, cash: CashMoved) -> Array:
    """Return the return of each session after the first."""
    equity = closes.equity_usd
    moved = on_sessions(cash.transferred_usd, cash.sessions, closes.sessions)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((equity[1:] - moved[1:]) / equity[:-1] - 1, dtype=np.float64)


@lru_cache(maxsize=64)
def _interval(is_sharpe: bool, values: bytes) -> Interval | None:
    """Return the bootstrapped interval of a Sharpe ratio or a mean; resampling takes long, and a record changes once a day."""
    return (sharpe_interval if is_sharpe else mean_interval)(np.frombuffer(values, dtype=np.float64))
