"""How far a backtest on stored bars is to be believed: every trial of its strategy, its benchmark, entries at other times.

Owns what is held beside a run's figures, by the names its report knows; the statistics are `backtest`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from backtest.engine import Result
    from pipeline.resources import Resources
    from trading.strategies.base import Strategy

BENCHMARK = "buy_and_hold"


def evidence_of(resources: Resources, result: Result, strategies: Sequence[Strategy]) -> dict[str, Any]:
    """Interval and deflation of the Sharpe ratio, buy and hold of the same symbols, the same entries at other times.

    Entries at other times are drawn for one strategy alone.
    """
    from research.evidence import benchmark_evidence, sharpe_evidence
    from research.random_entries import random_entries
    from trading.strategies.vix_filter import rule_name

    names, yearly = sorted(rule_name(strategy.name) for strategy in strategies), result.panel.bars_a_year
    families = {*names, "+".join(names)}
    start = result.panel.sessions[result.first].date()
    alone = len(strategies) == 1
    luck = random_entries(result.trades, result.panel, strategies[0], resources.costs, start=start) if alone else None
    return {
        **sharpe_evidence(
            result.equity_usd,
            result.initial_cash_usd,
            trials=resources.trials.count(*families),
            sharpe_variance=resources.trials.sharpe_variance(*families),
            periods_a_year=yearly,
        ),
        **benchmark_evidence(BENCHMARK, benchmark_of(resources, result), result.initial_cash_usd, periods_a_year=yearly),
        "random_entry_p": luck.p_value if luck else None,
        "random_entry_mean": luck.mean if luck else None,
    }


def benchmark_of(resources: Resources, result: Result) -> pd.DataFrame:
    """Equity of buying and holding the same symbols over the same sessions, net of costs."""
    from backtest.benchmarks import buy_and_hold

    start = result.panel.sessions[result.first].date()
    return buy_and_hold(result.panel, resources.costs, result.initial_cash_usd, start).equity
