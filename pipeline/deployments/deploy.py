"""Deploy a stored portfolio: its sleeves trade from the next evening on, in a book of their own.

Everything that could go wrong on the first evening is tried here: strategies, bars, sizes, stops, the venue's fractions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import pandas as pd
import structlog

from core.deployments import Deployment, Sleeve, Stage, State, require_name, sleeve_name
from core.errors import ConfigError, StopTrading, UnknownSymbol
from monitoring.performance.expectation import SUM, expectation_of
from pipeline.accounts.valuation import cash_usd
from pipeline.deployments.books import DeployedBooks
from pipeline.deployments.first_orders import PAPER, FirstOrders
from pipeline.deployments.live_gate import PaperRecords
from pipeline.deployments.venue_books import CapitalMoves
from pipeline.research.candidates import Candidate
from pipeline.research.portfolio import require_portfolio
from pipeline.research.sleeve_backtests import backtest_sleeves, joint_equity
from pipeline.resources import Resources, live
from pipeline.sleeves import sleeve_strategy

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from backtest.engine import Result
    from pipeline.deployments.live_gate import PaperRecord
    from storage.research.portfolios import Portfolio, Portfolios

log = structlog.get_logger()
MACHINES = frozenset({"settings", "airflow", "risk-worker", "daily-trade"})  # real money needs a person


@dataclass(frozen=True)
class Deployed:
    """A deployment that was made, or would be; and what whoever deploys it should know."""

    deployment: Deployment
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for a message between tasks."""
        made = self.deployment
        return {
            "deployment": made.name,
            "portfolio": made.portfolio_id,
            "version": made.version,
            "stage": str(made.stage),
            "state": str(made.state),
            "profile": made.profile,
            "capital_usd": made.capital_usd,
            "author": made.author,
            "reason": made.reason,
            "sleeves": [sleeve.name for sleeve in made.sleeves],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class DeployRequest:
    """A request to deploy a portfolio.

    Attributes
    ----------
    portfolio
        Id of a stored portfolio.
    capital_usd
        Money to share as the portfolio does; None is the portfolio's own.
    profile
        Name of a risk profile; "" is `director` for real money, the settings' own for paper.
    model
        `champion` when the entry filter must accept each entry, "" when none is asked, as in the portfolio's backtests.
    """

    portfolio: int
    name: str
    reason: str
    author: str
    stage: Literal["paper", "live"] = "paper"
    capital_usd: float | None = None
    profile: str = ""
    model: Literal["", "champion"] = ""

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Self:
        """Return the request in the parameters of a run; an empty capital or profile is the default."""
        return cls(
            params["portfolio"],
            params["name"],
            params["reason"],
            params["author"],
            stage=params["stage"],
            capital_usd=params["capital"],
            profile=params["profile"] or "",
            model="champion" if params["filter"] else "",
        )


def deploy(request: DeployRequest, *, resources: Resources | None = None) -> Deployed:
    """Deploy a portfolio, after `plan_deployment`; it trades from the next evening on."""
    resources = resources or live()
    planned = plan_deployment(request, resources=resources)
    desk, first = resources.for_deployment(planned.deployment), (resources.parent or resources).account
    started = first.initial_cash_usd is not None or len(resources.ledger.equity(first.portfolio)) > 0
    if desk.settings.venue.kind != PAPER and started:  # else the first value on record is without it already
        CapitalMoves.of(desk).give(
            planned.deployment
        )  # under a name of its own: repeated after a crash, it moves nothing twice
    made = resources.deployments.add(planned.deployment)
    log.warning("deployed", deployment=made.name, stage=made.stage, portfolio=made.portfolio_id, author=made.author)
    resources.alerts.send(
        f"Portfolio {made.portfolio_id} is deployed as {made.name} ({made.stage})",
        "\n".join([f"{made.author}: {made.reason}", *planned.notes]),
    )
    return replace(planned, deployment=made)


def plan_deployment(request: DeployRequest, *, resources: Resources | None = None) -> Deployed:
    """Return what `deploy` would make, and store nothing.

    Raises
    ------
    DataError
        When there is no such portfolio (`UnknownPortfolio`), or its bars are missing (`UnknownSymbol`).
    ConfigError
        When the name is taken, a strategy is gone, a sleeve's capital buys nothing, or `VENUE__LIVE` is not set for real money.
    StopTrading
        When its validation, or its record on paper, does not allow it; or no person asks for real money.
    """
    resources = resources or live()
    DeployedBooks.of(resources).require_new_name(require_name(request.name))
    stage = Stage(request.stage)
    stored = _stored(resources.portfolios, request.portfolio)
    validation = _require_validation(resources.portfolios, stored, stage)
    if stage is Stage.LIVE:
        _require_live(PaperRecords.of(resources).best(stored.id), request, is_live=resources.settings.venue.live)
    profile = request.profile or ("director" if stage is Stage.LIVE else resources.settings.risk.profile)
    sleeves = _sleeves(stored, request)
    wanted = Deployment(
        name=request.name,
        version=1,
        stage=stage,
        state=State.ACTIVE,
        sleeves=sleeves,
        capital_usd=_capital_usd(stored, request),
        profile=profile,
        portfolio_id=stored.id,
        promise={},
        venue=PAPER if stage is Stage.PAPER and resources.settings.venue.live else resources.settings.venue.kind,
        author=request.author,
        reason=request.reason,
    )
    known = resources.bars.last_sessions()
    _require_sleeves(wanted, known)
    desk = resources.for_deployment(wanted)
    last = max(known[symbol] for symbol in wanted.symbols)
    results = backtest_sleeves(desk.sleeves, desk.bars, desk.costs, desk.limits, last=last)
    free_usd = None if desk.settings.venue.kind == PAPER else float(cash_usd(resources.account))
    funding = _funding(wanted, resources.desk_portfolio, desk.broker.name, free_usd)
    notes = [validation, funding, *FirstOrders.of(desk).notes(wanted, results, last)]
    return Deployed(replace(wanted, promise=promise_of(results)), tuple(notes))


def promise_of(results: Mapping[str, Result]) -> dict[str, Any]:
    """Return what the backtests promise, by sleeve and in sum, as JSON values."""
    summed = joint_equity(results)
    trades = pd.concat([result.trades for result in results.values()], ignore_index=True)
    promised = {SUM: expectation_of(trades, summed, pd.DatetimeIndex(summed["session"])).as_dict()}
    for name, result in results.items():
        promised[name] = expectation_of(result.trades, None, pd.DatetimeIndex(result.equity["session"]), name).as_dict()
    return promised


def _stored(portfolios: Portfolios, number: int) -> Portfolio:
    stored = require_portfolio(number, portfolios)
    if stored.draft:
        raise ConfigError(
            f"Portfolio {number} is a draft: research looked at it, and nobody has kept it. Keep it: "
            f"`desk portfolios --store {number}`."
        )
    if not stored.members:
        raise ConfigError(f"Portfolio {number} has no sleeves; there is nothing to deploy.")
    return stored


def _require_validation(portfolios: Portfolios, stored: Portfolio, stage: Stage) -> str:
    """Return the validation in words; raise when it does not allow the stage."""
    last = portfolios.latest_validation(stored.id)
    remedy = f"Run `desk validate-risk --portfolio {stored.id}` and read its report."
    if last is None:
        raise StopTrading(f"Portfolio {stored.id} was never validated. {remedy}")
    if last.status == "FAIL" or (stage is Stage.LIVE and last.status != "PASS"):
        asked = "PASS" if stage is Stage.LIVE else "PASS or WARN"
        raise StopTrading(
            f"Portfolio {stored.id}: expected a validation of {asked}, found {last.status} of {last.session}. {remedy}"
        )
    return f"Validation of {last.session}: {last.status}."


def _require_live(record: PaperRecord | None, request: DeployRequest, *, is_live: bool) -> None:
    """Raise unless a person asks for real money, both switches are set, and the record on paper is enough."""
    if request.author.strip() in MACHINES:
        raise StopTrading(f"Real money: expected a person, found {request.author.strip()!r}.")
    if not is_live:
        raise ConfigError("Real money needs both switches: set VENUE__KIND and VENUE__LIVE=1, then deploy to live.")
    objections = ["not enough: it was never deployed to paper"] if record is None else record.objections()
    if objections:
        raise StopTrading(f"Portfolio {request.portfolio} is not ready for real money: {'; '.join(objections)}.")


def _capital_usd(stored: Portfolio, request: DeployRequest) -> float:
    own = float(stored.figures.get("capital_usd") or sum(float(member["usd"]) for member in stored.members))
    wanted = own if request.capital_usd is None else request.capital_usd
    if not 0 < wanted < float("inf"):
        raise ConfigError(f"Capital: expected above 0 USD, found {wanted}.")
    return wanted


def _sleeves(stored: Portfolio, request: DeployRequest) -> tuple[Sleeve, ...]:
    """Return the sleeves of a portfolio's members, their capital in the shares that the portfolio gives them."""
    own = float(stored.figures.get("capital_usd") or sum(float(member["usd"]) for member in stored.members))
    share = _capital_usd(stored, request) / own
    sleeves = []
    for member in stored.members:
        candidate = Candidate(member["strategy"], member["symbol"], member["params"], member["vix_gate"])
        sleeves.append(
            Sleeve(
                name=sleeve_name(request.name, candidate.label),
                strategy=candidate.strategy,
                symbols=(candidate.symbol,),
                capital_usd=round(float(member["usd"]) * share, 2),
                params=dict(candidate.params),
                vix_filter=candidate.vix_gate,
                model=request.model,
            )
        )
    names = [sleeve.name for sleeve in sleeves]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"Portfolio {stored.id}: expected different sleeves, found {twice[0]!r} twice.")
    return tuple(sleeves)


def _require_sleeves(wanted: Deployment, known: Mapping[str, dt.date]) -> None:
    """Raise when a strategy cannot be built, or a symbol has no bars."""
    for sleeve in wanted.sleeves:
        sleeve_strategy(sleeve)
        for symbol in sleeve.symbols:
            if symbol not in known:
                raise UnknownSymbol(symbol, known)


def _funding(wanted: Deployment, first: str, venue: str, free_usd: float | None) -> str:
    """Return where the money comes from; raise when the first book of an outside account does not have it.

    Parameters
    ----------
    free_usd
        Cash of the first book; None at the built-in paper broker, where each book has money of its own.
    """
    if free_usd is None:
        return f"Paper money: ${wanted.capital_usd:,.2f} of its own at the built-in paper broker."
    if wanted.capital_usd > free_usd:
        raise ConfigError(
            f"Deployment {wanted.name!r}: expected at most the ${free_usd:,.2f} of free cash in {first}, found "
            f"${wanted.capital_usd:,.2f}. Give it less with --capital."
        )
    return f"${wanted.capital_usd:,.2f} move from the book {first} to {wanted.name}, at {venue}."
