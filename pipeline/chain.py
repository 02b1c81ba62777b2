"""The research chain: sweep, rank, correlate, allocate on the past, then hold the choice against what came after.

Owns the split of history and the plain statement of what survives; each step is `pipeline.sweep` or `pipeline.portfolio`.
Sessions after the split are never ranked or chosen on. They are looked at once for each run, so a plan that is changed after a
look has used them up; the trial ledger counts the backtests, and nobody can count the looks.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from core.errors import ConfigError, RiskLimitBreached
from core.sessions import next_session
from pipeline import portfolio
from pipeline import sweep as sweeping
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from backtest.engine import Result
    from pipeline.portfolio import Candidate, Shortlist
    from trading.allocation import Allocation, Method
    from trading.validation_report import Report

HOLDOUT_SESSIONS = 504
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
        from pipeline.portfolio import Candidate

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


def plan(
    session: str,
    strategies: Sequence[str] = (),
    symbols: Sequence[str] = (),
    *,
    vix_gate: bool = False,
    holdout_sessions: int = HOLDOUT_SESSIONS,
    resources: Resources | None = None,
) -> Plan:
    """Split the stored history: the newest `holdout_sessions` up to `session` are kept from every choice.

    Raises
    ------
    ConfigError
        When the history is no longer than that.
    """
    from core.errors import UnknownSymbol
    from pipeline.research import bars_by_symbol
    from trading.strategies.registry import STRATEGIES, make_strategy

    found = resources or live()
    names = tuple(strategies) or tuple(STRATEGIES)
    for name in names:
        make_strategy(name)
    bars = bars_by_symbol(found, session)
    wanted = tuple(symbols) or tuple(sorted(bars))
    for symbol in wanted:
        if symbol not in bars:
            raise UnknownSymbol(symbol, bars)
    sessions = np.unique(np.concatenate([bars[symbol]["session"].to_numpy() for symbol in wanted]))
    if len(sessions) <= 2 * holdout_sessions:
        raise ConfigError(
            f"Held-out sessions: expected less than half of the {len(sessions)} stored up to {session}, found"
            f" {holdout_sessions}. Ask for fewer with --holdout-sessions, or load more: `cli ingest --full-history`."
        )
    split = pd.Timestamp(sessions[-holdout_sessions - 1]).date().isoformat()
    return Plan(session, split, names, wanted, vix_gate)


def sweep(
    plan: Plan,
    *,
    jobs: int = -1,
    scheduler: str | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
    resources: Resources | None = None,
) -> dict[str, int]:
    """Sweep the plan's cells up to its split."""
    table = sweeping.run(
        plan.split,
        plan.strategies,
        plan.symbols,
        vix_gate=plan.vix_gate,
        jobs=jobs,
        scheduler=scheduler,
        on_progress=on_progress,
        resources=resources,
    )
    return {"cells": len(table), "failed": int(table["error"].notna().sum())}


def rank(plan: Plan, *, resources: Resources | None = None) -> dict[str, Any]:
    """How many of the plan's cells are ranked, and the first."""
    table = portfolio.ranked(plan.split, among=plan.labels, resources=resources)
    return {"ranked": len(table), "first": portfolio.candidates_of(table.head(1))[0].label}


def correlate(plan: Plan, *, resources: Resources | None = None) -> dict[str, Any]:
    """The pick, and how many pairs are flagged."""
    chosen = portfolio.shortlist(plan.split, among=plan.labels, resources=resources)
    return {"picked": list(chosen.pick.chosen), "flagged_pairs": len(chosen.flagged), "message": chosen.pick.message}


def allocate(plan: Plan, *, method: Method, resources: Resources | None = None) -> dict[str, Any]:
    """Share the capital among the pick and store the portfolio."""
    chosen = portfolio.shortlist(plan.split, among=plan.labels, resources=resources)
    shared = portfolio.share(chosen, method=method)
    number = portfolio.store(plan.split, chosen, shared, resources=resources)
    return {"portfolio": number, **{str(name): float(usd) for name, usd in shared.usd.items()}, "cash": shared.cash_usd}


def validate(plan: Plan, *, resources: Resources | None = None) -> dict[str, Any]:
    """Hold the stored portfolio against its limits."""
    report = portfolio.validate_risk(plan.session, resources=resources)
    return {"status": report.status, **{each.rule: each.verdict for each in report.findings}}


def report(plan: Plan, *, resources: Resources | None = None) -> dict[str, Any]:
    """Weigh what `allocate` and `validate` have stored."""
    found = resources or live()
    number, validation = portfolio.examine(plan.session, resources=found)
    stored = portfolio.stored_portfolio(found, dt.date.fromisoformat(plan.session))
    chosen = portfolio.shortlist(plan.split, among=plan.labels, resources=found)
    shared = portfolio.share(chosen, method=cast("Method", stored.method if stored else "equal"))
    outcome = weigh(plan, chosen, number, shared, validation, resources=found)
    return {"statements": list(outcome.statements), "report": str(outcome.report)}


