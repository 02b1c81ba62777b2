"""Earnings dates by the real yfinance from a local server that shows Yahoo's page."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from core.errors import RetryLater
from core.frames import EARNINGS
from ingestion.providers.yahoo import YahooProvider
from ingestion.providers.yahoo_earnings import fetch_earnings
from tests.standins.yahoo import YahooStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingestion.earnings import Announcements

pytestmark = pytest.mark.integration
NOW = dt.datetime(2024, 6, 3, 12, tzinfo=dt.UTC)


@pytest.fixture
def yahoo(monkeypatch: pytest.MonkeyPatch) -> Iterator[YahooStandIn]:
    with YahooStandIn({}) as stand_in:
        stand_in.install(monkeypatch)
        stand_in.earnings = {
            "AAPL": ["August 1, 2024 at 4 PM EDT", "May 2, 2024 at 4 PM EDT", "February 1, 2024 at 4 PM EST"],
            "MSFT": ["April 25, 2024 at 6 AM EDT"],
        }
        yield stand_in


@pytest.fixture
def provider(tmp_path: Path) -> YahooProvider:
    return YahooProvider(now=lambda: NOW, attempts=3, wait_seconds=0.01, threads=2, cache_dir=tmp_path / "cache")


def pairs(found: Announcements) -> list[tuple[str, str]]:
    return [(row.symbol, str(row.announced.date())) for row in EARNINGS.check(found.dates).itertuples()]


@pytest.mark.usefixtures("yahoo")
def test_past_and_planned_dates_are_delivered(provider: YahooProvider) -> None:
    found = fetch_earnings(provider, ["aapl", "MSFT"])

    assert pairs(found) == [("AAPL", "2024-02-01"), ("AAPL", "2024-05-02"), ("AAPL", "2024-08-01"), ("MSFT", "2024-04-25")]
    assert (found.refused, found.failed) == ((), {})


@pytest.mark.usefixtures("yahoo")
def test_a_symbol_without_a_page_is_named_and_the_rest_kept(provider: YahooProvider) -> None:
    found = fetch_earnings(provider, ["MSFT", "SPY"])

    assert pairs(found) == [("MSFT", "2024-04-25")]
    assert found.failed == {"SPY": "no announcement on Yahoo's page; a fund has none"}


def test_a_time_elsewhere_gives_the_date_at_the_exchange(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    yahoo.earnings["MSFT"] = ["April 26, 2024 at 1 AM UTC"]

    assert pairs(fetch_earnings(provider, ["MSFT"])) == [("MSFT", "2024-04-25")]


def test_a_gap_in_the_page_is_reported(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    yahoo.earnings["AAPL"].insert(1, "-")

    found = fetch_earnings(provider, ["AAPL"])

    assert len(found.refused) == 1
    assert "yfinance loses one date" in found.refused[0]
    assert pairs(found) == [("AAPL", "2024-02-01"), ("AAPL", "2024-08-01")]


def test_a_date_that_cannot_be_is_reported(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    yahoo.earnings["AAPL"][0] = "August 1, 2204 at 4 PM EDT"

    found = fetch_earnings(provider, ["AAPL"])

    assert found.refused == ("AAPL, row 1: expected a date from 1990-01-01 to 2026-06-04, found 2204-08-01",)
    assert len(pairs(found)) == 2


def test_a_page_of_another_shape_is_named(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    yahoo.earnings["AAPL"] = ["tomorrow"]

    found = fetch_earnings(provider, ["AAPL", "MSFT"])

    assert list(found.failed) == ["AAPL"]
    assert pairs(found) == [("MSFT", "2024-04-25")]


@pytest.mark.parametrize("status", [429, 503])
def test_a_fault_is_retried_until_it_passes(yahoo: YahooStandIn, provider: YahooProvider, status: int) -> None:
    yahoo.fail("MSFT", status, times=2)

    assert pairs(fetch_earnings(provider, ["MSFT"])) == [("MSFT", "2024-04-25")]


def test_a_symbol_that_stays_refused_does_not_stop_the_others(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    yahoo.fail("AAPL", 429)

    found = fetch_earnings(provider, ["AAPL", "MSFT"])

    assert pairs(found) == [("MSFT", "2024-04-25")]
    assert found.failed["AAPL"].startswith("YFRateLimitError")


def test_a_server_that_is_down_asks_for_a_later_run(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    yahoo.fail("AAPL", 503)

    with pytest.raises(RetryLater, match=r"no earnings date of 1 symbols.*answered 503"):
        fetch_earnings(provider, ["AAPL"])


def test_a_rerun_in_the_same_process_sees_a_moved_date(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    fetch_earnings(provider, ["MSFT"])
    yahoo.earnings["MSFT"] = ["July 30, 2024 at 4 PM EDT"]

    assert pairs(fetch_earnings(provider, ["MSFT"])) == [("MSFT", "2024-07-30")]
