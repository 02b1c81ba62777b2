"""Build the brokers and market-data clients that the settings name. Nothing here connects before its first request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import ConfigError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from pydantic import SecretStr

    from core.settings import Settings
    from storage.trading.ledger import Ledger
    from trading.brokers.alpaca.broker import AlpacaBroker
    from trading.brokers.alpaca.data import AlpacaData
    from trading.brokers.alpaca.stream import TradeStream
    from trading.brokers.ib.broker import IBBroker
    from trading.brokers.paper import PaperBroker
    from trading.costs import Costs

    PriceAt = Callable[[str, dt.date], float | None]
    LastClose = Callable[[str], float | None]


def make_paper(settings: Settings, ledger: Ledger, costs: Costs, mark_at: PriceAt) -> PaperBroker:
    """Return the paper broker over the ledger.

    Parameters
    ----------
    mark_at
        Newest close of a symbol at or before a day; a broker with a leverage limit values its positions by it.
    """
    from trading.brokers.paper import PaperBroker, PaperRules

    rules = PaperRules(
        volume_share=settings.venue.paper.volume_share,
        price_of=None if settings.venue.paper.leverage is None else mark_at,
        leverage=settings.venue.paper.leverage or 1.0,
    )
    return PaperBroker(ledger, costs, portfolio=settings.portfolio, initial_cash_usd=settings.initial_cash_usd, rules=rules)


def make_alpaca(settings: Settings, last_close: LastClose) -> AlpacaBroker:
    """Return Alpaca: its paper account unless `VENUE__LIVE` selects real money."""
    from trading.brokers.alpaca.broker import AlpacaBroker
    from trading.brokers.alpaca.wire import AlpacaClient

    key, secret = alpaca_keys(settings)
    timeout = settings.venue.timeout_seconds
    client = AlpacaClient(key, secret, live=settings.venue.live, url=settings.venue.alpaca.url, timeout_seconds=timeout)
    return AlpacaBroker(client, last_close, brackets=settings.venue.alpaca.brackets, gap_pct=settings.venue.alpaca.gap_pct)


def make_alpaca_data(settings: Settings) -> AlpacaData:
    """Return Alpaca's market data: quotes, and the last trades by which the desk watches stops that do not rest there."""
    from trading.brokers.alpaca.data import AlpacaData

    return AlpacaData(
        *alpaca_keys(settings),
        url=settings.venue.alpaca.data_url,
        feed=settings.venue.alpaca.data_feed,
        timeout_seconds=settings.venue.timeout_seconds,
    )


def make_alpaca_stream(settings: Settings) -> TradeStream:
    """Return an unopened Alpaca trade-update stream: of its paper account unless `VENUE__LIVE` selects real money."""
    from trading.brokers.alpaca.stream import TradeStream

    key, secret = alpaca_keys(settings)
    return TradeStream(key, secret, live=settings.venue.live, url=settings.venue.alpaca.stream_url)


def make_ib(settings: Settings, last_close: LastClose) -> IBBroker:
    """Return Interactive Brokers through TWS or IB Gateway: a paper account unless `VENUE__LIVE` selects real money."""
    from trading.brokers.ib.broker import IBBroker
    from trading.brokers.ib.wire import IBWire

    wire = IBWire(
        settings.venue.ib.host,
        settings.venue.ib.port,
        settings.venue.ib.client_id,
        live=settings.venue.live,
        timeout_seconds=settings.venue.timeout_seconds,
    )
    return IBBroker(wire, last_close)


def alpaca_keys(settings: Settings) -> tuple[SecretStr, SecretStr]:
    """Return Alpaca's key and secret.

    Raises
    ------
    ConfigError
        When `VENUE__KIND` is not alpaca, or one of the two is missing.
    """
    key, secret = settings.venue.alpaca.api_key, settings.venue.alpaca.secret_key
    if settings.venue.kind != "alpaca" or key is None or secret is None:
        raise ConfigError(
            "Expected VENUE__KIND=alpaca with VENUE__ALPACA__API_KEY and VENUE__ALPACA__SECRET_KEY. Set the three."
        )
    return key, secret
