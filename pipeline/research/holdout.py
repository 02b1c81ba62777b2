"""The evidence for a research choice: its Sharpe ratios deflated by every trial, and its record on the held-out sessions.

Only this module reads the sessions after the split; it chooses nothing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.sessions import next_session
from pipeline.research.candidates import Candidate, backtest_each, candidates_of, rank_swept
from pipeline.research.shortlist import Curve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from backtest.engine import Result
    from ml.tracking.research_runs import Tracking
    from pipeline.research.backtest_terms import BacktestTerms
    from pipeline.research.shortlist import Shortlist
    from research.portfolio.allocation import Allocation
    from research.portfolio.validation_report import ValidationReport
    from research.scorecard import Scorecard
    from storage.research.trials import Trials
    from trading.costs import Costs

SIGNIFICANT = 0.05
BLOCKS = 16
EXPERIMENT = "research"


@dataclass(frozen=True)
class ChainPlan:
    """A plan of the research chain: the swept cells, the last session of the choice (`split`), and the last one held out.

    `dataset` is the name of the research dataset that every step reads; None: the live bars.
    """

    session: str
    split: str
    strategies: tuple[str, ...]
    symbols: tuple[str, ...]
    vix_gate: bool = False
    dataset: str | None = None

    @property
    def labels(self) -> set[str]:
        """Label of every cell."""
        return {Candidate(name, symbol, {}, self.vix_gate).label for name in self.strategies for symbol in self.symbols}

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values, for a message between tasks."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ChainPlan:
        """Return the plan of `as_dict`."""
        return cls(**{**values, "strategies": tuple(values["strategies"]), "symbols": tuple(values["symbols"])})


@dataclass(frozen=True)
class Research:
    """Outcome of a chain.

    Attributes
    ----------
    evidence
        One row a ranked candidate: its Sharpe ratio on the past, with interval and deflation.
    held_out
        One row a member of the portfolio: figures after the split, with intervals.
    statements
        The conclusions, in sentences.
    report
        Folder of the report.
    scorecard
        Success criteria by the portfolio's record after the split.
    """

    plan: ChainPlan
    shortlist: Shortlist
    portfolio_id: int
    allocation: Allocation
    evidence: pd.DataFrame
    held_out: pd.DataFrame
    statements: tuple[str, ...]
    validation: ValidationReport
    report: Path = field(compare=False)
    scorecard: Scorecard


def evaluate_choice(  # the choice, and everything it is tested on
    plan: ChainPlan,
    shortlist: Shortlist,
    portfolio_id: int,
    allocation: Allocation,
    validation: ValidationReport,
    *,
    bars: Mapping[str, pd.DataFrame],
    past: Mapping[str, pd.DataFrame],
    terms: BacktestTerms,
    trials: Trials,
    tracking: Tracking,
    folder: Path,
) -> Research:
    """Deflate a choice by every trial, backtest it on the held-out sessions, and log it to MLflow.

    Parameters
    ----------
    bars, past
        Bars by symbol up to the plan's session, and up to its split.
    """
    evidence = _evidence(plan, shortlist, trials)
    members = [shortlist.candidates[str(name)] for name in allocation.usd.index]
    start = next_session(dt.date.fromisoformat(plan.split))
    results = backtest_each(members, bars, terms, start=start)
    held_out = pd.DataFrame([_held_out_row(each, results[each.label], terms.costs, start) for each in members])
    statements = (
        *_survivors(evidence),
        *_search_statements(_swept_curves(plan, shortlist, past, terms, trials)),
        *_held_out_statements(held_out, plan),
    )
    outcome = Research(
        plan, shortlist, portfolio_id, allocation, evidence, held_out, statements, validation,
        folder / f"{plan.session}-{portfolio_id}", held_out_scorecard(plan, allocation, results),
    )  # fmt: skip
    _track(tracking, outcome)
    return outcome


def held_out_scorecard(plan: ChainPlan, allocation: Allocation, results: Mapping[str, Result]) -> Scorecard:
    """Return the success criteria by the sleeves together, each with its capital from the split on, beside the cash."""
    from research.evidence import period_returns
    from research.scorecard import Record, make_scorecard

    shares = {str(name): float(usd) / results[str(name)].initial_cash_usd for name, usd in allocation.usd.items()}
    trades = pd.concat([_scaled(results[name].trades, share) for name, share in shares.items()], ignore_index=True)
    curves = {name: results[name].equity.set_index("session")["equity_usd"] * share for name, share in shares.items()}
    after = pd.concat(curves, axis=1, sort=True).ffill()
    after = after.fillna({name: float(allocation.usd[name]) for name in curves})[after.index > pd.Timestamp(plan.split)]
    worth = after.sum(axis=1).to_numpy(dtype=np.float64) + allocation.cash_usd
    returns = period_returns(worth, float(allocation.usd.sum()) + allocation.cash_usd)
    yearly = max(results[name].panel.bars_a_year for name in shares)
    record = Record(trades, pd.DatetimeIndex(after.index), returns, yearly)
    return make_scorecard(f"The portfolio after {plan.split}", record, {})


def _scaled(trades: pd.DataFrame, share: float) -> pd.DataFrame:
    return trades.assign(pnl_usd=trades["pnl_usd"] * share)


def _evidence(plan: ChainPlan, shortlist: Shortlist, trials: Trials) -> pd.DataFrame:
    """Return the Sharpe ratio of each ranked candidate on the past, deflated by every trial of any swept strategy.

    The variance is that of the strategy's own trials only.
    """
    from research.evidence import sharpe_evidence
    from trading.strategies.registry import make_strategy

    families = {name: make_strategy(each.strategy).name for name, each in shortlist.candidates.items()}
    count = trials.count(*{make_strategy(name).name for name in plan.strategies})
    variance = {family: trials.sharpe_variance(family) for family in set(families.values())}
    rows = []
    for name, curve in shortlist.curves.items():
        figures = sharpe_evidence(
            curve.equity_usd,
            curve.initial_cash_usd,
            trials=count,
            sharpe_variance=variance[families[name]],
            periods_a_year=curve.bars_a_year,
        )
        rows.append({"sleeve": name, "sharpe": curve.metrics["sharpe"], **figures})
    return pd.DataFrame(rows)


def _held_out_row(each: Candidate, result: Result, costs: Costs, start: dt.date) -> dict[str, Any]:
    """Return a member's figures on the entries after the split."""
    from research.evidence import sharpe_evidence
    from research.random_entries import random_entries
    from research.statistics import mean_interval

    profit = mean_interval(result.trades.sort_values("entry_session", kind="stable")["net_return"].to_numpy())
    sharpe = sharpe_evidence(result.equity_usd, result.initial_cash_usd, periods_a_year=result.panel.bars_a_year)
    luck = random_entries(result.trades, result.panel, each.make(), costs, start=start)
    return {
        "sleeve": each.label,
        "trade_count": result.metrics["trade_count"],
        "win_rate": result.metrics["win_rate"],
        "profit_per_trade": result.metrics["profit_per_trade"],
        "profit_low": profit.low if profit else None,
        "profit_high": profit.high if profit else None,
        "sharpe": result.metrics["sharpe"],
        "sharpe_low": sharpe["sharpe_low"],
        "sharpe_high": sharpe["sharpe_high"],
        "random_entry_p": luck.p_value if luck else None,
    }


