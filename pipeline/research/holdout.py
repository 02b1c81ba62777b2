"""What a research choice is worth: deflated by every trial, and on the sessions after the split. Owns the plain statement.

Sessions after the split are looked at here and nowhere else; nothing is chosen.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.sessions import next_session
from pipeline.research import portfolio
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from backtest.engine import Result
    from pipeline.research.portfolio import Candidate, Shortlist
    from research.allocation import Allocation
    from research.validation_report import Report

SIGNIFICANT = 0.05
BLOCKS = 16
EXPERIMENT = "research"


@dataclass(frozen=True)
class Plan:
    """What is swept, up to which session a choice may see, and up to which it is held against what came after."""

    session: str
    split: str
    strategies: tuple[str, ...]
    symbols: tuple[str, ...]
    vix_gate: bool = False

    @property
    def labels(self) -> set[str]:
        """Of every cell."""
        from pipeline.research.portfolio import Candidate

        return {Candidate(name, symbol, {}, self.vix_gate).label for name in self.strategies for symbol in self.symbols}

    def as_dict(self) -> dict[str, Any]:
        """As JSON values, for a message between tasks."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Plan:
        """From `as_dict`."""
        return cls(**{**values, "strategies": tuple(values["strategies"]), "symbols": tuple(values["symbols"])})


@dataclass(frozen=True)
class Research:
    """Outcome of a chain.

    Attributes
    ----------
    evidence
        One row a ranked candidate: Sharpe on the past with what qualifies it.
    held_out
        One row a member of the portfolio: figures after the split, with intervals.
    statements
        What survives and what does not, in sentences.
    report
        The Markdown file that says all of it.
    """

    plan: Plan
    shortlist: Shortlist
    portfolio_id: int
    allocation: Allocation
    evidence: pd.DataFrame
    held_out: pd.DataFrame
    statements: tuple[str, ...]
    validation: Report
    report: Path = field(compare=False)


def weigh(
    plan: Plan,
    chosen: Shortlist,
    number: int,
    shared: Allocation,
    validation: Report,
    *,
    resources: Resources | None = None,
) -> Research:
    """What the choice is worth: deflated by every trial, and after the split."""
    resources = resources or live()
    evidence = _evidence(resources, plan, chosen)
    members = [chosen.candidates[str(name)] for name in shared.usd.index]
    held_out = _held_out(resources, plan, members)
    search = _search(resources, plan)
    statements = (*_survivors(evidence), *search, *_afterwards(held_out, plan))
    outcome = Research(
        plan, chosen, number, shared, evidence, held_out, statements, validation,
        resources.data_dir / "research" / f"{plan.session}-{number}",
    )  # fmt: skip
    _track(resources, outcome)
    return outcome


def _evidence(resources: Resources, plan: Plan, chosen: Shortlist) -> pd.DataFrame:
    """Sharpe of each ranked candidate on the past, deflated by every trial ever made of any strategy that was swept.

    The spread of the trials' Sharpe ratios is that of its own strategy: that another loses its costs is no luck of this one.
    """
    from research.evidence import sharpe_evidence
    from trading.strategies.registry import make_strategy

    families = {name: make_strategy(each.strategy).name for name, each in chosen.candidates.items()}
    trials = resources.trials.count(*{make_strategy(name).name for name in plan.strategies})
    variance = {family: resources.trials.sharpe_variance(family) for family in set(families.values())}
    rows = []
    for name, result in chosen.results.items():
        known = sharpe_evidence(
            result.equity_usd,
            result.initial_cash_usd,
            trials=trials,
            sharpe_variance=variance[families[name]],
            periods_a_year=result.panel.bars_a_year,
        )
        rows.append({"sleeve": name, "sharpe": result.metrics["sharpe"], **known})
    return pd.DataFrame(rows)


def _held_out(resources: Resources, plan: Plan, members: Sequence[Candidate]) -> pd.DataFrame:
    """Figures of the members after the split, entered there or later."""
    start = next_session(dt.date.fromisoformat(plan.split))
    results = portfolio.replay(resources, members, plan.session, start=start)
    return pd.DataFrame([_after(each, results[each.label], resources, start) for each in members])