def confirm(plan: Plan, *, resources: Resources | None = None) -> str:
    """The stored portfolio's status.

    Raises
    ------
    RiskLimitBreached
        When it may not open positions.
    """
    found = resources or live()
    objects = portfolio.objection(found, dt.date.fromisoformat(plan.session))
    if objects is not None:
        raise RiskLimitBreached(objects)
    return "The portfolio may trade."


def choose(
    plan: Plan,
    *,
    method: Method = "risk_parity_profit_weighted",
    min_trades: int = portfolio.MIN_TRADES,
    resources: Resources | None = None,
) -> Research:
    """Rank, correlate and allocate up to the split; validate up to the session; weigh both spans; write the report."""
    found = resources or live()
    chosen = portfolio.shortlist(plan.split, min_trades=min_trades, among=plan.labels, resources=found)
    shared = portfolio.share(chosen, method=method)
    number = portfolio.store(plan.split, chosen, shared, resources=found)
    validation = portfolio.validate_risk(plan.session, resources=found)
    return weigh(plan, chosen, number, shared, validation, resources=found)


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
    from pipeline.research_report import write

    found = resources or live()
    evidence = _evidence(found, plan, chosen)
    members = [chosen.candidates[str(name)] for name in shared.usd.index]
    held_out = _held_out(found, plan, members)
    search = _search(found, plan)
    statements = (*_survivors(evidence), *search, *_afterwards(held_out, plan))
    outcome = Research(
        plan, chosen, number, shared, evidence, held_out, statements, validation,
        found.data_dir / "research" / f"{plan.session}-{number}",
    )  # fmt: skip
    write(outcome)
    _track(found, outcome)
    return outcome


def _evidence(found: Resources, plan: Plan, chosen: Shortlist) -> pd.DataFrame:
    """Sharpe of each ranked candidate on the past, deflated by every trial ever made of any strategy that was swept.

    The spread of the trials' Sharpe ratios is that of its own strategy: that another loses its costs is no luck of this one.
    """
    from backtest.evidence import sharpe_evidence
    from trading.strategies.registry import make_strategy

    families = {name: make_strategy(each.strategy).name for name, each in chosen.candidates.items()}
    trials = found.trials.count(*{make_strategy(name).name for name in plan.strategies})
    variance = {family: found.trials.sharpe_variance(family) for family in set(families.values())}
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


def _held_out(found: Resources, plan: Plan, members: Sequence[Candidate]) -> pd.DataFrame:
    """Figures of the members after the split, entered there or later."""
    start = next_session(dt.date.fromisoformat(plan.split))
    results = portfolio.replay(found, members, plan.session, start=start)
    return pd.DataFrame([_after(each, results[each.label], found, start) for each in members])


def _after(each: Candidate, result: Result, found: Resources, start: dt.date) -> dict[str, Any]:
    from backtest.evidence import sharpe_evidence
    from backtest.random_entries import random_entries
    from backtest.statistics import mean_interval

    profit = mean_interval(result.trades.sort_values("entry_session", kind="stable")["net_return"].to_numpy())
    sharpe = sharpe_evidence(result.equity_usd, result.initial_cash_usd, periods_a_year=result.panel.bars_a_year)
    luck = random_entries(result.trades, result.panel, each.make(), found.costs, start=start)
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


def _search(found: Resources, plan: Plan) -> list[str]:
    """Whether the search as a whole found anything: overfitting by CSCV, and Hansen's test against doing nothing."""
    from backtest.evidence import period_returns
    from backtest.snooping import superior
    from backtest.statistics import overfitting

    table = portfolio.ranked(plan.split, min_trades=1, among=plan.labels, resources=found)
    results = portfolio.replay(found, portfolio.candidates_of(table), plan.split)
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
    from backtest.statistics import SURVIVES

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


def _track(found: Resources, outcome: Research) -> None:
    """The chain as a run of MLflow."""
    given = {**outcome.plan.as_dict(), "method": outcome.allocation.method, "portfolio_id": outcome.portfolio_id}
    figures = {
        "expected_return": outcome.allocation.expected_return,
        "sharpe": outcome.allocation.sharpe,
        "max_drawdown": outcome.allocation.max_drawdown,
        "trials": int(outcome.evidence["trials"].iloc[0]),
    }
    with found.tracking.run(EXPERIMENT, f"{outcome.plan.split} to {outcome.plan.session}", given) as run_id:
        found.tracking.figures(run_id, figures)
        found.tracking.tag(run_id, "validation", outcome.validation.status)
        found.tracking.table(run_id, outcome.shortlist.table.drop(columns="params"), "ranked.csv")
        found.tracking.table(run_id, outcome.evidence, "evidence.csv")
        found.tracking.table(run_id, outcome.held_out, "held_out.csv")
