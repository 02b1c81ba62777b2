"""Routes that read and change the desk's state: strategies, their parameters and switches, the halt of trading.

Parameters are checked and stored by `pipeline.strategy_parameters`, the halt is `pipeline.risk.kill_switch`. A change applies
from the next step that starts; orders already sent stay. Halts and resumptions are mailed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from core.errors import ConfigError, StopTrading, VersionConflict
from pipeline import strategy_parameters
from pipeline.execution.deployment_status import blocks_of
from pipeline.risk import kill_switch
from pipeline.strategy_parameters import InForce
from pipeline.views.research.parameters import PARAMETERS, ParameterFilter, StrategySchema, strategy_schema
from serving.access import controller, emergency, reader
from serving.problems import BadChange, UnknownStrategy
from serving.routers.routes import BODY, DENIED, PROBLEM
from serving.routers.views import PAGE, After, Format, Limit, object_response, page_type, rows_response
from serving.schemas import HaltChange, HaltState, ParametersChange, StrategyState, SwitchChange, Symbol
from serving.state import state_of
from serving.tagged import NOT_MODIFIED, Tagged
from trading.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from storage.trading.halts import Halt

READING: dict[int | str, dict[str, Any]] = NOT_MODIFIED | dict.fromkeys((*DENIED, 404, 409, 422, 503), PROBLEM)
CHANGING: dict[int | str, dict[str, Any]] = dict.fromkeys((*DENIED, *BODY, 403, 404, 409, 503), PROBLEM)
Name = Annotated[str, Path(max_length=50, pattern=r"^\w+$", description="A strategy's name; GET /strategies lists them.")]

router = APIRouter(prefix="/strategies", tags=["strategies"], route_class=Tagged)
trading = APIRouter(prefix="/trading", tags=["trading"], route_class=Tagged)


@router.get("", dependencies=[Depends(reader)], responses=READING)
def strategies(request: Request) -> list[StrategyState]:
    """Every strategy with the parameters in force: for all symbols, and for each symbol with a row of its own."""
    return [state_of_strategy(each) for each in strategy_parameters.in_force(resources=state_of(request).resources)]


@router.get("/{name}", dependencies=[Depends(reader)], responses=READING)
def strategy(
    name: Name, request: Request, symbol: Annotated[Symbol | None, Query(description="In this symbol alone.")] = None
) -> list[StrategyState]:
    """One strategy with the parameters in force."""
    require_strategy(name)
    rows = strategy_parameters.in_force(name, symbol, resources=state_of(request).resources)
    return [state_of_strategy(each) for each in rows]


@router.get("/{name}/history", dependencies=[Depends(reader)], response_model=page_type(PARAMETERS), responses=PAGE)
def history(
    name: Name,
    request: Request,
    *,
    symbol: Annotated[Symbol | None, Query(description="Of this symbol's own parameters alone.")] = None,
    after: Annotated[After, Query()] = None,
    limit: Annotated[Limit, Query()] = 100,
    format: Annotated[Format, Query()] = "json",  # noqa: A002  # the name of the parameter
) -> Response:
    """Every version of a strategy's parameters, newest first."""
    require_strategy(name)
    return rows_response(request, PARAMETERS, ParameterFilter(strategy=name, symbol=symbol), after, limit, format)


@router.get("/{name}/schema", dependencies=[Depends(reader)], response_model=StrategySchema, responses=READING)
def schema(name: Name) -> Response:
    """A strategy's parameters as a form needs them: type, bounds, default, unit and description."""
    require_strategy(name)
    return object_response(strategy_schema(name))


@router.put("/{name}/parameters", dependencies=[Depends(controller)], responses=CHANGING)
def set_parameters(name: Name, change: ParametersChange, request: Request) -> StrategyState:
    """Store a new version, unless somebody changed the parameters since `expected_version` (409)."""
    require_strategy(name)
    with changing():
        strategy_parameters.change(
            name,
            change.values,
            symbol=change.symbol,
            reset=change.reset,
            expected_version=change.expected_version,
            reason=change.reason,
            author=change.author,
            resources=state_of(request).resources,
        )
    return now_in_force(request, name, change.symbol)


@router.post("/{name}/enable", dependencies=[Depends(controller)], responses=CHANGING)
def enable(name: Name, change: SwitchChange, request: Request) -> StrategyState:
    """Let the strategy enter again, in one symbol or in all."""
    return switched(request, name, change, enabled=True)


