"""Earnings dates on a real PostgreSQL: added once, never changed, and read as they were known."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from core.errors import DataError
from core.frames import EARNINGS
from storage.market.earnings import EarningsStore

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytestmark = pytest.mark.integration
EARLY, LATE = dt.datetime(2020, 1, 2, 12, tzinfo=dt.UTC), dt.datetime(2020, 2, 3, 12, tzinfo=dt.UTC)
JANUARY, FEBRUARY = dt.date(2020, 1, 28), dt.date(2020, 2, 4)


def dates(*rows: tuple[str, dt.date]) -> pd.DataFrame:
    return EARNINGS.coerce(pd.DataFrame(rows, columns=["symbol", "announced"]).astype({"symbol": object}))


@pytest.fixture
def store(database: Engine) -> EarningsStore:
    return EarningsStore(database)


def test_nothing_written_is_an_empty_calendar(store: EarningsStore) -> None:
    assert store.calendar() == {}
    assert store.read().empty
    assert store.write(EARNINGS.empty(), source="file", ingested_at=EARLY) == 0


def test_a_date_is_added_once_and_keeps_when_it_was_first_seen(store: EarningsStore) -> None:
    known = dates(("AAPL", JANUARY))

    assert store.write(known, source="yfinance", ingested_at=EARLY) == 1
    assert store.write(known, source="file", ingested_at=LATE) == 0

    assert store.read().to_dict("records") == [
        {"symbol": "AAPL", "announced": pd.Timestamp(JANUARY), "source": "yfinance", "ingested_at": pd.Timestamp(EARLY)}
    ]


def test_a_moved_announcement_leaves_both_dates(store: EarningsStore) -> None:
    store.write(dates(("AAPL", JANUARY), ("MSFT", JANUARY)), source="file", ingested_at=EARLY)

    assert store.write(dates(("AAPL", JANUARY), ("AAPL", FEBRUARY)), source="file", ingested_at=LATE) == 1

    assert store.calendar() == {"AAPL": (JANUARY, FEBRUARY), "MSFT": (JANUARY,)}


def test_a_past_moment_sees_what_was_known_then(store: EarningsStore) -> None:
    store.write(dates(("AAPL", JANUARY)), source="file", ingested_at=EARLY)
    store.write(dates(("AAPL", FEBRUARY)), source="file", ingested_at=LATE)

    assert store.calendar(EARLY - dt.timedelta(seconds=1)) == {}
    assert store.calendar(EARLY) == {"AAPL": (JANUARY,)}
    assert store.calendar(LATE) == {"AAPL": (JANUARY, FEBRUARY)}


def test_what_is_read_has_the_schema(store: EarningsStore) -> None:
    store.write(dates(("MSFT", JANUARY), ("AAPL", FEBRUARY), ("AAPL", JANUARY)), source="file", ingested_at=EARLY)

    found = EARNINGS.check(store.read())

    assert found["symbol"].tolist() == ["AAPL", "AAPL", "MSFT"]
    assert str(found["ingested_at"].dt.tz) == "UTC"


def test_a_frame_of_another_shape_is_refused(store: EarningsStore) -> None:
    with pytest.raises(DataError, match="announced"):
        store.write(pd.DataFrame({"symbol": ["AAPL"]}), source="file", ingested_at=EARLY)
