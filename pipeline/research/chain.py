"""The research chain: sweep, rank, correlate, allocate on the past, then test the choice on the held-out sessions.

One implementation for the DAG, which runs a step a task, and for `desk research`, which runs `choose`. Each step reads what an
earlier one stored: the shortlist's candidates are backtested once, in `correlate`.

Sessions after the split are never ranked or chosen on. Each run of the chain evaluates them once. A plan that is changed after
that has used them up; the trial ledger counts the backtests, and nothing can count such changes.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from core.errors import ConfigError, DataError, RiskLimitBreached, UnknownSymbol
from pipeline.research.backtest_terms import BacktestTerms
from pipeline.research.candidates import MIN_TRADES, candidates_of, rank_candidates
from pipeline.research.chain_report import write_chain_report
from pipeline.research.datasets import ResearchData
from pipeline.research.holdout import ChainPlan, Research, evaluate_choice
from pipeline.research.portfolio import allocate as allocate_shortlist
from pipeline.research.portfolio import save_allocation
from pipeline.research.portfolio_validation import validate_portfolio
from pipeline.research.shortlist import Selection, load_shortlist, make_shortlist, save_shortlist, shortlist_key
from pipeline.research.sweep import run_sweep
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.research.shortlist import Shortlist
    from research.portfolio.allocation import Method
    from research.portfolio.validation_report import ValidationReport
    from storage.research.portfolios import Portfolio, Portfolios, StoredValidation

HOLDOUT_SESSIONS = 504


@dataclass(frozen=True)
class SweepCounts:
    """Cells of a plan's sweep, and those that failed."""

    cells: int
    failed: int

    def as_dict(self) -> dict[str, int]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Ranking:
    """Number of ranked cells, and the label of the first."""

    ranked: int
    first: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Picked:
    """The pick of a shortlist, and the number of its flagged pairs."""

    picked: list[str]
    flagged_pairs: int
    message: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Allocated:
    """A stored portfolio: its id, the capital of each sleeve by label, and the cash."""

    portfolio: int
    usd: dict[str, float]
    cash: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, the sleeves beside the id and the cash."""
        return {"portfolio": self.portfolio, **self.usd, "cash": self.cash}


@dataclass(frozen=True)
class Reported:
    """The statements of a chain's report, and its file."""

    statements: list[str]
    report: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def make_plan(
    session: str,
    strategies: Sequence[str] = (),
    symbols: Sequence[str] = (),
    *,
    vix_gate: bool = False,
    holdout_sessions: int = HOLDOUT_SESSIONS,
    dataset: str | None = None,
    resources: Resources | None = None,
) -> ChainPlan:
    """Split the stored history: the newest `holdout_sessions` up to `session` are held out of every choice.

    Parameters
    ----------
    dataset
        Name of the research dataset that every step reads; the live bars unless given.

    Raises
    ------
    ConfigError
        When the history is no longer than that.
    """
    from trading.strategies.registry import STRATEGIES, make_strategy

    resources = resources or live()
    names = tuple(strategies) or tuple(STRATEGIES)
    for name in names:
        make_strategy(name)
    bars = ResearchData.of(resources, dataset).by_symbol(session)
    wanted = tuple(symbols) or tuple(sorted(bars))
    for symbol in wanted:
        if symbol not in bars:
            raise UnknownSymbol(symbol, bars)
    sessions = np.unique(np.concatenate([bars[symbol]["session"].to_numpy() for symbol in wanted]))
    if len(sessions) <= 2 * holdout_sessions:
        raise ConfigError(
            f"Held-out sessions: expected less than half of the {len(sessions)} stored up to {session}, found"
            f" {holdout_sessions}. Hold out fewer with --holdout-sessions, or load more: `desk ingest --full-history`."
        )
    split = pd.Timestamp(sessions[-holdout_sessions - 1]).date().isoformat()
    return ChainPlan(session, split, names, wanted, vix_gate, dataset)


def sweep(
    plan: ChainPlan,
    *,
    jobs: int = -1,
    scheduler: str | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
    resources: Resources | None = None,
) -> SweepCounts:
    """Sweep the plan's cells up to its split."""
    table = run_sweep(
        plan.split,
        plan.strategies,
        plan.symbols,
        vix_gate=plan.vix_gate,
        jobs=jobs,
        scheduler=scheduler,
        dataset=plan.dataset,
        on_progress=on_progress,
        resources=resources,
    )
    return SweepCounts(len(table), int(table["error"].notna().sum()))


def rank(plan: ChainPlan, *, resources: Resources | None = None) -> Ranking:
    """Rank the plan's cells on record; nothing is backtested."""
    table = rank_candidates(plan.split, among=plan.labels, dataset=plan.dataset, resources=resources)
    return Ranking(len(table), candidates_of(table.head(1))[0].label)


