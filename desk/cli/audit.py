"""Replay, parity and everything behind an order in a terminal. Parses and prints; every step lives in its module."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from desk.cli.console import AUDIT, DeploymentName, Session, console, session_of, show, show_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.audit.deployment_replay import DeploymentReplay
    from pipeline.audit.parity import Parity
    from pipeline.audit.replay import Replay
    from pipeline.resources import Resources

verbs = typer.Typer()
From = Annotated[str, typer.Option("--from", help="First session (YYYY-MM-DD).")]
To = Annotated[str, typer.Option("--to", help="Last session (YYYY-MM-DD).")]
Symbols = Annotated[str, typer.Option(help="Comma-separated; the universe unless given.")]
Model = Annotated[bool, typer.Option("--model/--no-model", help="Let the champion judge every entry.")]
SHOWN = 40


@verbs.command(rich_help_panel=AUDIT)
def replay(first: From, last: To, symbols: Symbols = "", model: Model = False, deployment: DeploymentName = None) -> None:
    """Run the daily live path over past sessions in fast-forward, in a portfolio of its own."""
    if deployment is not None:
        for name, outcome in _replayed_deployment(deployment, first, last, model=model).replays.items():
            show(f"Replay of {name}", _summary(outcome))
        return
    show("Replay", _summary(_replayed(first, last, symbols, model=model)))


@verbs.command(rich_help_panel=AUDIT)
def parity(  # noqa: PLR0917  # typer turns each into an option
    first: Annotated[str | None, typer.Option("--from", help="First session (YYYY-MM-DD).")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last session (YYYY-MM-DD).")] = None,
    symbols: Symbols = "",
    model: Model = False,
    ledger: Annotated[bool, typer.Option(help="Compare the live portfolio's record instead of a replay.")] = False,
    deployment: DeploymentName = None,
) -> None:
    """Compare a replay, or the live ledger, with the portfolio backtest, to the cent. Exit code 1 on a difference."""
    from pipeline.audit import parity as step
    from pipeline.audit.deployment_replay import compare_deployment_replay

    if ledger:
        compared = step.compare_ledger(_day(first), _day(last), resources=_desk(deployment))
    elif first is None or last is None:
        raise typer.BadParameter("Give --from and --to, or --ledger.")
    elif deployment is not None:
        replayed = _replayed_deployment(deployment, first, last, model=model)
        compared = compare_deployment_replay(replayed, resources=_desk(deployment))
    else:
        outcome = _replayed(first, last, symbols, model=model)
        show("Replay", _summary(outcome))
        compared = step.compare_replay(outcome)
    _print_parity(compared)
    if not compared.holds:
        raise typer.Exit(1)


@verbs.command(rich_help_panel=AUDIT)
def parity_day(session: Session = None, deployment: DeploymentName = None) -> None:
    """Compare one traded day with the backtest and store the gap, split by cause. Exit code 1 when the signals differ."""
    from pipeline.audit.parity_day import record_day

    row = record_day(session_of(session), resources=_desk(deployment)).as_dict()
    details = row.pop("details")
    show("Parity of the day", row)
    for each in details:
        console.print(f"{each['cause']}: {each['symbol']} {each['detail']}, ${each['gap_usd']:,.2f}")
    if row["signal_differences"]:
        raise typer.Exit(1)


@verbs.command(rich_help_panel=AUDIT)
def explain_order(
    order: Annotated[str, typer.Argument(help="Client order id, or a prefix of it that no other order shares.")],
    replay: Annotated[bool, typer.Option(help="Recompute decision and score point-in-time.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show everything behind an order on one page. With --replay, exit code 1 unless reproduced bit for bit."""
    from pipeline.audit.explain_order import explain

    page = explain(order, replay=replay).as_dict()
    if as_json:
        typer.echo(json.dumps(page, indent=2))
    else:
        _print_page(page)
    if replay and not page["recomputed"]["same"]:
        raise typer.Exit(1)


