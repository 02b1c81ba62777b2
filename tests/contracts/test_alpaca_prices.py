"""Last trades at Alpaca: the real alpaca-py against the stand-in's market data, over sockets, faults included."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from core.errors import ConfigError, RetryLater
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn, Fault
from trading.brokers.alpaca.data import AlpacaData

if TYPE_CHECKING:
    from collections.abc import Iterator

STOCKS = "/v2/stocks/trades/latest"


@pytest.fixture
def alpaca() -> Iterator[AlpacaStandIn]:
    with AlpacaStandIn() as stand_in:
        for symbol, price in (("AAPL", "100"), ("BRK.B", "450.5"), ("BTC/USD", "50000")):
            stand_in.exchange.list_asset(symbol, price)
            stand_in.exchange.trade(symbol, price)
        stand_in.exchange.list_asset("QUIET", "7")
        yield stand_in


def prices(alpaca: AlpacaStandIn, secret: str = SECRET) -> AlpacaData:
    return AlpacaData(SecretStr(KEY), SecretStr(secret), url=alpaca.url, timeout_seconds=0.5)


def test_shares_and_pairs_come_under_the_desks_names_with_the_time_of_their_trade(alpaca: AlpacaStandIn) -> None:
    seen = prices(alpaca).prices({"AAPL", "BRK-B", "BTC-USD"})

    assert {symbol: each.price for symbol, each in seen.items()} == {
        "AAPL": Decimal(100),
        "BRK-B": Decimal("450.5"),
        "BTC-USD": Decimal(50000),
    }
    at = alpaca.exchange.tape["AAPL"][1]
    assert seen["AAPL"].at == at
    assert seen["AAPL"].at.utcoffset() == dt.timedelta(0)
    assert [path for _, path in alpaca.requests] == [STOCKS, "/v1beta3/crypto/us/latest/trades"], "two requests in all"


def test_nothing_is_asked_about_nothing(alpaca: AlpacaStandIn) -> None:
    assert prices(alpaca).prices(()) == {}
    assert alpaca.requests == []


def test_a_symbol_that_never_traded_is_left_out(alpaca: AlpacaStandIn) -> None:
    assert set(prices(alpaca).prices({"AAPL", "QUIET"})) == {"AAPL"}


def test_an_unknown_symbol_does_not_hide_the_others(alpaca: AlpacaStandIn) -> None:
    assert set(prices(alpaca).prices({"AAPL", "GONE", "BRK-B"})) == {"AAPL", "BRK-B"}


@pytest.mark.parametrize(
    "fault",
    [
        Fault.no_answer(),
        Fault.dropped(performs=False),
        Fault.too_many(),
        Fault.broken(503),
        Fault.garbage(),
        Fault.garbage("[]"),
        Fault.garbage('{"trades": null}'),
        Fault.garbage('{"trades": {"AAPL": {"p": "x", "t": "2026-11-23T15:00:00Z"}}}'),
        Fault.garbage('{"trades": {"AAPL": {"p": 100}}}'),
        Fault.garbage('{"quotes": {}, "trades": {}}'),
    ],
    ids=["silence", "cut", "429", "503", "a page", "a list", "null", "no number", "no time", "two kinds"],
)
def test_an_answer_that_proves_nothing_may_be_asked_for_again(alpaca: AlpacaStandIn, fault: Fault) -> None:
    alpaca.fail("GET", STOCKS, fault)
    client = prices(alpaca)

    with pytest.raises(RetryLater):
        client.prices({"AAPL"})

    assert len(alpaca.requests) == 1, "once, and the desk decides whether again"
    assert client.prices({"AAPL"})["AAPL"].price == 100


def test_wrong_keys_name_the_setting_and_are_not_shown(alpaca: AlpacaStandIn) -> None:
    with pytest.raises(ConfigError, match="VENUE__ALPACA__SECRET_KEY") as refused:
        prices(alpaca, "another-secret-of-twenty-characters").prices({"AAPL"})

    assert "another-secret" not in str(refused.value)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("row", ["null", "7", '{"p": "much", "t": "2026-11-27T15:00:00Z"}', '{"p": 1}'])
def test_a_row_that_cannot_be_read_costs_no_other_symbol_its_price(alpaca: AlpacaStandIn, row: str) -> None:
    good = '{"p": 101.5, "t": "2026-11-27T15:00:00Z"}'
    body = f'{{"trades": {{"AAPL": {row}, "MSFT": {good}, "NOT.ASKED": {good}}}}}'
    alpaca.fail("GET", "/v2/stocks/trades/latest", Fault.garbage(body))

    found = prices(alpaca).prices(["AAPL", "MSFT"])

    assert {symbol: seen.price for symbol, seen in found.items()} == {"MSFT": Decimal("101.5")}
