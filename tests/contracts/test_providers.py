"""One contract for every provider: what `Provider.fetch` promises, whichever source answers."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from core.frames import ACTIONS, BARS
from core.sessions import sessions_between
from ingestion.providers.base import VIX, Provider
from ingestion.providers.files import FilesProvider
from ingestion.providers.sample import SampleProvider
from ingestion.providers.yahoo import YahooProvider
from tests.standins.yahoo import YahooStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START, END = dt.date(2018, 11, 19), dt.date(2018, 11, 30)  # Thanksgiving and the half day after it
SESSIONS = sessions_between(START, END)


def table(price: float) -> pd.DataFrame:
    days = sessions_between(dt.date(2018, 11, 1), dt.date(2018, 12, 31))
    return pd.DataFrame(
        {"open": price, "high": price + 1, "low": price - 1, "close": price, "adj_close": price, "volume": 10.0}, index=days
    )


@pytest.fixture(params=["sample", "files", "yfinance"])
def source(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Provider, tuple[str, str]]]:
    """A provider and two symbols it holds."""
    if request.param == "sample":
        yield SampleProvider(), ("^GSPC", "^IXIC")
    elif request.param == "files":
        for name, price in (("AAA", 10.0), ("BBB", 20.0), ("vix_daily", 15.0)):
            table(price).rename_axis("date").to_csv(tmp_path / f"{name}.csv")
        yield FilesProvider(tmp_path), ("AAA", "BBB")
    else:
        with YahooStandIn({"AAA": table(10.0), "BBB": table(20.0), VIX: table(15.0)}) as yahoo:
            yahoo.install(monkeypatch)
            clock = lambda: dt.datetime(2019, 1, 2, 12, tzinfo=dt.UTC)  # noqa: E731
            yield YahooProvider(now=clock, attempts=2, wait_seconds=0.01, cache_dir=tmp_path), ("AAA", "BBB")


def test_it_is_a_provider_with_a_name_and_a_universe(source: tuple[Provider, tuple[str, str]]) -> None:
    provider, _ = source

    assert isinstance(provider, Provider)
    assert provider.name in {"sample", "files", "yfinance"}
    assert provider.default_universe
    assert VIX not in provider.default_universe


def test_bars_have_the_schema_and_exactly_the_sessions_asked_for(source: tuple[Provider, tuple[str, str]]) -> None:
    provider, symbols = source

    found = provider.fetch(symbols, START, END)

    BARS.check(found.bars)
    ACTIONS.check(found.actions)
    assert found.failed == {}
    for _, rows in found.bars.groupby("symbol"):
        assert rows["session"].tolist() == SESSIONS.tolist()


def test_vix_is_fetched_like_any_symbol(source: tuple[Provider, tuple[str, str]]) -> None:
    provider, _ = source

    found = provider.fetch([VIX], START, END)

    assert found.bars["symbol"].unique().tolist() == [VIX]
    assert found.bars["session"].tolist() == SESSIONS.tolist()
    assert found.bars["close"].between(10, 40).all()


def test_an_unknown_symbol_is_named_with_a_reason_and_the_rest_kept(source: tuple[Provider, tuple[str, str]]) -> None:
    provider, symbols = source

    found = provider.fetch([symbols[0], "NOSUCH"], START, END)

    assert found.bars["symbol"].unique().tolist() == [symbols[0]]
    assert list(found.failed) == ["NOSUCH"]
    assert found.failed["NOSUCH"]


def test_a_range_without_bars_is_a_failure_with_a_reason_and_an_empty_frame(source: tuple[Provider, tuple[str, str]]) -> None:
    provider, symbols = source

    found = provider.fetch(symbols, dt.date(2018, 11, 22), dt.date(2018, 11, 22))

    assert found.bars.empty
    assert found.bars.dtypes.astype(str).to_dict() == dict(BARS.columns)
    assert set(found.failed) == set(symbols)


def test_the_same_request_gives_the_same_bars(source: tuple[Provider, tuple[str, str]]) -> None:
    provider, symbols = source

    pd.testing.assert_frame_equal(provider.fetch(symbols, START, END).bars, provider.fetch(symbols[::-1], START, END).bars)