def _print_page(page: dict[str, Any]) -> None:
    table = Table("", "", "", title=f"Order {page['order']['client_order_id']}", show_header=False)
    for section in ("order", "signal", "prediction", "model", "served", "features", "bars", "validation", "code"):
        values = page[section]
        for place, (name, value) in enumerate((values or {"": "not on record"}).items()):
            table.add_row(section if place == 0 else "", name, "-" if value is None else str(value))
        table.add_section()
    for place, event in enumerate(page["events"]):
        table.add_row("events" if place == 0 else "", event["state"], f"{event['created_at']} {event['reason']}")
    for place, fill in enumerate(page["fills"]):
        execution = f"{fill['quantity']} at {fill['price']} in session {fill['session']}, commission {fill['commission_usd']}"
        table.add_row("fills" if place == 0 else "", fill["reason"], execution)
    console.print(table)
    for sentence in page["not_linked"]:
        console.print(f"[yellow]Not linked[/]: {sentence}")
    for name, part in page.get("recomputed", {}).items():
        if name != "same":
            console.print(f"Recomputed {name}: {_verdict(part)}")


def _verdict(part: dict[str, Any]) -> str:
    if part["same"] is None:
        return f"[yellow]not compared[/], {part['why']}"
    if part["same"]:
        return "[green]the same to the last bit[/]"
    return f"[red]not the same[/]: {part.get('why') or part.get('apart')}"


def _desk(deployment: str | None) -> Resources | None:
    """Return the desk of a deployment; None, the desk's own, without a name."""
    from pipeline.deployments.books import desk_of

    return None if deployment is None else desk_of(deployment)


def _replayed_deployment(deployment: str, first: str, last: str, *, model: bool) -> DeploymentReplay:
    from core.log import configure_logging
    from pipeline.audit.deployment_replay import replay_deployment

    desk = _desk(deployment)
    configure_logging("WARNING")  # two lines an order would bury the result
    with _sessions_bar() as on_progress:
        return replay_deployment(
            dt.date.fromisoformat(first),
            dt.date.fromisoformat(last),
            model="champion" if model else None,
            on_progress=on_progress,
            resources=desk,
        )


@contextmanager
def _sessions_bar() -> Iterator[Callable[[int, int], None]]:
    """Show a bar of sessions; yield the function that moves it."""
    from rich.progress import MofNCompleteColumn, Progress

    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console, transient=True) as bar:
        task = bar.add_task("Sessions", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _replayed(first: str, last: str, symbols: str, *, model: bool) -> Replay:
    from core.log import configure_logging
    from pipeline.audit import replay as step
    from pipeline.resources import live

    resources = live()
    configure_logging("WARNING")  # two lines an order would bury the result
    with _sessions_bar() as on_progress:
        return step.run_replay(
            dt.date.fromisoformat(first),
            dt.date.fromisoformat(last),
            symbols=[each for each in symbols.split(",") if each],
            model="champion" if model else None,
            on_progress=on_progress,
            resources=resources,
        )


def _summary(outcome: Replay) -> dict[str, object]:
    return {
        "portfolio": outcome.portfolio,
        "strategy": ", ".join(strategy.name for strategy in outcome.strategies),
        "sessions": len(outcome.equity),
        "trades": len(outcome.trades),
        "held at the end": len(outcome.positions),
        "refused": len(outcome.refusals),
        "final equity": f"${outcome.equity['equity_usd'].iloc[-1]:,.2f}",
        "seconds": f"{outcome.seconds:.1f}, of which {outcome.loop_seconds:.1f} in the sessions",
        "sessions a second": f"{outcome.sessions_a_second:.0f}, in the loop {len(outcome.equity) / outcome.loop_seconds:.0f}",
    }


def _print_parity(result: Parity) -> None:
    compared = f"{result.trades} trades and {result.sessions} closes"
    if result.holds:
        console.print(f"[green]Parity[/green]: {compared}, no difference; equity within ${result.equity_gap_usd:.2g}.")
        return
    table = Table("Cause", "Differences", "Gap, USD", title=f"Record less backtest, of {compared}")
    for row in result.split().itertuples():
        table.add_row(str(row.cause), f"{row.differences}", f"{row.gap_usd:,.2f}")
    console.print(table)
    show_frame(f"The first {min(SHOWN, len(result.differences))} differences", result.differences.head(SHOWN))
    console.print(f"[red]No parity[/red]: equity differs by up to ${result.equity_gap_usd:,.2f} at a close.")


def _day(text: str | None) -> dt.date | None:
    return None if text is None else dt.date.fromisoformat(text)
