"""The way from paper to real money: what a portfolio must have shown on paper before a person may deploy it live."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from core.deployments import Stage
from monitoring.performance.expectation import SUM, Expectation

if TYPE_CHECKING:
    import pandas as pd

    from core.deployments import Deployment
    from pipeline.resources import Resources
    from storage.trading.deployments import Deployments
    from storage.trading.ledger import Ledger

MIN_SESSIONS: Final = 20
MIN_TRADES: Final = 20
NORMAL_95: Final = 1.959964  # two-sided 95 % of the standard normal


@dataclass(frozen=True)
class PaperRecord:
    """The record of a deployment on paper, beside what its backtest promised.

    Attributes
    ----------
    gap, low, high
        Mean net return of a closed trade less the promised one, with its 95 % interval around no gap; None when unknown.
    """

    deployment: str
    sessions: int
    trades: int
    gap: float | None
    low: float | None
    high: float | None

    def objections(self) -> list[str]:
        """Return what keeps the portfolio from real money; none when it has shown enough."""
        found = []
        if self.sessions < MIN_SESSIONS:
            found.append(f"not enough: {self.sessions} sessions on paper, {MIN_SESSIONS} are asked")
        if self.trades < MIN_TRADES:
            found.append(f"not enough: {self.trades} closed trades on paper, {MIN_TRADES} are asked")
        if found:
            return found
        if self.gap is None or self.low is None or self.high is None:
            return ["not enough: its backtest promised no figure to compare with"]
        if not self.low <= self.gap <= self.high:
            return [
                (
                    f"a trade on paper made {self.gap:+.3%} more than its backtest promised, outside of {self.low:+.3%} to "
                    f"{self.high:+.3%} (95 %)"
                )
            ]
        return []


@dataclass(frozen=True)
class PaperRecords:
    """Records of deployments on paper, from the ledger."""

    ledger: Ledger
    deployments: Deployments

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build from the desk's stores."""
        return cls(resources.ledger, resources.deployments)

    def record(self, deployment: Deployment) -> PaperRecord:
        """Return the record of a deployment on paper."""
        trades, promised = self.ledger.trades(deployment.name), deployment.promise.get(SUM)
        gap, half = gap_to_promise(trades, None if promised is None else Expectation.of(promised))
        low = None if half is None else -half
        return PaperRecord(deployment.name, len(self.ledger.equity(deployment.name)), len(trades), gap, low, half)

    def best(self, portfolio_id: int) -> PaperRecord | None:
        """Return the longest record on paper of a portfolio's deployments; None when none was deployed to paper."""
        on_paper = (each for each in self.deployments.all() if each.stage is Stage.PAPER and each.portfolio_id == portfolio_id)
        records = [self.record(each) for each in on_paper]
        return max(records, key=lambda record: (record.trades, record.sessions), default=None)


def gap_to_promise(trades: pd.DataFrame, promised: Expectation | None) -> tuple[float | None, float | None]:
    """Return the gap of the mean net return a trade to the promised one, and half the width of its 95 % interval.

    Welch's standard error: the variances of the live mean and of the promised one add.
    """
    values = trades["net_return"].to_numpy(dtype=np.float64)
    if promised is None or promised.profit is None or len(values) < 2:  # noqa: PLR2004  # one value has no variance
        return None, None
    variance = float(values.var(ddof=1)) / len(values) + promised.profit.deviation**2 / promised.profit.observations
    return float(values.mean()) - promised.profit.mean, NORMAL_95 * math.sqrt(variance)
