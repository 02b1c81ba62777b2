"""Routes of what trades: deployments and the portfolios that they are made from.

Deploying backtests every sleeve, which takes seconds: the routes are plain functions, which FastAPI runs in its threads.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from core.deployments import NAME, label_of
from core.errors import StopTrading
from pipeline.deployments import changes
from pipeline.deployments.deploy import DeployRequest, plan_deployment
from pipeline.deployments.deploy import deploy as deploy_portfolio
from pipeline.execution.deployment_status import deployment_status, history_of
from pipeline.research import portfolio
from pipeline.research.portfolio_validation import validate_portfolio
from pipeline.sessions import newest_session
from pipeline.views.deployments import DEPLOYMENTS, DeploymentRow, deployment_row
from pipeline.views.view import MOST_ROWS, Filter
from serving.access import controller, reader
from serving.routers.control import CHANGING, READING, changing
from serving.routers.views import EXPORTED, Format, list_response
from serving.schemas import STRICT, Author, Reason
from serving.state import state_of
from serving.tagged import Tagged

if TYPE_CHECKING:
    from core.deployments import Deployment
    from pipeline.deployments.deploy import Deployed
    from pipeline.resources import Resources

LARGEST = 2**31 - 1  # of an id or a version
Name = Annotated[
    str, Path(max_length=100, pattern=r"^[A-Za-z0-9_.-]+$", description="A deployment's name; GET /deployments lists them.")
]
Number = Annotated[int, Path(ge=1, le=LARGEST, description="A portfolio's id; GET /portfolios lists them.")]

router = APIRouter(prefix="/deployments", tags=["deployments"], route_class=Tagged)
portfolios = APIRouter(prefix="/portfolios", tags=["deployments"], route_class=Tagged)


class SleeveState(BaseModel):
    """One strategy of a deployment, with its own capital."""

    name: Annotated[str, Field(description="Its signals, orders and trades carry it as their strategy.")]
    label: str
    strategy: str
    symbols: list[str]
    params: dict[str, Any]
    capital_usd: float
    vix_filter: bool
    model: Annotated[
        str, Field(description="`champion` when the entry filter must accept each entry; empty when none is asked.")
    ]


class DeploymentVersion(BaseModel):
    """One version of a deployment: what was changed, by whom and why."""

    version: int
    stage: Literal["paper", "live"]
    state: Literal["active", "paused", "retired"]
    author: str
    reason: str
    created_at: dt.datetime | None


class DeploymentDetail(DeploymentRow):
    """A deployment with its sleeves and every version, oldest first."""

    sleeve_details: list[SleeveState]
    history: list[DeploymentVersion]


class DeploymentMade(BaseModel):
    """A deployment that was made, or would be, and what whoever deploys it should know."""

    deployed: Annotated[bool, Field(description="false: `dry_run`, and nothing is changed.")]
    name: str
    version: int
    stage: Literal["paper", "live"]
    profile: str
    portfolio_id: int | None
    capital_usd: float
    sleeves: list[SleeveState]
    notes: Annotated[list[str], Field(description="Its validation, its funding, and the first order of each sleeve.")]


class NewDeployment(BaseModel):
    """A portfolio to deploy, and its author and reason."""

    model_config = STRICT | ConfigDict(
        json_schema_extra={
            "examples": [{"portfolio": 1, "name": "trio", "reason": "validated", "author": "ann", "dry_run": True}]
        }
    )

    portfolio: Annotated[int, Field(ge=1, le=LARGEST, description="Id of a stored portfolio.")]
    name: Annotated[str, Field(max_length=40, pattern=f"^{NAME.pattern}$", description="Of the deployment, and of its book.")]
    stage: Annotated[Literal["paper", "live"], Field(description="`live` is real money.")] = "paper"
    capital_usd: Annotated[
        float | None, Field(gt=0, allow_inf_nan=False, description="Money to share; omitted: the portfolio's.")
    ] = None
    profile: Annotated[
        str,
        Field(max_length=50, pattern=r"^\w*$", description="Risk profile; empty: RISK__PROFILE, `director` for real money."),
    ] = ""
    filter: Annotated[bool, Field(description="The champion must accept each entry.")] = False
    dry_run: Annotated[bool, Field(description="Show what would be deployed, and change nothing.")] = False
    confirm: Annotated[bool, Field(description="Real money needs true.")] = False
    reason: Reason
    author: Annotated[Author, Field(description="Who; real money needs a person.")]


class DeploymentChange(BaseModel):
    """Reason for a change of a deployment's state, and its author."""

    model_config = STRICT | ConfigDict(
        json_schema_extra={"examples": [{"reason": "earnings week", "author": "ann", "expected_version": 1}]}
    )

    expected_version: Annotated[
        int | None,
        Field(ge=1, le=LARGEST, description="Version that the change is made from; 409 when somebody changed it since."),
    ] = None
    reason: Reason
    author: Author