@router.post("/{name}/disable", dependencies=[Depends(controller)], responses=CHANGING)
def disable(name: Name, change: SwitchChange, request: Request) -> StrategyState:
    """Hold the strategy's entries back, in one symbol or in all; positions are left by their own rules."""
    return switched(request, name, change, enabled=False)


@trading.get("/halt", dependencies=[Depends(reader)], responses=NOT_MODIFIED | dict.fromkeys((*DENIED, 422, 503), PROBLEM))
def halt_state(
    request: Request,
    portfolio: Annotated[
        str | None, Query(max_length=100, pattern=r"^[A-Za-z0-9_.-]+$", description="Omitted: the desk's own.")
    ] = None,
) -> HaltState:
    """Return the state of a portfolio's halt, its reason and its author, and every reason why it may open nothing."""
    resources = state_of(request).resources
    wanted = portfolio or resources.settings.portfolio
    last, blocks = resources.halts.current(wanted), blocks_of(wanted, resources=resources)
    if kill_switch.halt_file(resources.data_dir).exists():
        reason = kill_switch.halt_reason(resources=resources)
        return HaltState(portfolio=wanted, halted=True, reason=reason, entries_blocked=blocks)
    return HaltState(portfolio=wanted, halted=False, entries_blocked=blocks) if last is None else state_of_halt(last, blocks)


@trading.post("/halt", dependencies=[Depends(emergency)], responses=CHANGING)
def halt(change: HaltChange, request: Request) -> HaltState:
    """Stop a portfolio's orders until it is resumed; every book's when none is named."""
    return turned(request, change, kill_switch.halt if change.portfolio else kill_switch.halt_desk)


@trading.post("/resume", dependencies=[Depends(controller)], responses=CHANGING)
def resume(change: HaltChange, request: Request) -> HaltState:
    """Let a halted portfolio trade again, every book when none is named; a file that halts the desk is removed."""
    return turned(request, change, kill_switch.resume if change.portfolio else kill_switch.resume_desk)


def require_strategy(name: str) -> None:
    """Refuse names other than built-in strategies: the registry would accept a path to a file, and run it."""
    if name not in STRATEGIES:
        raise UnknownStrategy(f"Unknown strategy {name!r}. Expected one of {', '.join(STRATEGIES)}.")


@contextmanager
def changing() -> Iterator[None]:
    """Turn refusals of a change into answers that the client can correct."""
    try:
        yield
    except VersionConflict:
        raise
    except (ConfigError, StopTrading) as error:
        raise BadChange(str(error)) from error


def switched(request: Request, name: str, change: SwitchChange, *, enabled: bool) -> StrategyState:
    """Turn a strategy's switch and return its state."""
    require_strategy(name)
    resources = state_of(request).resources
    with changing():
        strategy_parameters.switch(
            name, enabled=enabled, symbol=change.symbol, reason=change.reason, author=change.author, resources=resources
        )
    return now_in_force(request, name, change.symbol)


def turned(request: Request, change: HaltChange, turn: Any) -> HaltState:  # noqa: ANN401  # halt or resume
    """Turn the halt switch and return its state."""
    resources = state_of(request).resources
    named = {"portfolio": change.portfolio} if change.portfolio else {}
    with changing():
        made = turn(change.reason, change.author, **named, resources=resources)
    return state_of_halt(made, blocks_of(made.portfolio, resources=resources))


def now_in_force(request: Request, name: str, symbol: str | None) -> StrategyState:
    """Return the strategy's state in a symbol, or in all without a row of their own."""
    return state_of_strategy(strategy_parameters.in_force(name, symbol, resources=state_of(request).resources)[0])


def state_of_halt(turn: Halt, blocks: list[str]) -> HaltState:
    """Return a turn of the switch as the API's model, with the reasons why the portfolio may open nothing."""
    return HaltState(
        portfolio=turn.portfolio,
        halted=turn.halted,
        reason=turn.reason,
        author=turn.author,
        created_at=turn.created_at,
        entries_blocked=blocks,
    )


def state_of_strategy(in_force: InForce) -> StrategyState:
    """Return the parameters in force as the API's model."""
    row = in_force.stored
    return StrategyState(
        strategy=in_force.strategy,
        symbol=in_force.symbol,
        enabled=row.enabled if row else True,
        version=row.version if row else 0,
        row_symbol=row.symbol if row else None,
        params=dict(in_force.params),
        preset=row.preset if row else None,
        author=row.author if row else None,
        reason=row.reason if row else None,
        created_at=row.created_at if row else None,
    )
