"""Announcement dates from Yahoo Finance through yfinance.

yfinance reads Yahoo's earnings page (`Ticker.get_earnings_dates`): up to 100 announcements, the planned ones ahead included.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import structlog
import yfinance as yf

from core.errors import RetryLater
from ingestion.earnings import Announcements, announced_on, to_frame
from ingestion.normalise import symbol_name
from ingestion.providers.yahoo import TRANSIENT, reason

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from ingestion.providers.yahoo import YahooProvider

log = structlog.get_logger()
NEWEST = 100  # the most that the page shows
NONE_LISTED = "no announcement on Yahoo's page; a fund has none"


def fetch_earnings(provider: YahooProvider, symbols: Sequence[str]) -> Announcements:
    """Announcement dates of each symbol: its newest 100, planned ones included; a symbol that fails is named.

    Dates ahead are Yahoo's plans or guesses until the company confirms them, and may move.

    Raises
    ------
    RetryLater
        No symbol brought a date and at least one failed for a passing reason.
    """
    provider.connect()
    names = list(dict.fromkeys(symbol_name(symbol) for symbol in symbols))
    with ThreadPoolExecutor(max_workers=provider.threads) as pool:
        answers = dict(zip(names, pool.map(partial(_ask, provider), names), strict=True))
    failed = {name: reason(answer) for name, answer in answers.items() if isinstance(answer, Exception)}
    failed |= {name: NONE_LISTED for name, answer in answers.items() if answer is None}
    dates, refused = [], []
    for name, answer in answers.items():
        if isinstance(answer, pd.DataFrame):
            read, bad = _dates(name, answer, provider.now().date())
            dates += read
            refused += bad
    log.info("earnings_fetched", symbols=len(names), dates=len(dates), refused=len(refused), failed=failed)
    if not dates and any(isinstance(answer, TRANSIENT) for answer in answers.values()):
        raise RetryLater(f"Yahoo delivered no earnings date of {len(names)} symbols: {failed}. Run the step again later.")
    return Announcements(to_frame(dates), tuple(refused), failed)


def _ask(provider: YahooProvider, symbol: str) -> pd.DataFrame | Exception | None:
    """The page of one symbol, None when it lists nothing, or the error that ended the last attempt."""
    return provider.try_often(symbol, lambda: yf.Ticker(symbol).get_earnings_dates(limit=NEWEST))


def _dates(symbol: str, page: pd.DataFrame, today: dt.date) -> tuple[list[tuple[str, dt.date]], list[str]]:
    """Dates at the exchange, and the rows without a usable one."""
    dates, refused = [], []
    for row, stamp in enumerate(page.index, start=1):
        if pd.isna(stamp):
            # yfinance drops rows without a date and then puts the dates one row too high: each gap loses one date.
            refused.append(f"{symbol}, row {row}: expected a date, found none; yfinance loses one date a gap in the page")
            continue
        try:
            dates.append((symbol, announced_on(pd.Timestamp(stamp).to_pydatetime(), today=today)))
        except ValueError as error:
            refused.append(f"{symbol}, row {row}: {error}")
    return dates, refused
