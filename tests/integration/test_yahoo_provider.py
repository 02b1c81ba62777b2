"""The real yfinance against a local server that speaks Yahoo's wire."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from core.errors import RetryLater
from core.frames import ACTIONS, BARS
from core.sessions import sessions_between
from ingestion.expectations import validate
from ingestion.providers.yahoo import YahooProvider
from tests.standins.yahoo import YahooStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

START, END = dt.date(2021, 3, 8), dt.date(2021, 3, 19)  # clocks go forward on Sunday 2021-03-14
LONG_AFTER = dt.datetime(2022, 1, 3, 12, tzinfo=dt.UTC)


def bars(start: dt.date = START, end: dt.date = END, price: float = 100.0) -> pd.DataFrame:
    days = sessions_between(start, end)
    close = price + np.arange(len(days), dtype=float)
    columns = {"open": close, "high": close + 1, "low": close - 1, "close": close, "adj_close": close / 2, "volume": 1000.0}
    return pd.DataFrame(columns, index=days)


@pytest.fixture
def yahoo(monkeypatch: pytest.MonkeyPatch) -> Iterator[YahooStandIn]:
    served = {"AAPL": bars(), "MSFT": bars(price=200.0), "^VIX": bars(price=20.0)}
    with YahooStandIn(served) as stand_in:
        stand_in.install(monkeypatch)
        yield stand_in


@pytest.fixture
def provider(tmp_path: Path) -> YahooProvider:
    return YahooProvider(now=lambda: LONG_AFTER, attempts=3, wait_seconds=0.01, threads=2, cache_dir=tmp_path / "cache")


@pytest.mark.usefixtures("yahoo")
def test_bars_keep_their_sessions_across_a_daylight_saving_change(provider: YahooProvider) -> None:
    found = provider.fetch(["aapl", "^VIX"], START, END)

    BARS.check(found.bars)
    assert found.failed == {}
    apple = found.bars[found.bars["symbol"] == "AAPL"]
    assert apple["session"].tolist() == sessions_between(START, END).tolist()
    assert apple["close"].tolist() == [100.0 + day for day in range(10)]
    assert apple["adj_close"].iloc[0] == 50.0
    assert set(found.bars["symbol"]) == {"AAPL", "^VIX"}


def test_what_yahoo_says_of_an_instrument_is_delivered_without_another_request(
    yahoo: YahooStandIn, provider: YahooProvider
) -> None:
    found = provider.fetch(["AAPL", "^VIX"], START, END)

    assert found.instruments["AAPL"] == {"asset_class": "equity", "currency": "USD", "calendar": "XNYS"}
    assert found.instruments["^VIX"]["asset_class"] == "index"
    assert yahoo.requests["AAPL"] <= 2  # the bars, and the time zone


def test_splits_and_dividends_are_recorded(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    table = bars()
    table["split"] = np.where(table.index == "2021-03-10", 4.0, 0.0)
    table["dividend"] = np.where(table.index == "2021-03-17", 0.22, 0.0)
    yahoo.bars["AAPL"] = table

    found = provider.fetch(["AAPL"], START, END)

    ACTIONS.check(found.actions)
    assert found.actions.to_dict("records") == [
        {"symbol": "AAPL", "session": pd.Timestamp("2021-03-10"), "kind": "split", "value": 4.0},
        {"symbol": "AAPL", "session": pd.Timestamp("2021-03-17"), "kind": "dividend", "value": 0.22},
    ]


@pytest.mark.usefixtures("yahoo")
def test_a_delisted_symbol_is_reported_and_the_rest_kept(provider: YahooProvider) -> None:
    found = provider.fetch(["AAPL", "GONE", "MSFT"], START, END)

    assert set(found.bars["symbol"]) == {"AAPL", "MSFT"}
    assert list(found.failed) == ["GONE"]
    assert "delisted" in found.failed["GONE"]


def test_an_empty_answer_is_reported_and_the_rest_kept(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    yahoo.bars["AAPL"] = bars().iloc[:0]

    found = provider.fetch(["AAPL", "MSFT"], START, END)

    assert set(found.bars["symbol"]) == {"MSFT"}
    assert "no price data" in found.failed["AAPL"]


def test_a_partial_answer_is_kept_and_its_gap_reported_as_stale(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    yahoo.bars["AAPL"] = bars().iloc[:7]

    found = provider.fetch(["AAPL", "MSFT"], START, END)

    assert found.bars["symbol"].value_counts().to_dict() == {"MSFT": 10, "AAPL": 7}
    assert validate(found.bars, session=END).results["stale"] == {"AAPL": "2021-03-16"}


def test_a_null_bar_is_delivered_so_that_it_can_be_quarantined(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    yahoo.bars["AAPL"].loc["2021-03-11", ["open", "high", "low", "close", "adj_close", "volume"]] = np.nan

    found = provider.fetch(["AAPL"], START, END)

    assert len(found.bars) == 10
    verdict = validate(found.bars, session=END, max_bad_fraction=0.2)
    assert set(verdict.quarantined["session"]) == {pd.Timestamp("2021-03-11")}
    assert len(verdict.good) == 9


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_fault_is_retried_until_it_passes(yahoo: YahooStandIn, provider: YahooProvider, status: int) -> None:
    yahoo.fail("AAPL", status, times=2)

    found = provider.fetch(["AAPL"], START, END)

    assert len(found.bars) == 10
    assert yahoo.requests["AAPL"] >= 3  # two faults, then the bars (and the time zone, unless it is cached)


def test_a_rate_limit_is_retried_until_it_passes(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    yahoo.fail("AAPL", 429, times=4)  # yfinance itself asks twice an attempt

    found = provider.fetch(["AAPL"], START, END)

    assert len(found.bars) == 10


def test_a_symbol_that_stays_rate_limited_does_not_stop_the_others(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    yahoo.fail("AAPL", 429)

    found = provider.fetch(["AAPL", "MSFT"], START, END)

    assert set(found.bars["symbol"]) == {"MSFT"}
    assert found.failed["AAPL"].startswith("YFRateLimitError")


def test_a_server_that_is_down_asks_for_a_later_run(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    yahoo.fail("AAPL", 500)

    with pytest.raises(RetryLater, match=r"none of 1 symbols.*answered 500"):
        provider.fetch(["AAPL"], START, END)


@pytest.mark.usefixtures("yahoo")
def test_a_network_that_is_down_asks_for_a_later_run(provider: YahooProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("yfinance.base", "yfinance.scrapers.history"):
        monkeypatch.setattr(f"{module}._BASE_URL_", "http://127.0.0.1:9")

    with pytest.raises(RetryLater, match="AAPL"):
        provider.fetch(["AAPL"], START, END)


def test_a_rerun_in_the_same_process_sees_a_revised_bar(yahoo: YahooStandIn, provider: YahooProvider) -> None:
    first = provider.fetch(["AAPL"], START, END)
    yahoo.bars["AAPL"].loc["2021-03-19", "close"] = 110.5

    second = provider.fetch(["AAPL"], START, END)

    assert (first.bars["close"].iloc[-1], second.bars["close"].iloc[-1]) == (109.0, 110.5)


@pytest.mark.parametrize(
    ("now", "last"),
    [
        (dt.datetime(2021, 11, 26, 17, 59, tzinfo=dt.UTC), "2021-11-24"),  # half day: closes 13:00 New York = 18:00 UTC
        (dt.datetime(2021, 11, 26, 18, 0, tzinfo=dt.UTC), "2021-11-26"),
        (dt.datetime(2021, 11, 29, 20, 59, tzinfo=dt.UTC), "2021-11-26"),
        (dt.datetime(2021, 11, 29, 21, 0, tzinfo=dt.UTC), "2021-11-29"),
    ],
)
def test_a_session_that_has_not_closed_is_refused(yahoo: YahooStandIn, tmp_path: Path, now: dt.datetime, last: str) -> None:
    start, end = dt.date(2021, 11, 22), dt.date(2021, 11, 30)
    yahoo.bars["AAPL"] = bars(start, end)
    provider = YahooProvider(now=lambda: now, cache_dir=tmp_path)

    found = provider.fetch(["AAPL"], start, end)

    assert str(found.bars["session"].max().date()) == last
