"""The evidence beside a backtest's figures: deflation by every trial, a benchmark, and the same entries at other times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from backtest.engine import Result
    from storage.research.trials import Trials
    from trading.costs import Costs
    from trading.strategies.base import Strategy

BENCHMARK = "buy_and_hold"


def evidence_of(result: Result, strategies: Sequence[Strategy], *, costs: Costs, trials: Trials) -> dict[str, Any]:
    """Return the interval and deflation of the Sharpe ratio, buy and hold of the same symbols, and random entries.

    Entries at other times are drawn for a single strategy only.
    """
    from research.evidence import benchmark_evidence, sharpe_evidence
    from research.random_entries import random_entries
    from trading.strategies.vix_filter import rule_name

    names, yearly = sorted(rule_name(strategy.name) for strategy in strategies), result.panel.bars_a_year
    families = {*names, "+".join(names)}
    start = result.panel.sessions[result.first].date()
    alone = len(strategies) == 1
    luck = random_entries(result.trades, result.panel, strategies[0], costs, start=start) if alone else None
    return {
        **sharpe_evidence(
            result.equity_usd,
            result.initial_cash_usd,
            trials=trials.count(*families),
            sharpe_variance=trials.sharpe_variance(*families),
            periods_a_year=yearly,
        ),
        **benchmark_evidence(BENCHMARK, benchmark_of(result, costs), result.initial_cash_usd, periods_a_year=yearly),
        "random_entry_p": luck.p_value if luck else None,
        "random_entry_mean": luck.mean if luck else None,
    }


def benchmark_of(result: Result, costs: Costs) -> pd.DataFrame:
    """Return the equity of buying and holding the same symbols over the same sessions, net of costs."""
    from backtest.benchmarks import buy_and_hold

    start = result.panel.sessions[result.first].date()
    return buy_and_hold(result.panel, costs, result.initial_cash_usd, start).equity
