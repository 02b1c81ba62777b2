"""Run every performance check on the records of a book. Frames in, findings out; it loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from monitoring.performance.checks import (
    PERCENT,
    check_correlation,
    check_drawdown,
    check_gap,
    check_model_age,
    check_win_rate,
)
from monitoring.performance.comparisons import (
    LiveRecord,
    compare_frequency,
    compare_profit,
    compare_sharpe,
)
from monitoring.performance.expectation import SUM, daily_sums, equity_returns, session_numbers

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from core.configuration.models import Performance
    from monitoring.performance.expectation import Expectation
    from monitoring.performance.findings import Finding

ENTRIES: Final = ("strategy", "symbol", "entry_session")


@dataclass(frozen=True)
class BookRecord:
    """The records of a book up to the close of a session.

    Attributes
    ----------
    session
        The last session that counts.
    trades
        TRADES; the column strategy has the name of the sleeve.
    positions
        Columns strategy, symbol, entry_session and quantity (signed) of the open positions.
    equity
        Columns session and equity_usd, rising.
    moved_usd
        Deposits less withdrawals by session.
    sessions
        Sessions from the first with an equity to `session`.
    returns
        (sessions, symbols) recent returns of the symbols held.
    model_trained_at, no_model
        Age of the model that decides; the reason when there is none.
    """

    session: dt.date
    trades: pd.DataFrame
    positions: pd.DataFrame
    equity: pd.DataFrame
    moved_usd: Mapping[pd.Timestamp, float]
    sessions: pd.DatetimeIndex
    returns: pd.DataFrame
    model_trained_at: dt.datetime | None
    no_model: str

    @property
    def curve_returns(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return of each session after the first, without deposits and withdrawals."""
        return equity_returns(self.equity, self.moved_usd)


def check_performance(
    book: BookRecord, expectations: Mapping[str, Expectation], limits: Performance, now: dt.datetime
) -> list[Finding]:
    """Return the finding of every check.

    Parameters
    ----------
    expectations
        By sleeve, "" for the sum. A book of one sleeve is compared in sum alone, with either.
    now
        Moment (aware) at which the model's age is measured.
    """
    held = {str(symbol): float(quantity) for symbol, quantity in book.positions.groupby("symbol")["quantity"].sum().items()}
    return [
        check_model_age(book.model_trained_at, now, limits.model_max_age_days, book.no_model),
        check_win_rate(
            book.trades,
            book.session,
            window_days=limits.window_days,
            min_rate_pct=limits.min_win_rate_pct,
            min_trades=limits.min_trades,
        ),
        check_drawdown(book.curve_returns, limits.max_drawdown_pct),
        check_correlation(held, book.returns, limits.max_correlation),
        *_comparisons(book, expectations, limits),
    ]


def live_record(book: BookRecord, sleeve: str = SUM) -> LiveRecord:
    """Return the record of a sleeve, or of the sum; a sleeve's sessions earn what its trades closed in them earned."""
    trades, positions = book.trades, book.positions
    if sleeve != SUM:
        trades, positions = trades[trades["strategy"] == sleeve], positions[positions["strategy"] == sleeve]
    trades = trades.sort_values("exit_session", kind="stable")
    last = len(book.sessions) - 1
    exits = np.clip(session_numbers(trades["exit_session"], book.sessions), 0, last)
    entries = pd.concat([trades["entry_session"], positions["entry_session"]], ignore_index=True)
    net = trades["net_return"].to_numpy(dtype=np.float64)
    return LiveRecord(
        net_returns=net,
        exit_days=exits,
        entry_days=np.sort(np.clip(session_numbers(entries, book.sessions), 0, last)),
        daily=daily_sums(net, exits, len(book.sessions)) if sleeve != SUM else book.curve_returns,
        sessions=len(book.sessions),
    )


def _comparisons(book: BookRecord, expectations: Mapping[str, Expectation], limits: Performance) -> list[Finding]:
    """Compare the sum, and each sleeve where there are several; they share the level."""
    traded = {*book.trades["strategy"], *book.positions["strategy"]}
    sleeves = sorted({*traded, *expectations} - {SUM})
    promised: dict[str, Expectation | None] = dict(expectations)
    if len(sleeves) == 1:
        promised = {SUM: promised.get(SUM) or promised.get(sleeves[0])}
        sleeves = []
    judged = [SUM, *sleeves]
    level = limits.false_alarms_pct / PERCENT / len(judged)
    findings = []
    for sleeve in judged:
        live, expected = live_record(book, sleeve), promised.get(sleeve)
        findings += [
            compare_profit(live, expected, sleeve, min_ratio=limits.min_live_ratio, level=level),
            compare_sharpe(live, expected, sleeve, min_ratio=limits.min_live_ratio, level=level),
            compare_frequency(live, expected, sleeve, level=level),
            check_gap(live.waiting_sessions, len(live.entry_days), expected, sleeve),
        ]
    return findings
