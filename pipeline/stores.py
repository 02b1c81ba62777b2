"""The stores of the `desk` database, each built when it is first used."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from storage.market.bars import BarStore
    from storage.market.earnings import EarningsStore
    from storage.models.drift import DriftLog
    from storage.models.experiments import Experiments
    from storage.models.promotions import Promotions
    from storage.research.trials import Trials
    from storage.trading.ledger import Ledger
    from storage.trading.strategy_params import StrategyParams


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
    def drift(self) -> DriftLog:
        """Drift and skew, day by day."""
        from storage.models.drift import DriftLog

        return DriftLog(self.engine)
