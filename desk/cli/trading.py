"""Trading in a terminal: daily orders, the venue, the watch over stops. Parses and prints; every step lives in its module."""

from __future__ import annotations

import getpass
import signal
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from core.errors import ConfigError, DeskError
from desk.cli.console import TRADING, DeploymentName, Session, console, session_of, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.execution.position_watch import PositionCheck

verbs = typer.Typer()


@verbs.command(rich_help_panel=TRADING)
def trade(
    session: Session = None,
    deployment: Annotated[str | None, typer.Option(help="This deployment alone; default: every one that trades.")] = None,
) -> None:
    """Settle a session, decide at its close, place the orders for the next open, in every deployment. Safe to run twice."""
    from pipeline.deployments.books import trading_books
    from pipeline.deployments.validity import renew_validation
    from pipeline.execution import daily_trade as step
    from pipeline.execution.recorded_steps import run_step
    from pipeline.sessions import check_session

    day = session_of(session)
    chosen = check_session(day)
    if not chosen.trades:
        raise ConfigError(f"{chosen.reason}. Give the session before it, or none for the newest one.")
    steps: dict[str, Callable[..., Any]] = {
        "settle": step.settle,
        "renew_validation": renew_validation,
        "find_candidates": step.candidates,
        "predict": step.predict,
        "place": step.place,
        "record": step.record,
    }
    failed: list[DeskError] = []
    books = [deployment] if deployment else trading_books()
    for book in books:
        try:
            for name, run in steps.items():
                show(f"{book}: {name}", run_step(name, run, day, book).as_dict())
        except DeskError as error:
            if len(books) == 1:
                raise
            failed.append(error)  # one deployment that fails stops no other
            console.print(f"[red]{book}: {type(error).__name__}[/]: {error}")
    if failed:
        raise typer.Exit(1)


@verbs.command(rich_help_panel=TRADING)
def listen(
    poll_seconds: Annotated[
        float, typer.Option(min=1, help="Pause between polls for events that the stream may have lost.")
    ] = 60.0,
    when_needed: Annotated[
        bool, typer.Option("--when-needed", help="With a broker that has no event stream, wait until ended instead of failing.")
    ] = False,
) -> None:
    """Write the broker's order events into the ledger as they happen; runs until it is ended."""
    from pipeline.execution import order_listener as step

    step.listen(poll_seconds=poll_seconds, when_needed=when_needed)


@verbs.command(rich_help_panel=TRADING)
def watch_positions(
    once: Annotated[
        bool, typer.Option("--once", help="Check once; exit code 1 when a position could not be judged or sold.")
    ] = False,
    interval: Annotated[float, typer.Option(min=1, help="Seconds between checks.")] = 60.0,
) -> None:
    """Sell positions that have reached a stop or target that rests at no venue; runs until it is ended."""
    from pipeline.execution import position_watch as step

    if once:
        done = step.check_positions()
        _show_check(done)
        raise typer.Exit(1 if done.refused else 0)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    checks = step.run_watch(stop, interval_seconds=interval, on_check=_show_check)
    console.print(f"Stopped after {checks} checks.")


@verbs.command(rich_help_panel=TRADING)
def reconcile(session: Session = None, deployment: DeploymentName = None) -> None:
    """Compare the broker's orders, fills, positions and cash with the ledger. Exit code 1 when a difference is left open."""
    from pipeline.deployments.books import desk_of
    from pipeline.execution import reconcile as step

    result = step.reconcile(session_of(session), resources=None if deployment is None else desk_of(deployment))
    if not result.differences:
        console.print(f"[green]The ledger and {result.broker} agree.[/green]")
        return
    table = Table("Rule", "What", "Here", f"At {result.broker}", "What becomes of it", title="Differences")
    for each in result.differences:
        colour = "green" if each.resolved else "red"
        table.add_row(f"[{colour}]{each.rule}[/]", each.subject, each.expected, each.found, each.resolution)
    console.print(table)
    if result.halted:
        console.print("[red]Trading is halted.[/red] Settle the differences, then `desk resume --reason ...`.")
    if result.open:
        raise typer.Exit(1)


@verbs.command(rich_help_panel=TRADING)
def hand_over(
    strategy: Annotated[str, typer.Argument(help="Strategy that holds the position.")],
    symbol: Annotated[str, typer.Argument(help="Symbol of the position.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; it is stored.")],
    to: Annotated[str, typer.Option(help="Strategy that leaves it from now on; `name:preset` takes a preset.")] = "",
    to_person: Annotated[str, typer.Option(help="Person who leaves it from now on: no rule and no time limit does.")] = "",
    author: Annotated[str | None, typer.Option(help="Who; default: the user of this terminal.")] = None,
    deployment: DeploymentName = None,
) -> None:
    """Hand a position over to another strategy's exits or to a person; its stop and target stay."""
    from pipeline.deployments.books import desk_of
    from pipeline.execution import hand_over as step

    given = step.hand_over(
        strategy,
        symbol,
        to=to,
        person=to_person,
        reason=reason,
        author=getpass.getuser() if author is None else author,
        resources=None if deployment is None else desk_of(deployment),
    )
    taker = f"the exits of {given.source}" if given.source else given.person
    console.print(f"[green]{given.symbol}[/] of {given.strategy} is left by {taker} from now on.")


def _show_check(done: PositionCheck) -> None:
    counts = f"{len(done.within)} within, {len(done.at_venue)} kept by the venue, {len(done.leaving)} leaving"
    console.print(f"{done.at:%Y-%m-%d %H:%M:%S} UTC: {done.reason or counts}")
    for order_id, state in done.exits.items():
        console.print(f"  [green]exit[/] {order_id}: {state}")
    for symbol, why in done.refused.items():
        console.print(f"  [red]{symbol}[/]: {why}")
