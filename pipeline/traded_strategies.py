"""The strategies that trade: those of the settings or of a deployment, built from the stored parameters on first use."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import structlog

from pipeline.stores import Stores

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from core.deployments import Deployment
    from core.settings import Settings
    from ingestion.providers.base import Provider
    from pipeline.sleeves import TradedSleeve
    from storage.trading.strategy_params import Snapshot
    from trading.strategies.base import Strategy

log = structlog.get_logger()


class TradedStrategies(Stores):
    """The sleeves, strategies and symbols that trade; the container beneath gives settings, clock and deployment."""

    settings: Settings
    clock: Callable[[], dt.datetime]
    as_of: dt.datetime | None
    deployment: Deployment | None

    @property
    def historical(self) -> bool:
        """True when the provider is a finished history, whose bars nobody could have watched arrive."""
        return self.settings.provider in {"sample", "files"}

    @cached_property
    def provider(self) -> Provider:
        """The source of bars."""
        raise NotImplementedError

    def universe(self) -> list[str]:
        """Return the symbols that trade: those of the deployment; of the default one `UNIVERSE`, else the provider's own."""
        if self.deployment is not None:
            return self.deployment.symbols
        return list(self.settings.universe or self.provider.default_universe)

    @cached_property
    def sleeves(self) -> tuple[TradedSleeve, ...]:
        """The sleeves of the deployment; of the default one a single sleeve, whose strategies share the book."""
        from pipeline.sleeves import TradedSleeve, sleeves_of

        if self.deployment is not None:
            return sleeves_of(self.deployment)
        return (TradedSleeve(self.strategies, tuple(self.universe()), None, filtered=True),)

    @cached_property
    def strategies(self) -> tuple[Strategy, ...]:
        """The strategies of all sleeves, with their filters and switches."""
        if self.deployment is None:
            return self._listed_strategies()
        return tuple(strategy for sleeve in self.sleeves for strategy in sleeve.strategies)

    @property
    def strategy_sources(self) -> tuple[str, ...]:
        """The names, or files, that the strategies are built from."""
        if self.deployment is not None:
            return tuple(sleeve.strategy for sleeve in self.deployment.sleeves)
        return self.settings.strategies

    def _listed_strategies(self) -> tuple[Strategy, ...]:
        """Return the strategies of `STRATEGIES` with the parameters in force."""
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