def _after(each: Candidate, result: Result, resources: Resources, start: dt.date) -> dict[str, Any]:
    from research.evidence import sharpe_evidence
    from research.random_entries import random_entries
    from research.statistics import mean_interval

    profit = mean_interval(result.trades.sort_values("entry_session", kind="stable")["net_return"].to_numpy())
    sharpe = sharpe_evidence(result.equity_usd, result.initial_cash_usd, periods_a_year=result.panel.bars_a_year)
    luck = random_entries(result.trades, result.panel, each.make(), resources.costs, start=start)
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


def _search(resources: Resources, plan: Plan) -> list[str]:
    """Whether the search as a whole found anything: overfitting by CSCV, and Hansen's test against doing nothing."""
    from research.evidence import period_returns
    from research.snooping import superior
    from research.statistics import overfitting

    table = portfolio.ranked(plan.split, min_trades=1, among=plan.labels, resources=resources)
    results = portfolio.replay(resources, portfolio.candidates_of(table), plan.split)
    curves = {
        name: pd.Series(period_returns(result.equity_usd, result.initial_cash_usd), index=result.panel.sessions)
        for name, result in results.items()
    }
    returns = pd.concat(curves, axis=1, sort=True).fillna(0.0).to_numpy()  # before a symbol was listed its sleeve held cash
    risk, test = overfitting(returns, BLOCKS), superior(returns)
    said = []
    if risk is not None:
        said.append(
            f"Probability of overfitting of the sweep: {risk.probability:.0%} (CSCV, {risk.configurations} that traded):"
            " how often the best on one half of the history was no better than the median on the other."
        )
    if test is not None:
        beats = "beats" if test.consistent < SIGNIFICANT else "does not beat"
        said.append(
            f"The best of the sweep {beats} doing nothing, all the others looked at too (Hansen's p {test.consistent:.2f})."
        )
    return said


def _survivors(evidence: pd.DataFrame) -> list[str]:
    from research.statistics import SURVIVES

    deflated = evidence.set_index("sleeve")["deflated_sharpe"].astype("float64")
    surviving = [str(name) for name in deflated.index[deflated >= SURVIVES]]
    ranked, trials = len(evidence), f"{evidence['trials'].iloc[0]:,} trials"
    if surviving:
        return [f"{len(surviving)} of the {ranked} ranked survive deflation by {trials}: {', '.join(surviving)}."]
    best = f" The best reaches {deflated.max():.2f}, and {SURVIVES} is asked for." if deflated.notna().any() else ""
    return [f"None of the {ranked} ranked survives deflation by {trials}.{best} Luck over so many trials explains them."]


def _afterwards(held_out: pd.DataFrame, plan: Plan) -> list[str]:
    """What each member did on the sessions that no choice has seen."""
    return [f"{row['sleeve']} after {plan.split}: {_record(row)}" for row in held_out.astype(object).to_dict("records")]


def _record(row: Mapping[Any, Any]) -> str:
    if not row["trade_count"]:
        return "no trade."
    made = f"{row['trade_count']} trades, {row['profit_per_trade']:.2%} each net"
    if row["profit_low"] is None or np.isnan(row["profit_low"]):
        return f"{made}. They are too few for an interval, so nothing is shown."
    shown = "above zero" if row["profit_low"] > 0 else "not shown to be above zero"
    return f"{made}, 95 % interval {row['profit_low']:.2%} to {row['profit_high']:.2%}: {shown}."


def _track(resources: Resources, outcome: Research) -> None:
    """The chain as a run of MLflow."""
    given = {**outcome.plan.as_dict(), "method": outcome.allocation.method, "portfolio_id": outcome.portfolio_id}
    figures = {
        "expected_return": outcome.allocation.expected_return,
        "sharpe": outcome.allocation.sharpe,
        "max_drawdown": outcome.allocation.max_drawdown,
        "trials": int(outcome.evidence["trials"].iloc[0]),
    }
    with resources.tracking.run(EXPERIMENT, f"{outcome.plan.split} to {outcome.plan.session}", given) as run_id:
        resources.tracking.figures(run_id, figures)
        resources.tracking.tag(run_id, "validation", outcome.validation.status)
        resources.tracking.table(run_id, outcome.shortlist.table.drop(columns="params"), "ranked.csv")
        resources.tracking.table(run_id, outcome.evidence, "evidence.csv")
        resources.tracking.table(run_id, outcome.held_out, "held_out.csv")
