"""Alpaca's newest quotes over the real alpaca-py and a socket: what they say, and what an answer that is none proves."""

from __future__ import annotations

import datetime as dt
import logging
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import (
    CryptoLatestQuoteRequest,
    CryptoLatestTradeRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
)
from pydantic import SecretStr

from core.errors import ConfigError, RetryLater
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn, Fault
from trading.brokers.alpaca.data import AlpacaData

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARES, PAIRS = "/v2/stocks/quotes/latest", "/v1beta3/crypto/us/latest/quotes"


@pytest.fixture
def alpaca() -> Iterator[AlpacaStandIn]:
    with AlpacaStandIn() as stand_in:
        for symbol, price in (("AAPL", "100"), ("BRK.B", "450"), ("BTC/USD", "50000")):
            stand_in.exchange.list_asset(symbol, price)
        yield stand_in


def quotes_of(alpaca: AlpacaStandIn, *, secret: str = SECRET, feed: str = "iex") -> AlpacaData:
    return AlpacaData(SecretStr(KEY), SecretStr(secret), url=alpaca.url, feed=feed, timeout_seconds=0.5)


def test_quotes_of_shares_and_pairs_come_under_the_desks_names(alpaca: AlpacaStandIn) -> None:
    alpaca.tape.quote("AAPL", 99.98, 100.02, age_seconds=3)

    found = quotes_of(alpaca).latest(["AAPL", "BRK-B", "BTC-USD"])

    assert sorted(found) == ["AAPL", "BRK-B", "BTC-USD"]
    apple = found["AAPL"]
    assert (apple.symbol, apple.bid, apple.ask, apple.spread_bps) == ("AAPL", Decimal("99.98"), Decimal("100.02"), 4)
    age = dt.datetime.now(dt.UTC) - apple.at
    assert dt.timedelta(seconds=3) <= age < dt.timedelta(seconds=6)
    assert (found["BTC-USD"].bid, found["BTC-USD"].ask) == (Decimal("49999.99"), Decimal("50000.01"))
    assert alpaca.requests == [("GET", SHARES), ("GET", PAIRS)]


def test_nothing_is_asked_about_nothing(alpaca: AlpacaStandIn) -> None:
    assert quotes_of(alpaca).latest([]) == {}
    assert alpaca.requests == []


def test_a_symbol_without_a_quote_is_left_out(alpaca: AlpacaStandIn) -> None:
    alpaca.tape.silence("AAPL")

    assert sorted(quotes_of(alpaca).latest(["AAPL", "BRK-B", "NOSUCH"])) == ["BRK-B"]


def test_one_symbol_that_alpaca_refuses_does_not_spoil_the_others(alpaca: AlpacaStandIn) -> None:
    assert sorted(quotes_of(alpaca).latest(["AAPL", "^VIX"])) == ["AAPL"]
    assert alpaca.requests == [("GET", SHARES)] * 3  # together, then each alone


def test_an_absurd_quote_arrives_as_it_was_told(alpaca: AlpacaStandIn) -> None:
    alpaca.tape.quote("AAPL", 0, 100.02)
    alpaca.tape.quote("BTC/USD", float("nan"), -1)

    found = quotes_of(alpaca).latest(["AAPL", "BTC-USD"])

    now = dt.datetime.now(dt.UTC)
    assert found["AAPL"].objection(now, max_age_seconds=60) == "expected both prices over 0, found 0 bid, 100.02 asked"
    assert found["BTC-USD"].objection(now, max_age_seconds=60) == "expected two prices, found NaN bid, -1 asked"


@pytest.mark.parametrize(
    "fault",
    [
        Fault.no_answer(),
        Fault.dropped(performs=False),
        Fault.broken(500),
        Fault.broken(504),
        Fault.garbage(),
        Fault.garbage(""),
        Fault.garbage("null"),
        Fault.garbage("[]"),
        Fault.garbage('{"rates": {}}'),
        Fault.garbage('{"quotes": null}'),
        Fault.garbage('{"quotes": {"AAPL": {"ap": 1}}}'),
        Fault.garbage('{"quotes": {"AAPL": {"ap": "much", "bp": 1, "t": "2026-11-27T15:00:00Z"}}}'),
        Fault.garbage('{"quotes": {"AAPL": {"ap": 1, "bp": 1, "t": "yesterday"}}}'),
        Fault(status=400, body="<html>Bad Request</html>"),
    ],
)
def test_an_answer_that_proves_nothing_can_be_asked_for_again(alpaca: AlpacaStandIn, fault: Fault) -> None:
    alpaca.fail("GET", SHARES, fault)

    with pytest.raises(RetryLater, match="Alpaca"):
        quotes_of(alpaca).latest(["AAPL"])

    assert alpaca.requests == [("GET", SHARES)]  # neither alpaca-py nor the adapter asked again
    assert sorted(quotes_of(alpaca).latest(["AAPL"])) == ["AAPL"]


def test_a_pause_that_alpaca_asks_for_is_handed_on(alpaca: AlpacaStandIn) -> None:
    alpaca.fail("GET", PAIRS, Fault.too_many(7))

    with pytest.raises(RetryLater) as caught:
        quotes_of(alpaca).latest(["BTC-USD"])

    assert caught.value.retry_after_seconds == 7.0


def test_wrong_keys_are_a_setting_to_change_and_are_shown_nowhere(
    alpaca: AlpacaStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked = quotes_of(alpaca, secret="wrong-secret-wrong-secret")

    with pytest.raises(ConfigError, match="VENUE__ALPACA__SECRET_KEY") as caught:
        asked.latest(["AAPL"])

    shown = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r} {vars(asked)!r} {caplog.text}"
    assert SHARES in caplog.text  # the wire was logged
    assert not any(secret in shown for secret in (KEY, "wrong-secret"))


def test_a_feed_that_was_not_bought_is_a_setting_to_change(alpaca: AlpacaStandIn) -> None:
    with pytest.raises(ConfigError, match=r"subscription does not permit .*VENUE__ALPACA__DATA_FEED"):
        quotes_of(alpaca, feed="sip").latest(["AAPL"])

    alpaca.tape.subscribed = True
    assert sorted(quotes_of(alpaca, feed="sip").latest(["AAPL"])) == ["AAPL"]


def test_the_stand_in_writes_quotes_and_trades_as_alpaca_py_reads_them(alpaca: AlpacaStandIn) -> None:
    shares = StockHistoricalDataClient(KEY, SECRET, url_override=alpaca.url)
    pairs = CryptoHistoricalDataClient(KEY, SECRET, url_override=alpaca.url)
    alpaca.exchange.trade("AAPL", "100")
    alpaca.exchange.trade("BTC/USD", "50000")

    quote = shares.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="AAPL"))["AAPL"]
    trade = shares.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))["AAPL"]
    coin = pairs.get_crypto_latest_quote(CryptoLatestQuoteRequest(symbol_or_symbols="BTC/USD"))["BTC/USD"]
    deal = pairs.get_crypto_latest_trade(CryptoLatestTradeRequest(symbol_or_symbols="BTC/USD"))["BTC/USD"]

    assert (quote.bid_price, quote.ask_price, quote.conditions) == (99.99, 100.01, ["R"])
    assert (trade.price, trade.size, trade.exchange) == (100.0, 100.0, "V")
    assert (coin.bid_price, coin.ask_size) == (49999.99, 2.0)
    assert deal.price == 50_000.0
    assert quote.timestamp.tzinfo is not None
