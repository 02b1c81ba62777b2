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
    from trading.brokers.alpaca import AlpacaBroker
    from trading.brokers.alpaca_data import AlpacaData
    from trading.brokers.alpaca_stream import TradeStream
    from trading.brokers.ib import IBBroker
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
        volume_share=settings.paper_volume_share,
        price_of=None if settings.paper_leverage is None else mark_at,
        leverage=settings.paper_leverage or 1.0,
    )
    return PaperBroker(ledger, costs, portfolio=settings.portfolio, initial_cash_usd=settings.initial_cash_usd, rules=rules)


def make_alpaca(settings: Settings, last_close: LastClose) -> AlpacaBroker:
    """Return Alpaca: its paper account unless `BROKER_LIVE` selects real money."""
    from trading.brokers.alpaca import AlpacaBroker
    from trading.brokers.alpaca_wire import AlpacaClient

    key, secret = alpaca_keys(settings)
    timeout = settings.broker_timeout_seconds
    client = AlpacaClient(key, secret, live=settings.broker_live, url=settings.alpaca_url, timeout_seconds=timeout)
    return AlpacaBroker(client, last_close, brackets=settings.alpaca_brackets, gap_pct=settings.alpaca_gap_pct)


def make_alpaca_data(settings: Settings) -> AlpacaData:
    """Return Alpaca's market data: quotes, and the last trades by which the desk watches stops that do not rest there."""
    from trading.brokers.alpaca_data import AlpacaData

    return AlpacaData(
        *alpaca_keys(settings),
        url=settings.alpaca_data_url,
        feed=settings.alpaca_data_feed,
        timeout_seconds=settings.broker_timeout_seconds,
    )


def make_alpaca_stream(settings: Settings) -> TradeStream:
    """Return an unopened Alpaca trade-update stream: of its paper account unless `BROKER_LIVE` selects real money."""
    from trading.brokers.alpaca_stream import TradeStream

    key, secret = alpaca_keys(settings)
    return TradeStream(key, secret, live=settings.broker_live, url=settings.alpaca_stream_url)


def make_ib(settings: Settings, last_close: LastClose) -> IBBroker:
    """Return Interactive Brokers through TWS or IB Gateway: a paper account unless `BROKER_LIVE` selects real money."""
    from trading.brokers.ib import IBBroker
    from trading.brokers.ib_wire import IBWire

    wire = IBWire(
        settings.ib_host,
        settings.ib_port,
        settings.ib_client_id,
        live=settings.broker_live,
        timeout_seconds=settings.broker_timeout_seconds,
    )
    return IBBroker(wire, last_close)


def alpaca_keys(settings: Settings) -> tuple[SecretStr, SecretStr]:
    """Return Alpaca's key and secret.

    Raises
    ------
    ConfigError
        When `BROKER` is not alpaca, or one of the two is missing.
    """
    key, secret = settings.alpaca_api_key, settings.alpaca_secret_key
    if settings.broker != "alpaca" or key is None or secret is None:
        raise ConfigError("Expected BROKER=alpaca with ALPACA_API_KEY and ALPACA_SECRET_KEY. Set the three.")
    return key, secret
