"""Earnings dates into the store: read, judge, add. Owns the order of these; the gate that uses them lives in `trading`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from core.sessions import normalise_symbol
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from ingestion.earnings import Announcements

log = structlog.get_logger()


def load_file(path: Path, *, resources: Resources | None = None) -> dict[str, Any]:
    """Add the dates of a CSV file with the columns symbol and announced; see `_stored` for what comes back.

    Raises
    ------
    DataError
        When the file cannot be read, or (`BatchRejected`) more than `max_bad_fraction` of its rows are bad; nothing is stored.
    """
    from ingestion.earnings import read_csv

    resources = resources or live()
    return _stored(resources, read_csv(path, today=resources.clock().date()), source="file")


def load_yahoo(symbols: Sequence[str] = (), *, resources: Resources | None = None) -> dict[str, Any]:
    """Add the dates that Yahoo Finance lists for the symbols, all of the universe unless given; see `_stored`."""
    from ingestion.providers.yahoo_earnings import fetch_earnings

    resources = resources or live()
    return _stored(resources, fetch_earnings(resources.yahoo, symbols or resources.universe()), source="yfinance")


def known(*, resources: Resources | None = None) -> pd.DataFrame:
    """What is stored, one row a symbol of the universe or of the calendar: symbol, dates (count), first, newest."""
    import pandas as pd

    resources = resources or live()
    dates = resources.earnings.calendar()
    rows = [
        (symbol, len(days), str(days[0]) if days else None, str(days[-1]) if days else None)
        for symbol in sorted({*resources.universe(), *dates})
        for days in [dates.get(symbol, ())]
    ]
    return pd.DataFrame(rows, columns=["symbol", "dates", "first", "newest"])


def _stored(resources: Resources, read: Announcements, *, source: str) -> dict[str, Any]:
    """Add what was read and say what came of it.

    Returns
    -------
    dict
        `read` and `new` (counts of dates), `refused` (rows with place and reason), `failed` (symbol: reason), `without`
        (symbols of the universe of which no date is known: the gate never holds them back) and `not_traded` (symbols with
        dates that are not in the universe: a slip in their spelling shows here).
    """
    read.require(resources.settings.max_bad_fraction)
    new = resources.earnings.write(read.dates, source=source, ingested_at=resources.clock())
    universe = {normalise_symbol(symbol) for symbol in resources.universe()}
    outcome = {
        "read": len(read.dates),
        "new": new,
        "refused": list(read.refused),
        "failed": dict(read.failed),
        "without": sorted(universe - set(resources.earnings.calendar())),
        "not_traded": sorted(set(read.dates["symbol"]) - universe),
    }
    log.info("earnings_loaded", source=source, **outcome)
    return outcome