def _swept_curves(
    plan: ChainPlan,
    shortlist: Shortlist,
    past: Mapping[str, pd.DataFrame],
    terms: BacktestTerms,
    trials: Trials,
) -> dict[str, Curve]:
    """Return the curve of every swept cell that traded; those of the shortlist are not run again."""
    cells = candidates_of(rank_swept(trials, plan.split, min_trades=1, among=plan.labels, dataset=shortlist.dataset))
    others = [each for each in cells if each.label not in shortlist.curves]
    results = backtest_each(others, past, terms)
    return {
        each.label: shortlist.curves[each.label] if each.label in shortlist.curves else Curve.of(results[each.label])
        for each in cells
    }


def _search_statements(curves: Mapping[str, Curve]) -> list[str]:
    """Return what the search as a whole shows: overfitting by CSCV, and Hansen's test against doing nothing."""
    from research.evidence import period_returns
    from research.snooping import superior
    from research.statistics import overfitting

    series = {
        name: pd.Series(
            period_returns(curve.equity_usd, curve.initial_cash_usd), index=pd.DatetimeIndex(curve.equity["session"])
        )
        for name, curve in curves.items()
    }
    returns = pd.concat(series, axis=1, sort=True).fillna(0.0).to_numpy()  # before a symbol was listed its sleeve held cash
    risk, test = overfitting(returns, BLOCKS), superior(returns)
    statements = []
    if risk is not None:
        statements.append(
            f"Probability of overfitting of the sweep: {risk.probability:.0%} (CSCV, {risk.configurations} that traded):"
            " how often the best on one half of the history was no better than the median on the other."
        )
    if test is not None:
        beats = "beats" if test.consistent < SIGNIFICANT else "does not beat"
        statements.append(
            f"The best of the sweep {beats} doing nothing, corrected for all the others (Hansen's p {test.consistent:.2f})."
        )
    return statements


