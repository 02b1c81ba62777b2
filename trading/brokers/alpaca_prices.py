"""The newest trades at Alpaca, of shares and crypto pairs. Owns the requests and their reading; it judges no price.

The keys decide the feed: all exchanges where they are paid for, IEX alone otherwise, whose last trade may be minutes old.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from alpaca.common.exceptions import APIError
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import CryptoLatestTradeRequest, StockLatestTradeRequest
from requests import RequestException

from core.errors import RetryLater
from trading.brokers.alpaca_read import instant, is_crypto, number, venue_symbol
from trading.brokers.alpaca_wire import meaning
from trading.watch import PriceSeen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pydantic import SecretStr

    Json = dict[str, Any]
    Ask = Callable[[list[str]], Json]

log = structlog.get_logger()
UNKNOWN_SYMBOL = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY})
UNREADABLE = (KeyError, TypeError, AttributeError, ValueError, ArithmeticError)


class _Stocks(StockHistoricalDataClient):
    """alpaca-py's client of share data, asking once and not for ever."""

    timeout_seconds: float

    def _one_request(self, method: str, url: str, opts: Json, retry: int) -> Any:  # noqa: ANN401  # alpaca-py's own
        return super()._one_request(method, url, opts | {"timeout": self.timeout_seconds}, retry)


class _Crypto(CryptoHistoricalDataClient):
    """The same for crypto data."""

    timeout_seconds: float

    def _one_request(self, method: str, url: str, opts: Json, retry: int) -> Any:  # noqa: ANN401  # alpaca-py's own
        return super()._one_request(method, url, opts | {"timeout": self.timeout_seconds}, retry)


class AlpacaPrices:
    """Last trades; see `pipeline.position_watch.Prices`.

    Parameters
    ----------
    url
        Another address in place of Alpaca's market data, which is the same for paper and real money.
    timeout_seconds
        Silence after which an answer no longer counts.
    """

    def __init__(self, key: SecretStr, secret: SecretStr, *, url: str | None = None, timeout_seconds: float = 10.0) -> None:
        keys = (key.get_secret_value(), secret.get_secret_value())
        self._stocks = _Stocks(*keys, raw_data=True, url_override=url)
        self._crypto = _Crypto(*keys, raw_data=True, url_override=url)
        for client in (self._stocks, self._crypto):
            client._retry = 0  # noqa: SLF001  # alpaca-py knows no other way to ask once
            client.timeout_seconds = timeout_seconds

    def prices(self, symbols: Collection[str]) -> dict[str, PriceSeen]:
        """The last trade of each symbol; one that Alpaca does not know or has never seen trade is left out.

        Raises
        ------
        core.errors.RetryLater
            When no readable answer came.
        core.errors.ConfigError
            When the keys are not accepted.
        """
        pairs = {symbol for symbol in symbols if is_crypto(symbol)}
        shares = {*symbols} - pairs
        return {**_told(sorted(shares), "stocks", self._shares), **_told(sorted(pairs), "crypto pairs", self._pairs)}

    def _shares(self, names: list[str]) -> Json:
        return dict(self._stocks.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=names)))

    def _pairs(self, names: list[str]) -> Json:
        return dict(self._crypto.get_crypto_latest_trade(CryptoLatestTradeRequest(symbol_or_symbols=names)))


def _told(symbols: list[str], what: str, ask: Ask) -> dict[str, PriceSeen]:
    """What Alpaca tells of the symbols. One that it does not know spoils the answer for all; each is then asked for alone."""
    names = {venue_symbol(symbol): symbol for symbol in symbols}
    if not names:
        return {}
    try:
        rows = ask(list(names))
        return {names[name]: PriceSeen(number(row["p"]), instant(row["t"])) for name, row in rows.items() if row}
    except APIError as error:
        if int(error.status_code or 0) not in UNKNOWN_SYMBOL:
            raise meaning(error, f"the last trades of {what}") from None
        if len(symbols) > 1:
            return {symbol: seen for each in symbols for symbol, seen in _told([each], what, ask).items()}
        log.warning("no_price", symbol=symbols[0], reason=str(error))
        return {}
    except (RequestException, *UNREADABLE) as error:
        raise RetryLater(f"Alpaca gave no readable answer about the last trades of {what} ({type(error).__name__}).") from None
