"""Load earnings dates into the store: read, check, add."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import structlog

from core.sessions import normalise_symbol
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from ingestion.earnings import Announcements
    from storage.market.earnings import EarningsStore

log = structlog.get_logger()


@dataclass(frozen=True)
class EarningsLoaded:
    """Outcome of a load of earnings dates.

    Attributes
    ----------
    read, new
        Counts of dates.
    refused
        Rows refused, each with its place and reason.
    failed
        Symbols that could not be fetched, with the reason.
    without
        Symbols of the universe without any date: the earnings filter never holds them back.
    not_traded
        Symbols with dates that are not in the universe: a misspelt symbol shows here.
    """

    read: int
    new: int
    refused: list[str]
    failed: Mapping[str, str]
    without: list[str]
    not_traded: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON values."""
        return asdict(self)


def load_file(path: Path, *, resources: Resources | None = None) -> EarningsLoaded:
    """Add the dates of a CSV file with the columns symbol and announced.

    Raises
    ------
    DataError
        When the file cannot be read, or (`BatchRejected`) more than `max_bad_fraction` of its rows are bad; nothing is stored.
    """
    from ingestion.earnings import read_csv

    resources = resources or live()
    now = resources.clock()
    announcements = read_csv(path, today=now.date())
    announcements.require(resources.settings.max_bad_fraction)
    return _add(resources.earnings, announcements, resources.universe(), source="file", ingested_at=now)


def load_yahoo(symbols: Sequence[str] = (), *, resources: Resources | None = None) -> EarningsLoaded:
    """Add the dates that Yahoo Finance lists for the symbols; all of the universe unless given."""
    from ingestion.providers.yahoo_earnings import fetch_earnings

    resources = resources or live()
    announcements = fetch_earnings(resources.yahoo, symbols or resources.universe())
    announcements.require(resources.settings.max_bad_fraction)
    return _add(resources.earnings, announcements, resources.universe(), source="yfinance", ingested_at=resources.clock())


def list_dates(*, resources: Resources | None = None) -> pd.DataFrame:
    """Return what is stored, one row a symbol of the universe or of the calendar: symbol, dates (count), first, newest."""
    resources = resources or live()
    dates = resources.earnings.calendar()
    rows = [
        (symbol, len(days), str(days[0]) if days else None, str(days[-1]) if days else None)
        for symbol in sorted({*resources.universe(), *dates})
        for days in [dates.get(symbol, ())]
    ]
    return pd.DataFrame(rows, columns=["symbol", "dates", "first", "newest"])


def _add(
    store: EarningsStore, announcements: Announcements, universe: Collection[str], *, source: str, ingested_at: dt.datetime
) -> EarningsLoaded:
    """Add the dates and return the outcome."""
    new = store.write(announcements.dates, source=source, ingested_at=ingested_at)
    traded = {normalise_symbol(symbol) for symbol in universe}
    outcome = EarningsLoaded(
        read=len(announcements.dates),
        new=new,
        refused=list(announcements.refused),
        failed=dict(announcements.failed),
        without=sorted(traded - set(store.calendar())),
        not_traded=sorted(set(announcements.dates["symbol"]) - traded),
    )
    log.info("earnings_loaded", source=source, **outcome.as_dict())
    return outcome
