"""Costs, limits and cash of a backtest on stored bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from backtest.engine import Result
    from backtest.panel import Panel
    from pipeline.resources import Resources
    from trading.costs import Costs
    from trading.risk import Limits
    from trading.strategies.base import Strategy


@dataclass(frozen=True)
class BacktestTerms:
    """Costs, limits and initial cash that every backtest of a step shares."""

    costs: Costs
    limits: Limits
    initial_cash_usd: float

    @classmethod
    def of(cls, resources: Resources) -> BacktestTerms:
        """Return the desk's terms."""
        return cls(resources.costs, resources.limits, resources.settings.initial_cash_usd)

    def run(
        self,
        bars: Mapping[str, pd.DataFrame] | Panel,
        strategies: Strategy | Sequence[Strategy],
        *,
        accept: pd.DataFrame | None = None,
        start: dt.date | None = None,
        actions: pd.DataFrame | None = None,
    ) -> Result:
        """Backtest strategies on these terms; see `backtest.engine.backtest`."""
        from backtest.engine import backtest

        return backtest(
            bars,
            strategies,
            self.costs,
            limits=self.limits,
            initial_cash_usd=self.initial_cash_usd,
            accept=accept,
            start=start,
            actions=actions,
        )

    def key(self, *bars: pd.DataFrame) -> dict[str, Any]:
        """Return what else decides the outcome of a backtest: a hash of each symbol's bars, the costs and the limits."""
        hashes = [bars_hash(frame) for frame in bars]
        return {
            "bars": hashes[0] if len(hashes) == 1 else hashes,
            "costs": str(self.costs),
            "limits": str(self.limits),
        }


def bars_hash(frame: pd.DataFrame) -> int:
    """Return a hash of one symbol's bars, without the moment at which each was known."""
    from pandas.util import hash_pandas_object

    return int(hash_pandas_object(frame.drop(columns="known_at", errors="ignore"), index=False).sum())
