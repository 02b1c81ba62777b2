"""A desk for the API: a real database, with stand-ins of the model registry, the online store and the alerts."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from fastapi.testclient import TestClient

from core.frames import FEATURES
from ml.entry_filter.predict import EntryFilter, Payoff
from ml.next_day.next_day import NextDay
from ml.tracking.next_day_log import RegisteredNextDay
from monitoring.alert_desk import AlertDesk
from pipeline.sleeves import TradedSleeve
from serving.app import create_app
from storage.alerts.alert_log import AlertLog
from storage.research.datasets import Datasets
from storage.research.portfolios import Portfolios
from storage.research.runs import Runs
from storage.research.trials import Trials
from storage.trading.deployments import Deployments
from storage.trading.evening_steps import EveningSteps
from storage.trading.guard_findings import GuardFindings
from storage.trading.halts import Halts
from storage.trading.ledger import Ledger
from storage.trading.lineage import Lineage
from storage.trading.position_rules import PositionRules
from storage.trading.served import ServedPredictions
from storage.trading.strategy_params import StrategyParams
from storage.views.bar_history import BarHistory
from storage.views.book_figures import BookFigures
from storage.views.heartbeat_points import HeartbeatPoints
from storage.views.live_record import LiveRecords
from storage.views.model_life import ModelPages
from storage.views.record_pages import RecordPages
from storage.views.research_pages import ResearchPages
from storage.views.trial_map import TrialMap
from trading.strategies.registry import make_strategy
from trading.strategies.vix_filter import with_vix_filter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import sqlalchemy as sa

    from core.settings import Settings
    from ml.tracking.version_list import ListedVersion
    from trading.strategies.base import Strategy

READ_KEY, CONTROL_KEY = "r" * 20, "c" * 20
FRIDAY_CLOSE = pd.Timestamp("2018-12-28 21:00", tz="UTC")


class Registry:
    """Versions under aliases, in memory; the higher the version, the surer the filter."""

    def __init__(self) -> None:
        self.versions = {"champion": "1"}
        self.loads: list[str] = []
        self.broken = False
        self.features: dict[str, tuple[str, ...]] = {}
        self.probability: dict[str, float] = {}
        self.strategies: dict[str, tuple[str, ...]] = {}
        self.listed: list[ListedVersion] = []
        self.predictions: dict[str, pd.DataFrame] = {}

    @property
    def aliases(self) -> Registry:
        return self

    def all(self) -> dict[str, str]:
        if self.broken:
            raise ConnectionError("no route")
        return dict(self.versions)

    def listed_versions(self, limit: int) -> list[ListedVersion]:
        if self.broken:
            raise ConnectionError("no route")
        return self.listed[:limit]

    def out_of_sample(self, run_id: str) -> pd.DataFrame:
        if self.broken:
            raise ConnectionError("no route")
        return self.predictions[run_id]

    def load(self, version: str) -> EntryFilter:
        self.loads.append(version)
        sure = self.probability.get(version, 0.5 + 0.1 * int(version))
        features = self.features.get(version, FEATURES)
        payoffs = {name: Payoff(0.02, -0.01) for name in self.strategies.get(version, ("bollinger",))}
        return EntryFilter("entry-filter", version, lambda X: np.full(len(X), sure), payoffs, features, "2018-12-28")


class NextDayRegistry(Registry):
    """Versions of the next-day model, in memory; none at first. The higher the version, the higher the return it predicts."""

    def __init__(self) -> None:
        super().__init__()
        self.versions = {}
        self.returns: dict[str, float] = {}

    def load_next_day(self, version: str) -> RegisteredNextDay:
        self.loads.append(version)
        said = self.returns.get(version, 0.02 * (int(version) - 2))
        features = self.features.get(version, FEATURES)
        model = NextDay(Always(said), np.linspace(-2, 2, 201), 0.01, features)
        return RegisteredNextDay("next-day-return", version, model, "2018-12-28")


class Always:
    """An estimator that has one answer."""

    def __init__(self, answer: float) -> None:
        self.answer = answer

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return np.full(len(X), self.answer)


class FeatureStore:
    """Newest features by symbol; `put` is a materialisation."""

    def __init__(self) -> None:
        self.seen = {"^GSPC": FRIDAY_CLOSE, "OLD": FRIDAY_CLOSE - pd.Timedelta(days=7), "YOUNG": FRIDAY_CLOSE}
        self.values = {"^GSPC": 0.5, "OLD": 0.5, "YOUNG": np.nan}
        self.number = 1
        self.reads: list[list[str]] = []

    def materialisation(self) -> int:
        return self.number

    def put(self, symbol: str, close: pd.Timestamp, value: float) -> None:
        self.seen[symbol], self.values[symbol] = close, value
        self.number += 1

    def online(self, symbols: Sequence[str]) -> pd.DataFrame:
        self.reads.append(list(symbols))
        stamps = pd.to_datetime(pd.Series([self.seen.get(symbol, pd.NaT) for symbol in symbols]), utc=True)
        values = [self.values.get(symbol, np.nan) for symbol in symbols]
        return pd.DataFrame({"symbol": list(symbols), "event_timestamp": stamps, **dict.fromkeys(FEATURES, values)})


class Bars:
    """What is stored."""

    def symbols(self) -> list[str]:
        return ["OLD", "YOUNG", "^GSPC"]

    def last_sessions(self) -> dict[str, dt.date]:
        return {"^GSPC": dt.date(2018, 12, 28), "OLD": dt.date(2018, 12, 21)}


class Alerts:
    """Alerts that were sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, subject: str, body: str, _severity: str = "warning") -> bool:
        self.sent.append((subject, body))
        return True