def correlate(plan: ChainPlan, *, min_trades: int = MIN_TRADES, resources: Resources | None = None) -> Picked:
    """Backtest the best of the ranking, pick those that do not resemble each other, and store the shortlist."""
    resources = resources or live()
    selection = Selection(min_trades=min_trades)
    shortlist = make_shortlist(plan.split, selection, among=plan.labels, dataset=plan.dataset, resources=resources)
    save_shortlist(resources.shortlists, shortlist_key(plan.as_dict(), selection), plan.split, shortlist)
    return Picked(list(shortlist.pick.chosen), len(shortlist.flagged), shortlist.pick.message)


def allocate(
    plan: ChainPlan,
    *,
    method: Method,
    min_trades: int = MIN_TRADES,
    store: bool = False,
    resources: Resources | None = None,
) -> Allocated:
    """Share the capital among the pick of the stored shortlist; the portfolio is a draft unless `store` keeps it."""
    resources = resources or live()
    shortlist = _stored_shortlist(resources, plan, min_trades)
    shared = allocate_shortlist(shortlist, method=method)
    number = save_allocation(resources.portfolios, plan.split, shortlist, shared, draft=not store)
    return Allocated(number, {str(name): float(usd) for name, usd in shared.usd.items()}, shared.cash_usd)


def validate(plan: ChainPlan, *, resources: Resources | None = None) -> ValidationReport:
    """Compare the stored portfolio with its limits up to the plan's session, and store the report."""
    return validate_portfolio(plan.session, dataset=plan.dataset, resources=resources)


def report(plan: ChainPlan, *, min_trades: int = MIN_TRADES, resources: Resources | None = None) -> Reported:
    """Test the stored choice on the held-out sessions, and write the report."""
    outcome = _evaluate(resources or live(), plan, min_trades)
    return Reported(list(outcome.statements), str(outcome.report))


def confirm(plan: ChainPlan, *, resources: Resources | None = None) -> str:
    """Return a sentence when the portfolio may be deployed.

    Raises
    ------
    RiskLimitBreached
        When it failed its validation.
    """
    stored, validation = _validated((resources or live()).portfolios, plan)
    if validation.status == "FAIL":
        raise RiskLimitBreached(
            f"Portfolio {stored.id} failed its validation of {validation.session}; it cannot be deployed. Read its report."
        )
    kept = f"`desk deploy {stored.id} ...`" if not stored.draft else f"keep it first: `desk portfolios --store {stored.id}`"
    return f"Portfolio {stored.id}: {validation.status}. It may be deployed: {kept}."


def choose(
    plan: ChainPlan,
    *,
    method: Method = "risk_parity_profit_weighted",
    min_trades: int = MIN_TRADES,
    store: bool = False,
    resources: Resources | None = None,
) -> Research:
    """Run the steps from the ranking to the report: choose up to the split, validate, and test on the held-out sessions."""
    resources = resources or live()
    correlate(plan, min_trades=min_trades, resources=resources)
    allocate(plan, method=method, min_trades=min_trades, store=store, resources=resources)
    validate(plan, resources=resources)
    return _evaluate(resources, plan, min_trades)


def _stored_shortlist(resources: Resources, plan: ChainPlan, min_trades: int) -> Shortlist:
    selection = Selection(min_trades=min_trades)
    key = shortlist_key(plan.as_dict(), selection)
    made_from = ResearchData.of(resources, plan.dataset).reference
    return load_shortlist(
        resources.shortlists, key, resources.trials, plan.split, selection, among=plan.labels, dataset=made_from
    )


def _evaluate(resources: Resources, plan: ChainPlan, min_trades: int) -> Research:
    """Evaluate the stored shortlist, portfolio and validation of a plan, and write the report."""
    from research.portfolio.validation_report import ValidationReport

    stored, validation = _validated(resources.portfolios, plan)
    shortlist, data = _stored_shortlist(resources, plan, min_trades), ResearchData.of(resources, plan.dataset)
    outcome = evaluate_choice(
        plan,
        shortlist,
        stored.id,
        allocate_shortlist(shortlist, method=cast("Method", stored.method)),
        ValidationReport.of(validation.report),
        bars=data.by_symbol(plan.session),
        past=data.by_symbol(plan.split),
        terms=BacktestTerms.of(resources),
        trials=resources.trials,
        tracking=resources.tracking,
        folder=resources.data_dir / "research",
    )
    write_chain_report(outcome)
    return outcome


def _validated(portfolios: Portfolios, plan: ChainPlan) -> tuple[Portfolio, StoredValidation]:
    """Return the portfolio of a plan and its validation."""
    day = dt.date.fromisoformat(plan.session)
    stored = portfolios.latest(by=day)
    validation = None if stored is None else portfolios.latest_validation(stored.id, by=day)
    if stored is None or validation is None:
        count = "no portfolio" if stored is None else f"portfolio {stored.id} without a validation"
        raise DataError(
            f"Research report: expected a validated portfolio up to {plan.session}, found {count}. "
            "Run the tasks `allocate` and `validate_risk` of the DAG strategy_research, or the whole chain: `desk research`."
        )
    return stored, validation