class ValidationState(BaseModel):
    """A validation of a portfolio: PASS, WARN or FAIL."""

    session: Annotated[dt.date, Field(description="The last session that it saw.")]
    status: str
    report: Annotated[dict[str, Any], Field(description="Each rule with its limit, what was found and the verdict.")]


class PortfolioState(BaseModel):
    """A portfolio that research chose; a draft cannot be deployed before it is kept."""

    id: int
    session: dt.date
    created_at: dt.datetime
    method: str
    draft: bool
    members: Annotated[list[dict[str, Any]], Field(description="Strategy, symbol, parameters and USD each.")]
    figures: dict[str, Any]
    validation: Annotated[ValidationState | None, Field(description="The last one; null: it was never validated.")]


class ValidationWanted(BaseModel):
    """Session up to which a portfolio is validated."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})

    session: Annotated[dt.date | None, Field(description="Omitted: the newest one closed.")] = None


class Turn(Protocol):
    """Pause, unpause or retire; see `pipeline.deployments.changes`."""

    def __call__(
        self, name: str, *, reason: str, author: str, expected_version: int | None, resources: Resources
    ) -> Deployment:
        """Store the change and return the new version."""


@router.get("", dependencies=[Depends(reader)], response_model=list[DeploymentRow], responses=READING | EXPORTED)
def deployments(request: Request, format: Format = "json") -> Response:  # noqa: A002  # its name in the address
    """Every deployment with its book, and why entries are blocked; the default one first."""
    return list_response(request, DEPLOYMENTS, Filter(), None, MOST_ROWS, format)


@router.get("/{name}", dependencies=[Depends(reader)], responses=READING)
def deployment(name: Name, request: Request) -> DeploymentDetail:
    """One deployment with its sleeves and its history."""
    return detail_of(name, state_of(request).resources)


@router.post("", dependencies=[Depends(controller)], responses=CHANGING)
def deploy(wanted: NewDeployment, request: Request) -> DeploymentMade:
    """Let a portfolio trade from the next evening on, in a book of its own; `dry_run` shows it and changes nothing.

    Everything that could go wrong on the first evening is tried: validation, strategies, bars, sizes, stops, the venue's
    fractions. Real money needs a validation of PASS, a record on paper, both switches, a person as the author and `confirm`.
    """
    asked = DeployRequest(
        wanted.portfolio,
        wanted.name,
        wanted.reason,
        wanted.author,
        stage=wanted.stage,
        capital_usd=wanted.capital_usd,
        profile=wanted.profile,
        model="champion" if wanted.filter else "",
    )
    step = plan_deployment if wanted.dry_run else deploy_portfolio
    with changing():
        if wanted.stage == "live" and not (wanted.confirm or wanted.dry_run):
            raise StopTrading("Real money: expected `confirm: true`, found false. Look at the answer to `dry_run: true` first.")
        return made_of(step(asked, resources=state_of(request).resources), deployed=not wanted.dry_run)


@router.post("/{name}/pause", dependencies=[Depends(controller)], responses=CHANGING)
def pause(name: Name, change: DeploymentChange, request: Request) -> DeploymentDetail:
    """Stop a deployment's entries; what it holds is left by its rules."""
    return turned(name, change, request, changes.pause)


@router.post("/{name}/unpause", dependencies=[Depends(controller)], responses=CHANGING)
def unpause(name: Name, change: DeploymentChange, request: Request) -> DeploymentDetail:
    """Let a paused deployment enter again."""
    return turned(name, change, request, changes.unpause)


