"""The composition root: build every adapter from the settings, on first use and once a process."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import structlog

from core.log import configure_logging
from core.settings import Settings, get_settings
from pipeline.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine

    from ingestion.providers.base import Provider
    from ingestion.providers.yahoo import YahooProvider
    from ml.tracking.next_day_log import RegisteredNextDay
    from ml.tracking.registry import Registry
    from ml.tracking.research_runs import Tracking
    from monitoring.alerts import Alerts
    from pipeline.accounts.trading_account import TradingAccount
    from storage.features.feature_store import FeastStore
    from storage.research.runs import Runs
    from storage.research.studies import Studies
    from storage.trading.strategy_params import Snapshot
    from trading.brokers.alpaca.broker import AlpacaBroker
    from trading.brokers.alpaca.data import AlpacaData
    from trading.brokers.alpaca.stream import TradeStream
    from trading.brokers.base import Broker, Quotes, Timetable
    from trading.brokers.ib.broker import IBBroker
    from trading.brokers.paper import PaperBroker
    from trading.brokers.placing import Patience
    from trading.costs import Costs
    from trading.risk import Limits
    from trading.strategies.base import Strategy

log = structlog.get_logger()


def utc_now() -> dt.datetime:
    """Return the present moment, aware."""
    return dt.datetime.now(dt.UTC)


@dataclass
class Resources(Stores):
    """The desk's adapters, each built on first use. Tests pass their own settings, clock or parts.

    Attributes
    ----------
    as_of
        Moment (aware) at which strategy parameters and earnings dates are read; None reads the newest.
    """

    settings: Settings
    clock: Callable[[], dt.datetime] = field(default=utc_now)
    as_of: dt.datetime | None = None

    @property
    def data_dir(self) -> Path:
        """Absolute path of the folder for everything local."""
        return self.settings.data_dir.absolute()

    @property
    def historical(self) -> bool:
        """True when the provider is a finished history, whose bars nobody could have watched arrive."""
        return self.settings.provider in {"sample", "files"}

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
        from storage.engine import cluster_url
        from storage.research.studies import Studies

        return Studies(cluster_url(self.settings, self.settings.database.name))

    @cached_property
    def features(self) -> FeastStore:
        """The Feast feature store, definitions applied."""
        from storage.features.feature_store import FeastStore

        return FeastStore(self.settings, self.clock)

    @cached_property
    def provider(self) -> Provider:
        """The source of bars."""
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

        uri = self.settings.tracking.uri or cluster_url(self.settings, self.settings.database.mlflow_name)
        return Registry(uri, self.data_dir / "mlartifacts", self.settings.training.model_name)

    @cached_property
    def next_day_registry(self) -> Registry:
        """MLflow: the next-day model under its own name."""
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
        from ml.tracking.research_runs import Tracking
        from storage.engine import cluster_url

        uri = self.settings.tracking.uri or cluster_url(self.settings, self.settings.database.mlflow_name)
        return Tracking(uri, self.data_dir / "mlartifacts")

    @cached_property
    def alerts(self) -> Alerts:
        """E-mail to people."""
        from monitoring.alerts import Alerts

        return Alerts(self.settings)

    @cached_property
    def strategies(self) -> tuple[Strategy, ...]:
        """The strategies that trade (`STRATEGIES`), with the parameters in force, their filters, and their switches."""
        from pipeline.strategies import switched
        from trading.strategies.earnings_filter import EarningsFilter
        from trading.strategies.vix_filter import with_vix_filter

        calendar = self._earnings_calendar() if self.settings.filters.earnings else None
        traded = []
        for name, rule in zip(self.settings.strategies, self.candidate_strategies, strict=True):
            strategy = with_vix_filter(rule)
            strategy = strategy if calendar is None else EarningsFilter(strategy, calendar)
            traded.append(switched(strategy, name, self._in_force))
        return tuple(traded)

    @cached_property
    def candidate_strategies(self) -> tuple[Strategy, ...]:
        """The same rules without filters and switches: the entry filter learns from them in every regime, VIX known or not."""
        from pipeline.strategies import desk_rules

        return desk_rules(self.settings.strategies, self._in_force)

    @cached_property
    def _in_force(self) -> Snapshot:
        """Parameters in force at the first use: every step of a process decides by the same ones."""
        return self.parameters.as_of(self.as_of)

    def _earnings_calendar(self) -> dict[str, tuple[dt.date, ...]]:
        """Announcement dates by symbol; log the symbols that have no date ahead and so are never held back."""
        from trading.strategies.earnings_filter import lapsed

        dates = self.earnings.calendar(self.as_of)
        if not dates:
            log.warning("earnings_calendar_empty", remedy="desk earnings --file FILE, or --from-yfinance")
        elif not self.historical and (names := lapsed(dates, self.clock().date())):
            log.warning("earnings_dates_lapsed", symbols=names, remedy="desk earnings --from-yfinance")
        return dates

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
        )

    @cached_property
    def broker(self) -> Broker:
        """The venue that `VENUE__KIND` names."""
        return self.paper or (self.alpaca if self.settings.venue.kind == "alpaca" else self.ib)

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
        from pipeline.venues import make_alpaca

        return make_alpaca(self.settings, self.last_close)

    @cached_property
    def alpaca_data(self) -> AlpacaData:
        """Alpaca's quotes and last trades."""
        from pipeline.venues import make_alpaca_data

        return make_alpaca_data(self.settings)

    @cached_property
    def ib(self) -> IBBroker:
        """Interactive Brokers, through TWS or IB Gateway: a paper account unless `VENUE__LIVE` selects real money."""
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

    def universe(self) -> list[str]:
        """Return the symbols that the desk trades: `UNIVERSE`, else the provider's own."""
        return list(self.settings.universe or self.provider.default_universe)

    def at(self, moment: dt.datetime | None) -> Resources:
        """Return the desk with the parameters and earnings dates known at a moment (aware), on its database; None: itself."""
        if moment is None:
            return self
        return self._on_same_database(replace(self, as_of=moment))

    def for_portfolio(self, name: str) -> Resources:
        """Return the desk on the same database for another portfolio; itself when it is this one."""
        if name == self.settings.portfolio:
            return self
        return self._on_same_database(replace(self, settings=self.settings.with_changes(portfolio=name)))

    def _on_same_database(self, other: Resources) -> Resources:
        other.engine = self.engine
        return other


@lru_cache(maxsize=1)
def live() -> Resources:
    """Return the process's resources, from the environment."""
    settings = get_settings()
    configure_logging(settings.log_level)
    return Resources(settings)