def _survivors(evidence: pd.DataFrame) -> list[str]:
    from research.statistics import SURVIVES

    deflated = evidence.set_index("sleeve")["deflated_sharpe"].astype("float64")
    surviving = [str(name) for name in deflated.index[deflated >= SURVIVES]]
    ranked, trials = len(evidence), f"{evidence['trials'].iloc[0]:,} trials"
    if surviving:
        return [f"{len(surviving)} of the {ranked} ranked survive deflation by {trials}: {', '.join(surviving)}."]
    best = f" The best reaches {deflated.max():.2f}; {SURVIVES} is required." if deflated.notna().any() else ""
    return [f"None of the {ranked} ranked survives deflation by {trials}.{best} Luck over so many trials explains them."]


def _held_out_statements(held_out: pd.DataFrame, plan: ChainPlan) -> list[str]:
    """Return a sentence a member about the sessions that no choice has seen."""
    return [
        f"{row['sleeve']} after {plan.split}: {_held_out_record(row)}" for row in held_out.astype(object).to_dict("records")
    ]


def _held_out_record(row: Mapping[Any, Any]) -> str:
    if not row["trade_count"]:
        return "no trade."
    made = f"{row['trade_count']} trades, {row['profit_per_trade']:.2%} each net"
    if row["profit_low"] is None or np.isnan(row["profit_low"]):
        return f"{made}. They are too few for an interval, so nothing is shown."
    shown = "above zero" if row["profit_low"] > 0 else "not shown to be above zero"
    return f"{made}, 95 % interval {row['profit_low']:.2%} to {row['profit_high']:.2%}: {shown}."


def _track(tracking: Tracking, outcome: Research) -> None:
    """Log the chain as a run of MLflow."""
    params = {**outcome.plan.as_dict(), "method": outcome.allocation.method, "portfolio_id": outcome.portfolio_id}
    figures = {
        "expected_return": outcome.allocation.expected_return,
        "sharpe": outcome.allocation.sharpe,
        "max_drawdown": outcome.allocation.max_drawdown,
        "trials": int(outcome.evidence["trials"].iloc[0]),
    }
    with tracking.run(EXPERIMENT, f"{outcome.plan.split} to {outcome.plan.session}", params) as run_id:
        tracking.figures(run_id, figures)
        tracking.tag(run_id, "validation", outcome.validation.status)
        if outcome.shortlist.dataset:
            tracking.tag(run_id, "dataset", outcome.shortlist.dataset)
        tracking.table(run_id, outcome.shortlist.table.drop(columns="params"), "ranked.csv")
        tracking.table(run_id, outcome.evidence, "evidence.csv")
        tracking.table(run_id, outcome.held_out, "held_out.csv")
