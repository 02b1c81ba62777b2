"""The composition root: build every adapter from the settings, on first use and once a process."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING

import structlog

from core.log import configure_logging
from core.settings import Settings, get_settings
from pipeline.traded_strategies import TradedStrategies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine

    from core.deployments import Deployment
    from ingestion.providers.base import Provider
    from ingestion.providers.yahoo import YahooProvider
    from ml.tracking.next_day_log import RegisteredNextDay
    from ml.tracking.registry import Registry
    from ml.tracking.research_runs import Tracking
    from monitoring.alert_desk import AlertDesk
    from monitoring.alerts import Alerts
    from pipeline.accounts.trading_account import TradingAccount
    from storage.features.feature_store import FeastStore
    from storage.research.runs import Runs
    from storage.research.studies import Studies
    from trading.brokers.alpaca.broker import AlpacaBroker
    from trading.brokers.alpaca.data import AlpacaData
    from trading.brokers.alpaca.stream import TradeStream
    from trading.brokers.base import Broker, Quotes, Timetable
    from trading.brokers.ib.broker import IBBroker
    from trading.brokers.paper import PaperBroker
    from trading.brokers.placing import Patience
    from trading.costs import Costs
    from trading.risk import Limits

log = structlog.get_logger()


def utc_now() -> dt.datetime:
    """Return the present moment, aware."""
    return dt.datetime.now(dt.UTC)


@dataclass
class Resources(TradedStrategies):
    """The desk's adapters, each built on first use. Tests pass their own settings, clock or parts.

    Attributes
    ----------
    as_of
        Moment (aware) at which strategy parameters, earnings dates and deployments are read; None reads the newest.
    deployment
        The deployment that trades; None for the default one, which the settings describe.
    parent
        The default deployment's desk where another trades, whose adapters it shares; None for that one itself.
    """

    settings: Settings
    clock: Callable[[], dt.datetime] = field(default=utc_now)
    as_of: dt.datetime | None = None
    deployment: Deployment | None = None
    parent: Resources | None = None

    @property
    def data_dir(self) -> Path:
        """Absolute path of the folder for everything local."""
        return self.settings.data_dir.absolute()

    @property
    def desk_portfolio(self) -> str:
        """Name of the default deployment and of its book."""
        return (self.parent or self).settings.portfolio

    @cached_property
    def engine(self) -> Engine:
        """The `desk` database, migrated; the calendars that its table of instruments corrects are in force from here on."""
        from core.instruments import calendar_corrections
        from core.sessions import correct_calendars
        from storage.engine import open_engine
        from storage.market.instruments import InstrumentStore

        engine = open_engine(self.settings)
        correct_calendars(calendar_corrections(InstrumentStore(engine).read()))
        return engine

    @cached_property
    def runs(self) -> Runs:
        """Backtest runs, in the database and as files."""
        from storage.research.runs import Runs

        return Runs(self.engine, self.data_dir / "runs")

    @cached_property
    def studies(self) -> Studies:
        """Optuna's studies, in the `desk` database."""
        if self.parent is not None:
            return self.parent.studies
        from storage.engine import cluster_url
        from storage.research.studies import Studies

        return Studies(cluster_url(self.settings, self.settings.database.name))

    @cached_property
    def features(self) -> FeastStore:
        """The Feast feature store, definitions applied."""
        if self.parent is not None:
            return self.parent.features
        from storage.features.feature_store import FeastStore

        return FeastStore(self.settings, self.clock)

    @cached_property
    def provider(self) -> Provider:
        """The source of bars."""
        if self.parent is not None:
            return self.parent.provider
        from ingestion.providers.registry import make_provider

        return make_provider(self.settings)

    @cached_property
    def yahoo(self) -> YahooProvider:
        """Yahoo Finance, which lists earnings dates whatever the bars come from."""
        if self.parent is not None:
            return self.parent.yahoo
        from ingestion.providers.yahoo import YahooProvider

        return YahooProvider(now=self.clock, cache_dir=self.data_dir / "yfinance")

    @cached_property
    def registry(self) -> Registry:
        """MLflow: runs, models, aliases."""
        if self.parent is not None:
            return self.parent.registry
        from ml.tracking.registry import Registry
        from storage.engine import cluster_url

        uri = self.settings.tracking.uri or cluster_url(self.settings, self.settings.database.mlflow_name)
        return Registry(uri, self.data_dir / "mlartifacts", self.settings.training.model_name)

    @cached_property
    def next_day_registry(self) -> Registry:
        """MLflow: the next-day model under its own name."""
        if self.parent is not None:
            return self.parent.next_day_registry
        from ml.tracking.registry import Registry
        from storage.engine import cluster_url

        uri = self.settings.tracking.uri or cluster_url(self.settings, self.settings.database.mlflow_name)
        return Registry(uri, self.data_dir / "mlartifacts", self.settings.next_day.model_name)

    def next_day_model(self, version: str) -> RegisteredNextDay:
        """A version of the next-day model; see `ml.tracking.next_day_log.load_next_day`."""
        from ml.tracking.next_day_log import load_next_day

        return load_next_day(self.next_day_registry, version)

    @cached_property
    def tracking(self) -> Tracking:
        """MLflow: runs of research, on the registry's server."""
        if self.parent is not None:
            return self.parent.tracking
        from ml.tracking.research_runs import Tracking
        from storage.engine import cluster_url

        uri = self.settings.tracking.uri or cluster_url(self.settings, self.settings.database.mlflow_name)
        return Tracking(uri, self.data_dir / "mlartifacts")

    @cached_property
    def alerts(self) -> Alerts:
        """Messages to people: e-mail and `ALERTS__URLS`."""
        if self.parent is not None:
            return self.parent.alerts
        from monitoring.alerts import Alerts

        return Alerts(self.settings)

    @property
    def alert_desk(self) -> AlertDesk:
        """Alerts of recurring conditions, with a life."""
        from monitoring.alert_desk import AlertDesk

        return AlertDesk(self.alert_log, self.alerts, self.clock, self.settings.alerts.remind_hours)

    @property
    def costs(self) -> Costs:
        """Commission and slippage."""
        from trading.costs import Costs

        return Costs(commission_bps=self.settings.costs.commission_bps, slippage_bps=self.settings.costs.slippage_bps)

    @property
    def patience(self) -> Patience:
        """Retry policy for a broker that does not answer."""
        from trading.brokers.placing import Patience

        return Patience(deadline_seconds=self.settings.venue.deadline_seconds)

    @property
    def limits(self) -> Limits:
        """Sizing and position limits."""
        from trading.risk import Limits

        return Limits(
            risk_per_trade_pct=self.settings.risk.per_trade_pct,
            max_position_pct=self.settings.risk.max_position_pct,
            max_positions=self.settings.risk.max_positions,
            max_exposure_pct=self.settings.risk.max_exposure_pct,
            max_drawdown_pct=self.settings.risk.max_drawdown_pct,
            halve_drawdown_pct=self.settings.risk.halve_drawdown_pct,
        )

    @cached_property
    def broker(self) -> Broker:
        """The venue that `VENUE__KIND` names; at an outside one, the book's part of the account."""
        from pipeline.accounts.shared_books import part_of_account
        from storage.turns import VENUE_ACCOUNT, in_turn

        if self.paper is not None:
            return self.paper
        venue = self.alpaca if self.settings.venue.kind == "alpaca" else self.ib
        return part_of_account(
            venue,
            self.ledger,
            self.deployments,
            portfolio=self.settings.portfolio,
            first=self.desk_portfolio,
            initial_usd=None if self.deployment is None else self.deployment.capital_usd,
            live=self.settings.venue.live,
            price_of=self.last_close,
            patience=self.patience,
            turn=partial(in_turn, self.engine, VENUE_ACCOUNT),
        )

    @property
    def account(self) -> TradingAccount:
        """The portfolio's trading account: ledger, broker and prices."""
        from pipeline.accounts.trading_account import TradingAccount

        settings = self.settings
        initial = settings.initial_cash_usd if settings.venue.kind == "paper" else settings.venue.initial_cash_usd
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
        """The paper broker over the ledger, which processes each session in turn; None where another venue trades."""
        from pipeline.venues import make_paper

        if self.settings.venue.kind != "paper":
            return None
        return make_paper(self.settings, self.ledger, self.costs, self.mark_at)

    @cached_property
    def alpaca(self) -> AlpacaBroker:
        """Alpaca: its paper account unless `VENUE__LIVE` selects real money."""
        if self.parent is not None:
            return self.parent.alpaca
        from pipeline.venues import make_alpaca

        return make_alpaca(self.settings, self.last_close)

    @cached_property
    def alpaca_data(self) -> AlpacaData:
        """Alpaca's quotes and last trades."""
        if self.parent is not None:
            return self.parent.alpaca_data
        from pipeline.venues import make_alpaca_data

        return make_alpaca_data(self.settings)

    @cached_property
    def ib(self) -> IBBroker:
        """Interactive Brokers, through TWS or IB Gateway: a paper account unless `VENUE__LIVE` selects real money."""
        if self.parent is not None:
            return self.parent.ib
        from pipeline.venues import make_ib

        return make_ib(self.settings, self.last_close)

    def alpaca_stream(self) -> TradeStream:
        """Return an unopened Alpaca trade-update stream."""
        from pipeline.venues import make_alpaca_stream

        return make_alpaca_stream(self.settings)

    @property
    def timetable(self) -> Timetable | None:
        """Clock and calendar of the venue that trades; None where it has none."""
        return self.alpaca if self.settings.venue.kind == "alpaca" else None

    @property
    def quotes(self) -> Quotes | None:
        """Quotes of the venue that trades; None where it has none."""
        return self.alpaca_data if self.settings.venue.kind == "alpaca" else None

    def last_close(self, symbol: str) -> float | None:
        """Return the newest stored close of a symbol, at most a month old; None when there is none."""
        return self.close_at(symbol, self.clock().date())

    def close_at(self, symbol: str, day: dt.date) -> float | None:
        """Return the newest close of a symbol at or before a day, at most a month old; None when there is none."""
        from pipeline.bars import close_at

        return close_at(self.bars, symbol, day)

    def mark_at(self, symbol: str, day: dt.date) -> float | None:
        """Return the newest close of a symbol at or before a day, however old; None when there never was one."""
        from pipeline.bars import mark_at

        return mark_at(self.bars, symbol, day)

    def at(self, moment: dt.datetime | None) -> Resources:
        """Return the desk with the parameters and earnings dates known at a moment (aware), on its database; None: itself."""
        return self if moment is None else _on_database_of(self, replace(self, as_of=moment))

    def for_portfolio(self, name: str) -> Resources:
        """Return the desk for another portfolio, on the same database and adapters; itself when it is this one.

        A deployment of that name brings its sleeves, capital and risk profile along.
        """
        root = self.parent or self
        if name == self.settings.portfolio:
            return self
        if name == root.settings.portfolio:
            return root
        deployment = self.deployments.get(name, until=self.as_of)
        if deployment is not None and deployment.sleeves:
            return self.for_deployment(deployment)
        return _on_database_of(root, replace(root, settings=root.settings.with_changes(portfolio=name), parent=root))

    def for_deployment(self, deployment: Deployment) -> Resources:
        """Return the desk for a deployment with sleeves of its own, on the same database and adapters."""
        from pipeline.deployed_settings import settings_of

        root = self.parent or self
        settings = settings_of(root.settings, deployment)
        return _on_database_of(root, replace(root, settings=settings, deployment=deployment, parent=root))


def _on_database_of(desk: Resources, other: Resources) -> Resources:
    """Return the other desk with the engine of the first."""
    other.engine = desk.engine
    return other


@lru_cache(maxsize=1)
def live() -> Resources:
    """Return the process's resources, from the environment."""
    settings = get_settings()
    configure_logging(settings.log_level)
    return Resources(settings)
