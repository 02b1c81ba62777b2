"""Expected performance of a sleeve, or of a book in sum, as its backtest promised it. Frames in, a record out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pandas as pd

from core.errors import DataError
from monitoring.performance.sequential import Promise
from research.statistics import moments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from monitoring.performance.sequential import Array, Days

SUM: Final = ""  # the sleeve of what concerns the whole book
GAP_QUANTILE: Final = 0.99
BURST_SESSIONS: Final = 42  # entries come in bursts that last longer than what a market does to returns
FEWEST_GAPS: Final = 20
END_OF_DATA: Final = "end_of_data"


@dataclass(frozen=True)
class Expectation:
    """A backtest's promise.

    Attributes
    ----------
    sleeve
        Name of the sleeve, "" for the sum.
    sessions, trades
        Length of the backtest, and its number of closed trades.
    profit
        Net return of a trade, a fraction.
    win_rate
        Share of trades with a net return above zero.
    daily_mean, daily_deviation
        Of the return of a session: of the equity curve, else of the sum of the net returns that closed in it.
    sharpe
        Mean over standard deviation of a session's returns, not annualised.
    frequency
        Entries in a session.
    longest_gap_sessions, gaps
        99th percentile of the sessions from one entry to the next, and the number of such gaps; None of fewer than 20.
    """

    sleeve: str
    sessions: int
    trades: int
    profit: Promise | None
    win_rate: float | None
    daily_mean: float | None
    daily_deviation: float | None
    sharpe: Promise | None
    frequency: Promise | None
    longest_gap_sessions: float | None
    gaps: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for storage as JSON."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Make one from what `as_dict` returned.

        Raises
        ------
        core.errors.DataError
            When fields are missing or unknown.
        """
        promised = {name: stored.get(name) for name in ("profit", "sharpe", "frequency")}
        try:
            made = {name: Promise(**values) if values else None for name, values in promised.items()}
            return cls(**{**stored, **made})
        except TypeError as error:
            raise DataError(f"Expectation: expected the fields of `Expectation.as_dict`, found others ({error}).") from error


def expectation_of(
    trades: pd.DataFrame, equity: pd.DataFrame | None, sessions: pd.DatetimeIndex, sleeve: str = SUM
) -> Expectation:
    """Measure what a backtest promises.

    Parameters
    ----------
    trades
        TRADES of the sleeve. Those closed by the end of the data are no finished trades and are left out of the profits.
    equity
        Columns session and equity_usd of the whole book; None for a sleeve, which has no equity of its own.
    sessions
        Sessions of the backtest, rising.
    """
    closed = trades[trades["reason"] != END_OF_DATA]
    days = session_numbers(closed["exit_session"], sessions)
    order = np.argsort(days, kind="stable")
    net = closed["net_return"].to_numpy(dtype=np.float64)[order]
    daily = daily_sums(net, days[order], len(sessions)) if equity is None else equity_returns(equity)
    entries = session_numbers(trades["entry_session"], sessions)
    return expectation_from(net, days[order], entries, daily, len(sessions), sleeve)


def expectation_from(  # noqa: PLR0917  # a backtest as arrays
    net: Array, exits: Days, entries: Days, daily: Array, sessions: int, sleeve: str = SUM
) -> Expectation:
    """Measure the same from arrays.

    Parameters
    ----------
    net, exits
        (trades,) net return of each closed trade, and the number of the session that closed it, rising.
    entries
        (entries,) number of the session of each entry.
    daily
        (sessions,) returns.
    """
    gaps = np.diff(np.unique(entries))
    return Expectation(
        sleeve=sleeve,
        sessions=sessions,
        trades=len(net),
        profit=Promise.of(net, exits),
        win_rate=float((net > 0).mean()) if len(net) else None,
        daily_mean=float(daily.mean()) if len(daily) else None,
        daily_deviation=float(daily.std(ddof=1)) if len(daily) > 1 else None,
        sharpe=sharpe_promise(daily),
        frequency=frequency_promise(entries, sessions),
        longest_gap_sessions=float(np.quantile(gaps, GAP_QUANTILE, method="higher")) if len(gaps) >= FEWEST_GAPS else None,
        gaps=len(gaps),
    )


def sharpe_promise(daily: Array) -> Promise | None:
    """Return the Sharpe ratio a session with its error; None where it is not defined.

    The error is that of Mertens (2002), `sqrt((1 - skewness * SR + (kurtosis - 1) / 4 * SR ** 2) / T)`, times what the order
    of time adds to the error of the mean.
    """
    found, mean = moments(daily), Promise.of(daily, np.arange(len(daily)))
    if found is None or mean is None:
        return None
    factor = 1 - found.skewness * found.sharpe + (found.kurtosis - 1) / 4 * found.sharpe**2
    clustering = mean.deviation / float(daily.std(ddof=1))
    return Promise(found.sharpe, float(np.sqrt(max(factor, 0.25))) * clustering, len(daily), mean.blocks)


def frequency_promise(entries: Days, sessions: int) -> Promise | None:
    """Return the entries a session, with a deviation of at least that of chance (Poisson): some months are too even."""
    counts = np.bincount(entries, minlength=sessions).astype(np.float64)
    found = Promise.of(counts, np.arange(len(counts)), BURST_SESSIONS)
    return None if found is None else replace(found, deviation=max(found.deviation, float(np.sqrt(found.mean))))


def session_numbers(dates: pd.Series[Any], sessions: pd.DatetimeIndex) -> NDArray[np.int64]:
    """Return the number of each date's session, the first being 0; a day between two sessions counts to the later one."""
    return sessions.searchsorted(pd.DatetimeIndex(dates)).astype(np.int64)


def daily_sums(values: Array, days: Days, sessions: int) -> Array:
    """Return the sum of the values of each session."""
    return np.asarray(np.bincount(days, weights=values, minlength=sessions), dtype=np.float64)


def equity_returns(equity: pd.DataFrame, moved_usd: Mapping[pd.Timestamp, float] | None = None) -> Array:
    """Return the return of each session after the first; deposits and withdrawals are neither profit nor loss.

    Parameters
    ----------
    moved_usd
        Deposits less withdrawals by session. One on a session without a value counts to the next that has one.

    Examples
    --------
    >>> curve = pd.DataFrame({"session": pd.to_datetime(["2024-01-02", "2024-01-03"]), "equity_usd": [100.0, 160.0]})
    >>> equity_returns(curve, {pd.Timestamp("2024-01-03"): 50.0}).round(6).tolist()
    [0.1]
    """
    value = equity["equity_usd"].to_numpy(dtype=np.float64)
    moved = np.zeros(len(value) + 1)
    for session, usd in (moved_usd or {}).items():
        moved[int(equity["session"].searchsorted(session))] += usd
    return np.asarray((value[1:] - moved[1 : len(value)]) / value[:-1] - 1, dtype=np.float64)
