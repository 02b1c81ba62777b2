"""Checks of a book against fixed limits: model age, win rate, drawdown, correlation, time without an entry."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm

from monitoring.performance.expectation import FEWEST_GAPS, SUM
from monitoring.performance.findings import (
    ALERT,
    CORRELATION,
    DRAWDOWN,
    MODEL_AGE,
    NO_TRADE,
    OK,
    WIN_RATE,
    Finding,
    Verdict,
    not_enough,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from monitoring.performance.expectation import Expectation
    from monitoring.performance.sequential import Array

PERCENT: Final = 100.0
LEVEL: Final = 0.95
FEWEST_RETURNS: Final = 20
ROUNDING: Final = 1e-9
SHOWN: Final = 3


def check_model_age(trained_at: dt.datetime | None, now: dt.datetime, max_age_days: int, absent: str) -> Finding:
    """Compare the age of the model that decides with its limit; `absent` says why there is none."""
    if trained_at is None:
        return not_enough(MODEL_AGE, SUM, max_age_days, 0, absent)
    age = (now - trained_at).total_seconds() / 86_400
    verdict: Verdict = ALERT if age > max_age_days else OK
    text = f"The model is {age:.0f} days old, of {trained_at:%Y-%m-%d} (limit {max_age_days})."
    return Finding(MODEL_AGE, SUM, verdict, age, max_age_days, None, 1, text)


def check_win_rate(
    trades: pd.DataFrame, session: dt.date, *, window_days: int, min_rate_pct: float, min_trades: int
) -> Finding:
    """Compare the share of winners among the trades of the last days with its limit; the interval is Wilson's (1927), 95 %.

    Parameters
    ----------
    trades
        TRADES. Those count that were closed in the `window_days` calendar days up to the session.
    min_trades
        Number of trades from which the share is judged.
    """
    end = pd.Timestamp(session)
    recent = trades[(trades["exit_session"] > end - pd.Timedelta(days=window_days)) & (trades["exit_session"] <= end)]
    n, winners = len(recent), int((recent["net_return"] > 0).sum())
    if n == 0:
        return not_enough(WIN_RATE, SUM, min_rate_pct, 0, f"No trade was closed in {window_days} days.")
    ends = binomtest(winners, n).proportion_ci(LEVEL, method="wilson")
    rate, low, high = PERCENT * winners / n, PERCENT * float(ends.low), PERCENT * float(ends.high)
    text = f"{winners} of {n} trades of {window_days} days won: {rate:.0f} %, 95 % interval {low:.0f} to {high:.0f} %"
    if n < min_trades:
        text = f"{text}. Too few to judge: {min_trades} are needed."
        return Finding(WIN_RATE, SUM, "not enough", rate, min_rate_pct, (low, high), n, text)
    if rate >= min_rate_pct:
        return Finding(WIN_RATE, SUM, OK, rate, min_rate_pct, (low, high), n, f"{text} (limit {min_rate_pct:g} %).")
    luck = "the interval excludes" if high < min_rate_pct else "the interval includes"
    text = f"{text}; {luck} the limit of {min_rate_pct:g} %."
    return Finding(WIN_RATE, SUM, ALERT, rate, min_rate_pct, (low, high), n, text)


def check_drawdown(returns: Array, max_drawdown_pct: float) -> Finding:
    """Compare the present drawdown with its limit.

    Parameters
    ----------
    returns
        (sessions,) returns of the book, without deposits and withdrawals; the first session on record is the first peak.
    """
    if not len(returns):
        return not_enough(DRAWDOWN, SUM, max_drawdown_pct, 0, "Fewer than two closes are on record.")
    value = np.concatenate([[1.0], np.cumprod(1 + returns)])
    below = PERCENT * (1 - float(value[-1]) / float(value.max()))
    verdict: Verdict = ALERT if below > max_drawdown_pct + ROUNDING else OK
    text = f"The book is {below:.1f} % below its highest close (limit {max_drawdown_pct:g} %)."
    return Finding(DRAWDOWN, SUM, verdict, below, max_drawdown_pct, None, len(returns), text)


def check_correlation(held: Mapping[str, float], returns: pd.DataFrame, max_correlation: float) -> Finding:
    """Compare the largest correlation between two positions with its limit; the interval is Fisher's (1921), 95 %.

    Parameters
    ----------
    held
        Signed quantity by symbol, all sleeves together. A long and a short position in symbols that move together are opposite.
    returns
        (sessions, symbols) recent returns, NaN where there is no bar.
    """
    symbols = sorted(symbol for symbol, quantity in held.items() if quantity)
    if len(symbols) < 2:  # noqa: PLR2004  # a pair has two
        words = f"{len(symbols)} symbol is" if len(symbols) == 1 else "no symbol is"
        return Finding(CORRELATION, SUM, OK, None, max_correlation, None, 0, f"{words[0].upper()}{words[1:]} held: no pair.")
    pairs, unknown = [], []
    for first, second in combinations(symbols, 2):
        both = returns.reindex(columns=[first, second]).dropna()
        value = float(np.sign(held[first] * held[second])) * _correlation(both)
        if len(both) < FEWEST_RETURNS or not math.isfinite(value):
            unknown.append(f"{first}/{second}")
        else:
            pairs.append((value, len(both), f"{first}/{second}"))
    missing = f" Too few common returns: {', '.join(unknown[:SHOWN])}." if unknown else ""
    if not pairs:
        return not_enough(CORRELATION, SUM, max_correlation, 0, missing.strip())
    value, n, _ = max(pairs)
    width = float(norm.isf((1 - LEVEL) / 2)) / math.sqrt(n - 3)
    bounded = math.atanh(min(max(value, -0.999999), 0.999999))
    over = [f"{name} {each:.2f}" for each, _, name in sorted(pairs, reverse=True) if each > max_correlation]
    verdict: Verdict = ALERT if over else "not enough" if unknown else OK
    said = f"Correlated positions: {', '.join(over[:SHOWN])}" if over else f"Largest correlation of two positions {value:.2f}"
    interval = (math.tanh(bounded - width), math.tanh(bounded + width))
    text = f"{said} over {n} sessions (limit {max_correlation:g}).{missing}"
    return Finding(CORRELATION, SUM, verdict, value, max_correlation, interval, n, text)


def check_gap(waiting_sessions: int, entries: int, expected: Expectation | None, sleeve: str) -> Finding:
    """Compare the sessions since the last entry, or since the first live session, with the backtest's 99th percentile."""
    since = "the last entry" if entries else "the first session, without an entry"
    said = f"{waiting_sessions} sessions since {since}"
    if expected is None or expected.longest_gap_sessions is None:
        gaps = 0 if expected is None else expected.gaps
        why = "no backtest is on record" if expected is None else f"the backtest has {gaps} gaps of {FEWEST_GAPS} needed"
        text = f"{said}; {why}."
        return Finding(NO_TRADE, sleeve, "not enough", float(waiting_sessions), None, None, gaps, text)
    limit = expected.longest_gap_sessions
    verdict: Verdict = ALERT if waiting_sessions > limit else OK
    text = f"{said}; in the backtest 99 % of the gaps were of {limit:g} or fewer ({expected.gaps} gaps)."
    return Finding(NO_TRADE, sleeve, verdict, float(waiting_sessions), limit, None, expected.gaps, text)


def _correlation(both: pd.DataFrame) -> float:
    """Return the correlation of two columns; NaN where one does not vary."""
    values: Any = both.to_numpy(dtype=np.float64)
    if len(values) < 2 or (values.std(axis=0) == 0).any():  # noqa: PLR2004  # no correlation of one
        return math.nan
    return float(np.corrcoef(values, rowvar=False)[0, 1])
