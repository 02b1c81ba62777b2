"""The one composition root: builds every adapter from the settings, lazily and once a process. Nothing else constructs them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import structlog

from core.errors import ConfigError
from core.log import configure_logging
from core.settings import Settings, get_settings
from pipeline.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic import SecretStr
    from sqlalchemy import Engine

    from ingestion.providers.base import Provider
    from ingestion.providers.yahoo import YahooProvider
    from ml.tracking.next_day_log import RegisteredNextDay
    from ml.tracking.registry import Registry
    from ml.tracking.research_runs import Tracking
    from monitoring.alerts import Alerts
    from pipeline.accounts.trading_account import TradingAccount
    from storage.features.feature_store import FeastStore
    from storage.trading.strategy_params import Snapshot
    from trading.brokers.alpaca import AlpacaBroker
    from trading.brokers.alpaca_data import AlpacaData
    from trading.brokers.alpaca_stream import TradeStream
    from trading.brokers.base import Broker, Quotes, Timetable
    from trading.brokers.ib import IBBroker
    from trading.brokers.paper import PaperBroker
    from trading.brokers.placing import Patience
    from trading.costs import Costs
    from trading.risk import Limits
    from trading.strategies.base import Strategy

log = structlog.get_logger()
VIX = "^VIX"


def utc_now() -> dt.datetime:
    """The wall clock, aware."""
    return dt.datetime.now(dt.UTC)


@dataclass
class Resources(Stores):
    """The desk's adapters. Tests pass their own settings, clock or parts."""

    settings: Settings
    clock: Callable[[], dt.datetime] = field(default=utc_now)

    @property
    def data_dir(self) -> Path:
        """Where everything local lives, absolute."""
        return self.settings.data_dir.absolute()

    @property
    def historical(self) -> bool:
        """Whether the provider is a finished history, at which nobody could have watched the bars arrive."""
        return self.settings.provider in {"sample", "files"}

    @cached_property
    def engine(self) -> Engine:
        """The `desk` database, migrated."""
        from storage.engine import open_engine

        return open_engine(self.settings)

    @cached_property
    def features(self) -> FeastStore:
        """The Feast feature store, definitions applied."""
        from storage.features.feature_store import FeastStore

        return FeastStore(self.settings, self.clock)

    @cached_property
    def provider(self) -> Provider:
        """Where bars come from."""
        from ingestion.providers.registry import make_provider

        return make_provider(self.settings)

    @cached_property
    def yahoo(self) -> YahooProvider:
        """Yahoo Finance, which lists earnings dates whatever the bars come from."""
        from ingestion.providers.yahoo import YahooProvider

        return YahooProvider(now=self.clock, cache_dir=self.data_dir / "yfinance")

    @cached_property
    def registry(self) -> Registry:
        """MLflow: runs, models, aliases."""
        from ml.tracking.registry import Registry
        from storage.engine import cluster_url

        uri = self.settings.mlflow_tracking_uri or cluster_url(self.settings, self.settings.mlflow_database_name)
        return Registry(uri, self.data_dir / "mlartifacts", self.settings.model_name)

    @cached_property
    def next_day_registry(self) -> Registry:
        """MLflow: the next-day model under its own name."""
        from ml.tracking.registry import Registry
        from storage.engine import cluster_url

        uri = self.settings.mlflow_tracking_uri or cluster_url(self.settings, self.settings.mlflow_database_name)
        return Registry(uri, self.data_dir / "mlartifacts", self.settings.next_day_model_name)

    def next_day_model(self, version: str) -> RegisteredNextDay:
        """A version of the next-day model; see `ml.tracking.next_day_log.load_next_day`."""
        from ml.tracking.next_day_log import load_next_day

        return load_next_day(self.next_day_registry, version)

    @cached_property
    def tracking(self) -> Tracking:
        """MLflow: runs of research, on the registry's server."""
        from ml.tracking.research_runs import Tracking
        from storage.engine import cluster_url

        uri = self.settings.mlflow_tracking_uri or cluster_url(self.settings, self.settings.mlflow_database_name)
        return Tracking(uri, self.data_dir / "mlartifacts")

    @cached_property
    def alerts(self) -> Alerts:
        """E-mail to people."""
        from monitoring.alerts import Alerts

        return Alerts(self.settings)

    @cached_property
    def strategies(self) -> tuple[Strategy, ...]:
        """The strategies that trade (`STRATEGIES`), with the parameters in force, with their filters, where switched on."""
        from pipeline.strategies import switched
        from trading.strategies.earnings_filter import EarningsFilter
        from trading.strategies.vix_filter import with_vix_filter

        calendar = self._earnings_calendar() if self.settings.earnings_gate else None
        found = []
        for name, rule in zip(self.settings.strategies, self.candidate_strategies, strict=True):
            strategy = with_vix_filter(rule)
            strategy = strategy if calendar is None else EarningsFilter(strategy, calendar)
            found.append(switched(strategy, name, self._in_force))
        return tuple(found)

    @cached_property
    def candidate_strategies(self) -> tuple[Strategy, ...]:
        """The same rules without filters and switches: what the entry filter learns from, in every regime, VIX known or not."""
        from pipeline.strategies import desk_rules

        return desk_rules(self.settings.strategies, self._in_force)

    @cached_property
    def _in_force(self) -> Snapshot:
        """Parameters of the moment they are first asked for: every step of a process decides by the same ones."""
        return self.parameters.as_of(None)

    def _earnings_calendar(self) -> dict[str, tuple[dt.date, ...]]:
        """Known announcement dates; says which symbols nothing holds back for want of a date."""
        from trading.strategies.earnings_filter import lapsed

        dates = self.earnings.calendar()
        if not dates:
            log.warning("earnings_calendar_empty", remedy="desk earnings --file FILE, or --from-yfinance")
        elif not self.historical and (names := lapsed(dates, self.clock().date())):
            log.warning("earnings_dates_lapsed", symbols=names, remedy="desk earnings --from-yfinance")
        return dates

    @property
    def costs(self) -> Costs:
        """Commission and slippage."""
        from trading.costs import Costs

        return Costs(commission_bps=self.settings.commission_bps, slippage_bps=self.settings.slippage_bps)

    @property
    def patience(self) -> Patience:
        """How long a silent broker is asked again."""
        from trading.brokers.placing import Patience

        return Patience(deadline_seconds=self.settings.broker_deadline_seconds)

    @property
    def limits(self) -> Limits:
        """Sizing and position limits."""
        from trading.risk import Limits

        return Limits(
            risk_per_trade_pct=self.settings.risk_per_trade_pct,
            max_position_pct=self.settings.max_position_pct,
            max_positions=self.settings.max_positions,
            max_exposure_pct=self.settings.max_exposure_pct,
            max_drawdown_pct=self.settings.max_drawdown_pct,
        )

    @cached_property
    def broker(self) -> Broker:
        """The venue that `BROKER` names."""
        return self.paper or (self.alpaca if self.settings.broker == "alpaca" else self.ib)

    @property
    def account(self) -> TradingAccount:
        """The portfolio's trading account: ledger, broker and prices."""
        from pipeline.accounts.trading_account import TradingAccount

        settings = self.settings
        initial = settings.initial_cash_usd if settings.broker == "paper" else settings.broker_initial_cash_usd
        return TradingAccount(
            portfolio=settings.portfolio,
            ledger=self.ledger,
            broker=self.broker,
            bars=self.bars,
            patience=self.patience,
            initial_cash_usd=None if initial is None else float(initial),
        )

    @cached_property
    def paper(self) -> PaperBroker | None:
        """The paper broker over the ledger, which must be led through each session; None where another venue trades."""
        from trading.brokers.paper import PaperBroker, PaperRules

        if self.settings.broker != "paper":
            return None
        return PaperBroker(
            self.ledger,
            self.costs,
            portfolio=self.settings.portfolio,
            initial_cash_usd=self.settings.initial_cash_usd,
            rules=PaperRules(
                volume_share=self.settings.paper_volume_share,
                price_of=None if self.settings.paper_leverage is None else self.mark_at,
                leverage=self.settings.paper_leverage or 1.0,
            ),
        )

    @cached_property
    def alpaca(self) -> AlpacaBroker:
        """Alpaca: its paper account unless `BROKER_LIVE` asks for real money as well."""
        from trading.brokers.alpaca import AlpacaBroker
        from trading.brokers.alpaca_wire import AlpacaClient

        key, secret = self.alpaca_keys()
        client = AlpacaClient(
            key,
            secret,
            live=self.settings.broker_live,
            url=self.settings.alpaca_url,
            timeout_seconds=self.settings.broker_timeout_seconds,
        )
        return AlpacaBroker(
            client, self.last_close, brackets=self.settings.alpaca_brackets, gap_pct=self.settings.alpaca_gap_pct
        )

    @property
    def timetable(self) -> Timetable | None:
        """Clock and calendar of the venue that trades; None where it has none."""
        return self.alpaca if self.settings.broker == "alpaca" else None

    @property
    def quotes(self) -> Quotes | None:
        """Quotes of the venue that trades; None where it has none."""
        return self.alpaca_data if self.settings.broker == "alpaca" else None

    @cached_property
    def alpaca_data(self) -> AlpacaData:
        """Alpaca's quotes, and its last trades, by which the desk watches the stops that do not rest there."""
        from trading.brokers.alpaca_data import AlpacaData

        settings = self.settings
        return AlpacaData(
            *self.alpaca_keys(),
            url=settings.alpaca_data_url,
            feed=settings.alpaca_data_feed,
            timeout_seconds=settings.broker_timeout_seconds,
        )

    @cached_property
    def ib(self) -> IBBroker:
        """Interactive Brokers, through TWS or IB Gateway: a paper account unless `BROKER_LIVE` asks for real money as well."""
        from trading.brokers.ib import IBBroker
        from trading.brokers.ib_wire import IBWire

        settings = self.settings
        wire = IBWire(
            settings.ib_host,
            settings.ib_port,
            settings.ib_client_id,
            live=settings.broker_live,
            timeout_seconds=settings.broker_timeout_seconds,
        )
        return IBBroker(wire, self.last_close)

    def alpaca_stream(self) -> TradeStream:
        """A connection to come, to Alpaca's trade updates: of its paper account unless `BROKER_LIVE` is set as well."""
        from trading.brokers.alpaca_stream import TradeStream

        key, secret = self.alpaca_keys()
        return TradeStream(key, secret, live=self.settings.broker_live, url=self.settings.alpaca_stream_url)

    def alpaca_keys(self) -> tuple[SecretStr, SecretStr]:
        """Alpaca's pair of keys.

        Raises
        ------
        core.errors.ConfigError
            When `BROKER` is not alpaca, or a key is missing.
        """
        key, secret = self.settings.alpaca_api_key, self.settings.alpaca_secret_key
        if self.settings.broker != "alpaca" or key is None or secret is None:
            raise ConfigError("Expected BROKER=alpaca with ALPACA_API_KEY and ALPACA_SECRET_KEY. Set the three.")
        return key, secret

    def last_close(self, symbol: str) -> float | None:
        """The newest close of a symbol in the bar store, at most a month old; None when there is none."""
        return self.close_at(symbol, self.clock().date())

    def close_at(self, symbol: str, day: dt.date) -> float | None:
        """The close of a symbol on a day or the last before it, at most a month earlier; None when there is none."""
        bars = self.bars.read([symbol], start=day - dt.timedelta(days=31), end=day)
        return None if bars.empty else float(bars.sort_values("session")["close"].iloc[-1])

    def mark_at(self, symbol: str, day: dt.date) -> float | None:
        """The newest close of a symbol at or before a day, however old; None when there never was one."""
        return self.bars.last_closes([symbol], day).get(symbol, (day, None))[1]

    def universe(self) -> list[str]:
        """Symbols the desk trades: `UNIVERSE`, else the provider's own."""
        return list(self.settings.universe or self.provider.default_universe)


@lru_cache(maxsize=1)
def live() -> Resources:
    """The process's resources from the environment."""
    settings = get_settings()
    configure_logging(settings.log_level)
    return Resources(settings)
