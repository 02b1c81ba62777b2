"""Alpaca's newest quotes and trades as the desk's. Owns the requests and the reading of their answers; it judges nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from alpaca.data.enums import DataFeed
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import (
    CryptoLatestQuoteRequest,
    CryptoLatestTradeRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
)

from core.models import Quote
from trading.brokers.alpaca.read import instant, is_crypto, number, venue_symbol
from trading.brokers.alpaca.wire import OneRequest, VenueRefusal, proving, readable, require_host
from trading.brokers.listing import UNREADABLE
from trading.watch import PriceSeen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pydantic import SecretStr

    Json = dict[str, Any]

log = structlog.get_logger()
Answer = TypeVar("Answer")


class _Stocks(OneRequest, StockHistoricalDataClient):
    """alpaca-py's client of share data, asking once."""


class _Crypto(OneRequest, CryptoHistoricalDataClient):
    """alpaca-py's client of crypto data, asking once."""


class AlpacaData:
    """Newest quotes and trades of shares and crypto pairs, two requests for each question.

    A symbol of which Alpaca has none is left out. See `trading.brokers.base.Quotes`.

    Parameters
    ----------
    url
        Another address in place of Alpaca's market data, which is one for paper and real money.
    feed
        Where those of shares come from: `iex`, one exchange, whose last trade may be minutes old, or `sip`, all of them, which
        Alpaca sells.
    timeout_seconds
        Silence after which an answer no longer counts.
    """

    def __init__(
        self, key: SecretStr, secret: SecretStr, *, url: str | None = None, feed: str = "iex", timeout_seconds: float = 10.0
    ) -> None:
        require_host(url, "data")
        keys = (key.get_secret_value(), secret.get_secret_value())
        self.feed = DataFeed(feed)
        self._stocks = _Stocks(*keys, raw_data=True, url_override=url)
        self._crypto = _Crypto(*keys, raw_data=True, url_override=url)
        for client in (self._stocks, self._crypto):
            client.be_brief(timeout_seconds)

    @readable
    def latest(self, symbols: Collection[str]) -> dict[str, Quote]:
        """The newest quote of each symbol.

        Raises
        ------
        core.errors.RetryLater
            When no readable answer came.
        core.errors.ConfigError
            When the keys are not accepted, or do not cover the feed.
        """
        shares, pairs = _apart(symbols)
        return {**_answers(shares, self._share_quotes, _quote), **_answers(pairs, self._pair_quotes, _quote)}

    @readable
    def prices(self, symbols: Collection[str]) -> dict[str, PriceSeen]:
        """The last trade of each symbol; see `latest` for what it raises."""
        shares, pairs = _apart(symbols)
        return {**_answers(shares, self._share_trades, _trade), **_answers(pairs, self._pair_trades, _trade)}

    def _share_quotes(self, names: list[str]) -> Json:
        with proving("GET /v2/stocks/quotes/latest", coded=False):
            return self._stocks.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=names, feed=self.feed))

    def _pair_quotes(self, names: list[str]) -> Json:
        with proving("GET /v1beta3/crypto/us/latest/quotes", coded=False):
            return self._crypto.get_crypto_latest_quote(CryptoLatestQuoteRequest(symbol_or_symbols=names))

    def _share_trades(self, names: list[str]) -> Json:
        with proving("GET /v2/stocks/trades/latest", coded=False):
            return self._stocks.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=names, feed=self.feed))

    def _pair_trades(self, names: list[str]) -> Json:
        with proving("GET /v1beta3/crypto/us/latest/trades", coded=False):
            return self._crypto.get_crypto_latest_trade(CryptoLatestTradeRequest(symbol_or_symbols=names))


def _apart(symbols: Collection[str]) -> tuple[list[str], list[str]]:
    """Shares and crypto pairs, each in order."""
    pairs = {symbol for symbol in symbols if is_crypto(symbol)}
    return sorted({*symbols} - pairs), sorted(pairs)


def _answers(
    symbols: list[str], request: Callable[[list[str]], Json], read: Callable[[str, Json], Answer]
) -> dict[str, Answer]:
    """Return Alpaca's answers by symbol; a refused symbol spoils the answer for all, so each is then requested alone."""
    names = {venue_symbol(symbol): symbol for symbol in symbols}
    if not names:
        return {}
    try:
        rows = request(list(names))
    except VenueRefusal as refusal:
        if len(symbols) > 1:
            return {symbol: answer for each in symbols for symbol, answer in _answers([each], request, read).items()}
        log.warning("no_market_data", symbol=symbols[0], reason=refusal.message)
        return {}
    return _each(names, rows, read)


def _each(names: Json, rows: Json, read: Callable[[str, Json], Answer]) -> dict[str, Answer]:
    """Return each symbol's answer; a row that cannot be read costs no other symbol its price, unless there is no other."""
    answers: dict[str, Answer] = {}
    for name, row in rows.items():
        try:
            answers[names[name]] = read(names[name], row)
        except UNREADABLE as error:
            if len(rows) == 1:
                raise
            log.warning("market_data_unreadable", symbol=name, reason=f"{type(error).__name__}: {error}")
    return answers


def _quote(symbol: str, row: Json) -> Quote:
    """A quote as Alpaca writes it: bp and ap are the prices, t the time; a side nobody quotes is 0."""
    return Quote(symbol, Decimal(str(row["bp"])), Decimal(str(row["ap"])), instant(row["t"]))


def _trade(_symbol: str, row: Json) -> PriceSeen:
    """A trade as Alpaca writes it: p is the price, t the time."""
    return PriceSeen(number(row["p"]), instant(row["t"]))
