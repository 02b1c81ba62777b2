"""The research chain: sweep, rank, correlate, allocate on the past, then hold the choice against what came after.

Owns the split of history; the steps are `pipeline.research.sweep` and `pipeline.research.portfolio`, what the choice is worth
`pipeline.research.holdout`.
Sessions after the split are never ranked or chosen on. They are looked at once for each run, so a plan that is changed after a
look has used them up; the trial ledger counts the backtests, and nobody can count the looks.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from core.errors import ConfigError, RiskLimitBreached
from pipeline.research import portfolio
from pipeline.research import sweep as sweeping
from pipeline.research.chain_report import write
from pipeline.research.holdout import Plan, Research, weigh
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from research.allocation import Method

HOLDOUT_SESSIONS = 504


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
    from pipeline.bars import bars_by_symbol
    from trading.strategies.registry import STRATEGIES, make_strategy

    resources = resources or live()
    names = tuple(strategies) or tuple(STRATEGIES)
    for name in names:
        make_strategy(name)
    bars = bars_by_symbol(resources.bars, session, resources.universe())
    wanted = tuple(symbols) or tuple(sorted(bars))
    for symbol in wanted:
        if symbol not in bars:
            raise UnknownSymbol(symbol, bars)
    sessions = np.unique(np.concatenate([bars[symbol]["session"].to_numpy() for symbol in wanted]))
    if len(sessions) <= 2 * holdout_sessions:
        raise ConfigError(
            f"Held-out sessions: expected less than half of the {len(sessions)} stored up to {session}, found"
            f" {holdout_sessions}. Ask for fewer with --holdout-sessions, or load more: `desk ingest --full-history`."
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
    resources = resources or live()
    number, validation = portfolio.examine(plan.session, resources=resources)
    stored = portfolio.stored_portfolio(resources, dt.date.fromisoformat(plan.session))
    chosen = portfolio.shortlist(plan.split, among=plan.labels, resources=resources)
    shared = portfolio.share(chosen, method=cast("Method", stored.method if stored else "equal"))
    outcome = weigh(plan, chosen, number, shared, validation, resources=resources)
    write(outcome)
    return {"statements": list(outcome.statements), "report": str(outcome.report)}


def confirm(plan: Plan, *, resources: Resources | None = None) -> str:
    """The stored portfolio's status.

    Raises
    ------
    RiskLimitBreached
        When it may not open positions.
    """
    resources = resources or live()
    objects = portfolio.objection(resources, dt.date.fromisoformat(plan.session))
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
    resources = resources or live()
    chosen = portfolio.shortlist(plan.split, min_trades=min_trades, among=plan.labels, resources=resources)
    shared = portfolio.share(chosen, method=method)
    number = portfolio.store(plan.split, chosen, shared, resources=resources)
    validation = portfolio.validate_risk(plan.session, resources=resources)
    outcome = weigh(plan, chosen, number, shared, validation, resources=resources)
    write(outcome)
    return outcome