@dataclass
class Desk:
    """The resources that the API uses."""

    settings: Settings
    engine: sa.Engine
    data_dir: Path
    historical: bool = True
    parent: None = None
    deployment: None = None
    now: dt.datetime = dt.datetime(2018, 12, 29, 12, tzinfo=dt.UTC)
    registry: Registry = field(default_factory=Registry)
    next_day_registry: NextDayRegistry = field(default_factory=NextDayRegistry)
    features: FeatureStore = field(default_factory=FeatureStore)
    bars: Bars = field(default_factory=Bars)
    alerts: Alerts = field(default_factory=Alerts)

    def clock(self) -> dt.datetime:
        return self.now

    def next_day_model(self, version: str) -> RegisteredNextDay:
        return self.next_day_registry.load_next_day(version)

    @property
    def parameters(self) -> StrategyParams:
        return StrategyParams(self.engine)

    @property
    def desk_portfolio(self) -> str:
        return self.settings.portfolio

    @property
    def deployments(self) -> Deployments:
        return Deployments(self.engine)

    @property
    def halts(self) -> Halts:
        return Halts(self.engine)

    @property
    def alert_log(self) -> AlertLog:
        return AlertLog(self.engine)

    @property
    def alert_desk(self) -> AlertDesk:
        return AlertDesk(self.alert_log, self.alerts, self.clock, 24.0)  # type: ignore[arg-type]

    @property
    def served(self) -> ServedPredictions:
        return ServedPredictions(self.engine)

    @property
    def runs(self) -> Runs:
        return Runs(self.engine, self.data_dir / "runs")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.engine)

    @property
    def lineage(self) -> Lineage:
        return Lineage(self.engine)

    @property
    def book_figures(self) -> BookFigures:
        return BookFigures(self.engine)

    @property
    def bar_history(self) -> BarHistory:
        return BarHistory(self.engine)

    @property
    def heartbeat_points(self) -> HeartbeatPoints:
        return HeartbeatPoints(self.engine)

    @property
    def guard_findings(self) -> GuardFindings:
        return GuardFindings(self.engine)

    @property
    def position_rules(self) -> PositionRules:
        return PositionRules(self.engine)

    @property
    def live_records(self) -> LiveRecords:
        return LiveRecords(self.engine)

    @property
    def model_pages(self) -> ModelPages:
        return ModelPages(self.engine)

    @property
    def research_pages(self) -> ResearchPages:
        return ResearchPages(self.engine)

    @cached_property
    def trials(self) -> Trials:
        return Trials(self.engine)

    @property
    def datasets(self) -> Datasets:
        return Datasets(self.engine)

    @cached_property
    def trial_map(self) -> TrialMap:
        return TrialMap(self.engine)

    @property
    def record_pages(self) -> RecordPages:
        return RecordPages(self.engine)

    @property
    def evening_steps(self) -> EveningSteps:
        return EveningSteps(self.engine)

    @property
    def portfolios(self) -> Portfolios:
        return Portfolios(self.engine)

    def for_portfolio(self, name: str) -> Desk:
        return replace(self, settings=self.settings.with_changes(portfolio=name))

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        return (with_vix_filter(make_strategy("bollinger")),)

    @property
    def sleeves(self) -> tuple[TradedSleeve, ...]:
        return (TradedSleeve(self.strategies, tuple(self.universe()), None, filtered=True),)

    def universe(self) -> list[str]:
        return ["^GSPC"]


def client_of(desk: Desk, host: str = "127.0.0.1") -> TestClient:
    """A client of the API over the desk, from an address."""
    return TestClient(create_app(desk), raise_server_exceptions=False, client=(host, 50_000))  # type: ignore[arg-type]


def ask(api: TestClient, **body: object) -> Any:
    """Ask about one entry."""
    return api.post("/predict-entry", json=body)


def ask_next_day(api: TestClient, **body: object) -> Any:
    """Ask for one next-day prediction."""
    return api.post("/predict-next-day", json=body)


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
