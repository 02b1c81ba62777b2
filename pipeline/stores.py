"""The stores of the `desk` database, each built when it is first used."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from storage.alerts.alert_log import AlertLog
    from storage.market.bars import BarStore
    from storage.market.earnings import EarningsStore
    from storage.market.instruments import InstrumentStore
    from storage.models.drift import DriftLog
    from storage.models.experiments import Experiments
    from storage.models.promotions import Promotions
    from storage.research.datasets import Datasets
    from storage.research.portfolios import Portfolios
    from storage.research.shortlists import Shortlists
    from storage.research.trials import Trials
    from storage.trading.deployments import Deployments
    from storage.trading.evening_steps import EveningSteps
    from storage.trading.guard_findings import GuardFindings
    from storage.trading.halts import Halts
    from storage.trading.heartbeats import Heartbeats
    from storage.trading.ledger import Ledger
    from storage.trading.lineage import Lineage
    from storage.trading.parity import ParityLedger
    from storage.trading.position_rules import PositionRules
    from storage.trading.reconciliations import Reconciliations
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


class Stores:
    """One store a kind of record, all on the engine that a subclass opens."""

    @cached_property
    def engine(self) -> Engine:
        """The `desk` database."""
        raise NotImplementedError

    @cached_property
    def bars(self) -> BarStore:
        """The bitemporal bar store."""
        from storage.market.bars import BarStore

        return BarStore(self.engine)

    @cached_property
    def instruments(self) -> InstrumentStore:
        """Asset class, currency, calendar, grid and names of each instrument."""
        from storage.market.instruments import InstrumentStore

        return InstrumentStore(self.engine)

    @cached_property
    def ledger(self) -> Ledger:
        """Intents, orders, fills, positions."""
        from storage.trading.ledger import Ledger

        return Ledger(self.engine)

    @cached_property
    def trials(self) -> Trials:
        """The ledger of every backtest tried."""
        from storage.research.trials import Trials

        return Trials(self.engine)

    @cached_property
    def datasets(self) -> Datasets:
        """Frozen research datasets."""
        from storage.research.datasets import Datasets

        return Datasets(self.engine)

    @cached_property
    def portfolios(self) -> Portfolios:
        """Portfolios that research chose, and their validations."""
        from storage.research.portfolios import Portfolios

        return Portfolios(self.engine)

    @cached_property
    def shortlists(self) -> Shortlists:
        """Shortlists of the research chain."""
        from storage.research.shortlists import Shortlists

        return Shortlists(self.engine)

    @cached_property
    def parameters(self) -> StrategyParams:
        """Stored strategy parameters, version by version."""
        from storage.trading.strategy_params import StrategyParams

        return StrategyParams(self.engine)

    @cached_property
    def earnings(self) -> EarningsStore:
        """Announcement dates of results."""
        from storage.market.earnings import EarningsStore

        return EarningsStore(self.engine)

    @cached_property
    def experiments(self) -> Experiments:
        """A/B tests: terms, assignments, decisions."""
        from storage.models.experiments import Experiments

        return Experiments(self.engine)

    @cached_property
    def promotions(self) -> Promotions:
        """Moves of the champion's alias."""
        from storage.models.promotions import Promotions

        return Promotions(self.engine)

    @cached_property
    def deployments(self) -> Deployments:
        """Deployments, version by version."""
        from storage.trading.deployments import Deployments

        return Deployments(self.engine)

    @cached_property
    def drift(self) -> DriftLog:
        """Drift and skew, day by day."""
        from storage.models.drift import DriftLog

        return DriftLog(self.engine)

    @cached_property
    def halts(self) -> Halts:
        """The halt switch of each portfolio."""
        from storage.trading.halts import Halts

        return Halts(self.engine)

    @cached_property
    def heartbeats(self) -> Heartbeats:
        """Heartbeats of the risk worker."""
        from storage.trading.heartbeats import Heartbeats

        return Heartbeats(self.engine)

    @cached_property
    def alert_log(self) -> AlertLog:
        """Alerts with their lives."""
        from storage.alerts.alert_log import AlertLog

        return AlertLog(self.engine)

    @cached_property
    def evening_steps(self) -> EveningSteps:
        """Steps of the evenings, run by run."""
        from storage.trading.evening_steps import EveningSteps

        return EveningSteps(self.engine)

    @cached_property
    def guard_findings(self) -> GuardFindings:
        """Findings of data-guard."""
        from storage.trading.guard_findings import GuardFindings

        return GuardFindings(self.engine)

    @cached_property
    def position_rules(self) -> PositionRules:
        """The rules that entries were decided by, and hand-overs."""
        from storage.trading.position_rules import PositionRules

        return PositionRules(self.engine)

    @cached_property
    def reconciliations(self) -> Reconciliations:
        """Results of reconciliations with the venue."""
        from storage.trading.reconciliations import Reconciliations

        return Reconciliations(self.engine)

    @cached_property
    def served(self) -> ServedPredictions:
        """Every prediction that the API served."""
        from storage.trading.served import ServedPredictions

        return ServedPredictions(self.engine)

    @cached_property
    def live_records(self) -> LiveRecords:
        """Records of books for a comparison with their backtests."""
        from storage.views.live_record import LiveRecords

        return LiveRecords(self.engine)

    @cached_property
    def model_pages(self) -> ModelPages:
        """Pages of A/B tests, drift and promotions."""
        from storage.views.model_life import ModelPages

        return ModelPages(self.engine)

    @cached_property
    def research_pages(self) -> ResearchPages:
        """Pages of backtest runs and shortlists."""
        from storage.views.research_pages import ResearchPages

        return ResearchPages(self.engine)

    @cached_property
    def trial_map(self) -> TrialMap:
        """Trials by two parameters."""
        from storage.views.trial_map import TrialMap

        return TrialMap(self.engine)

    @cached_property
    def parity_ledger(self) -> ParityLedger:
        """Daily differences from the backtest."""
        from storage.trading.parity import ParityLedger

        return ParityLedger(self.engine)

    @cached_property
    def book_figures(self) -> BookFigures:
        """Figures of several books between closes."""
        from storage.views.book_figures import BookFigures

        return BookFigures(self.engine)

    @cached_property
    def bar_history(self) -> BarHistory:
        """Closes at many sessions, and histories of symbols."""
        from storage.views.bar_history import BarHistory

        return BarHistory(self.engine)

    @cached_property
    def heartbeat_points(self) -> HeartbeatPoints:
        """Heartbeats of the risk worker as points of a chart."""
        from storage.views.heartbeat_points import HeartbeatPoints

        return HeartbeatPoints(self.engine)

    @cached_property
    def record_pages(self) -> RecordPages:
        """Pages of orders, fills, trades, closes, signals and candidates."""
        from storage.views.record_pages import RecordPages

        return RecordPages(self.engine)

    @cached_property
    def lineage(self) -> Lineage:
        """Rows behind each order."""
        from storage.trading.lineage import Lineage

        return Lineage(self.engine)