@router.post("/{name}/retire", dependencies=[Depends(controller)], responses=CHANGING)
def retire(name: Name, change: DeploymentChange, request: Request) -> DeploymentDetail:
    """End a deployment for good; what it holds is left by its rules until nothing is left."""
    return turned(name, change, request, changes.retire)


@portfolios.get("", dependencies=[Depends(reader)], responses=READING)
def list_portfolios(request: Request) -> list[PortfolioState]:
    """Every portfolio, drafts included, newest first, with its last validation."""
    return portfolio_states(state_of(request).resources)


@portfolios.post("/{number}/validate", dependencies=[Depends(controller)], responses=CHANGING)
def validate(number: Number, wanted: ValidationWanted, request: Request) -> ValidationState:
    """Check a portfolio against its limits and store the result; deployments of one that fails open nothing."""
    resources = state_of(request).resources
    with changing():
        portfolio.require_portfolio(number, resources.portfolios)
        session = wanted.session.isoformat() if wanted.session else newest_session(resources=resources)
        report = validate_portfolio(session, number, resources=resources)
    return ValidationState(session=dt.date.fromisoformat(session), status=report.status, report=report.as_dict())


@portfolios.post("/{number}/keep", dependencies=[Depends(controller)], responses=CHANGING)
def confirm(number: Number, request: Request) -> PortfolioState:
    """Make a draft a stored portfolio, which can be deployed once it is validated."""
    resources = state_of(request).resources
    with changing():
        portfolio.confirm_draft(number, resources=resources)
    return next(each for each in portfolio_states(resources) if each.id == number)


def turned(name: str, change: DeploymentChange, request: Request, turn: Turn) -> DeploymentDetail:
    """Change a deployment's state and return it."""
    resources = state_of(request).resources
    with changing():
        turn(name, reason=change.reason, author=change.author, expected_version=change.expected_version, resources=resources)
    return detail_of(name, resources)


def detail_of(name: str, resources: Resources) -> DeploymentDetail:
    """Return a deployment with its sleeves and its history."""
    history = history_of(name, resources=resources)
    (status,) = deployment_status(name, resources=resources)
    return DeploymentDetail(
        **deployment_row(status).model_dump(),
        sleeve_details=sleeves_of(status.deployment),
        history=[version_of(each) for each in history],
    )


def version_of(made: Deployment) -> DeploymentVersion:
    """Return a version of a deployment as the API's model."""
    return DeploymentVersion(
        version=made.version,
        stage=made.stage.value,
        state=made.state.value,
        author=made.author,
        reason=made.reason,
        created_at=made.created_at,
    )


def sleeves_of(made: Deployment) -> list[SleeveState]:
    """Return a deployment's sleeves as the API's models."""
    return [
        SleeveState(
            name=each.name,
            label=label_of(each.name),
            strategy=each.strategy,
            symbols=list(each.symbols),
            params=dict(each.params),
            capital_usd=each.capital_usd,
            vix_filter=each.vix_filter,
            model=each.model,
        )
        for each in made.sleeves
    ]


def made_of(planned: Deployed, *, deployed: bool) -> DeploymentMade:
    """Return what was deployed, or would be, as the API's model."""
    made = planned.deployment
    return DeploymentMade(
        deployed=deployed,
        name=made.name,
        version=made.version,
        stage=made.stage.value,
        profile=made.profile,
        portfolio_id=made.portfolio_id,
        capital_usd=made.capital_usd,
        sleeves=sleeves_of(made),
        notes=list(planned.notes),
    )


def portfolio_states(resources: Resources) -> list[PortfolioState]:
    """Return every portfolio as the API's model, newest first."""
    return [
        PortfolioState(
            id=each.id,
            session=each.session,
            created_at=each.created_at,
            method=each.method,
            draft=each.draft,
            members=each.members,
            figures=each.figures,
            validation=None
            if judged is None
            else ValidationState(session=judged.session, status=judged.status, report=judged.report),
        )
        for each, judged in portfolio.list_portfolios(resources=resources)
    ]
