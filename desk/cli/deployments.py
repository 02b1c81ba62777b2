"""Deployments in a terminal: deploy a portfolio, list what trades, pause and retire. Parses and prints."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer
from rich.table import Table

from desk.cli.console import RESEARCH, TRADING, console
from desk.cli.views import Export, Json, print_json, write

if TYPE_CHECKING:
    from core.deployments import Deployment
    from pipeline.deployments.deploy import Deployed

verbs = typer.Typer()
Name = Annotated[str, typer.Argument(help="Name of a deployment; `desk deployments` lists them.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the history.")]
Author = Annotated[str, typer.Option(help="Who.", default_factory=getpass.getuser, show_default="the user")]
COLOUR = {"active": "green", "paused": "yellow", "retired": "red"}


@verbs.command(rich_help_panel=RESEARCH)
def portfolios(
    store: Annotated[int | None, typer.Option("--store", help="Keep this draft, so that it can be deployed.")] = None,
) -> None:
    """List the portfolios that research chose, with their validations; --store keeps a draft."""
    from pipeline.research import portfolio

    if store is not None:
        portfolio.confirm_draft(store)
        console.print(f"Portfolio {store} is kept. Next: `desk validate-risk --portfolio {store}`.")
        return
    table = Table("Id", "Session", "Method", "Sleeves", "USD", "Validation", "")
    for each, validation in portfolio.list_portfolios():
        sleeves = ", ".join(f"{member['strategy']}@{member['symbol']}" for member in each.members)
        usd = sum(float(member["usd"]) for member in each.members)
        judged = "-" if validation is None else f"{validation.status} of {validation.session}"
        table.add_row(
            str(each.id), str(each.session), each.method, sleeves, f"{usd:,.2f}", judged, "draft" if each.draft else "stored"
        )
    console.print(table)


@verbs.command(rich_help_panel=TRADING)
def deploy(
    portfolio: Annotated[int, typer.Argument(help="Id of a stored portfolio; `desk portfolios` lists them.")],
    name: Annotated[str, typer.Option(help="Name of the deployment, and of its book.")],
    reason: Reason,
    author: Author,
    *,
    stage: Annotated[str, typer.Option(help="`paper`, or `live` for real money.")] = "paper",
    capital: Annotated[float | None, typer.Option(help="Money to share, in USD; default: the portfolio's.")] = None,
    profile: Annotated[str, typer.Option(help="Risk profile; default: RISK__PROFILE, and `director` for real money.")] = "",
    entry_filter: Annotated[bool, typer.Option("--filter", help="The champion must accept each entry.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deployed, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Deploy real money without asking.")] = False,
) -> None:
    """Let a portfolio trade from the next evening on, in a book of its own."""
    from pipeline.deployments.deploy import DeployRequest, plan_deployment
    from pipeline.deployments.deploy import deploy as step

    request = DeployRequest(
        portfolio,
        name,
        reason,
        author,
        stage=cast("Literal['paper', 'live']", stage),
        capital_usd=capital,
        profile=profile,
        model="champion" if entry_filter else "",
    )
    asks = stage == "live" and not yes
    if dry_run or asks:
        with console.status("Backtesting its sleeves ..."):
            planned = plan_deployment(request)
        _show_deployed(planned)
        if dry_run:
            console.print("Nothing is changed.")
            return
        typer.confirm(f"Trade ${planned.deployment.capital_usd:,.2f} of real money?", abort=True)
    with console.status("Backtesting its sleeves ..."):
        deployed = step(request)
    if not asks:
        _show_deployed(deployed)
    made = deployed.deployment
    console.print(f"[green]Deployed[/] {made.name}, version {made.version}. It trades from the next evening on.")


@verbs.command(rich_help_panel=TRADING)
def deployments(
    history: Annotated[str | None, typer.Option(help="Show every version of this deployment.")] = None,
    as_json: Json = False,
    export: Export = None,
) -> None:
    """List the deployments with their books, and whether entries are free."""
    if as_json or export is not None:
        from pipeline.views.deployments import DEPLOYMENTS
        from pipeline.views.view import Filter

        write(DEPLOYMENTS, Filter(), export) if export is not None else print_json(DEPLOYMENTS, DEPLOYMENTS.page(Filter()))
        return
    from pipeline.execution.deployment_status import deployment_status, history_of

    if history is not None:
        table = Table("Version", "At (UTC)", "State", "Stage", "By", "Reason")
        for each in history_of(history):
            at = "" if each.created_at is None else f"{each.created_at:%Y-%m-%d %H:%M:%S}"
            table.add_row(str(each.version), at, _state(each), each.stage, each.author, each.reason)
        console.print(table)
        return
    table = Table("Name", "Stage", "State", "Profile", "Capital", "Equity", "Positions", "Sleeves", "Entries")
    for row in deployment_status():
        equity = "-" if row.equity_usd is None else f"{row.equity_usd:,.2f}"
        sleeves = "\n".join(row.sleeves)
        entries = "[green]free[/]" if not row.blocks else "[red]blocked[/]: " + " ".join(row.blocks)
        made = row.deployment
        table.add_row(
            made.name,
            made.stage,
            _state(made),
            made.profile,
            f"{made.capital_usd:,.2f}",
            equity,
            str(row.positions),
            sleeves,
            entries,
        )
    console.print(table)


@verbs.command(rich_help_panel=TRADING)
def pause(name: Name, reason: Reason, author: Author) -> None:
    """Stop a deployment's entries; what it holds is left by its rules."""
    from pipeline.deployments import changes

    _show_change(changes.pause(name, reason=reason, author=author))


@verbs.command(rich_help_panel=TRADING)
def unpause(name: Name, reason: Reason, author: Author) -> None:
    """Let a paused deployment enter again."""
    from pipeline.deployments import changes

    _show_change(changes.unpause(name, reason=reason, author=author))


@verbs.command(rich_help_panel=TRADING)
def retire(name: Name, reason: Reason, author: Author) -> None:
    """End a deployment: it enters nothing any more, and leaves what it holds by its rules until nothing is left."""
    from pipeline.deployments import changes

    _show_change(changes.retire(name, reason=reason, author=author))


def _show_deployed(planned: Deployed) -> None:
    made = planned.deployment
    table = Table(
        "Sleeve", "Symbols", "USD", "Filter", title=f"{made.name}: portfolio {made.portfolio_id}, {made.stage}, {made.profile}"
    )
    for sleeve in made.sleeves:
        table.add_row(sleeve.name, ", ".join(sleeve.symbols), f"{sleeve.capital_usd:,.2f}", sleeve.model or "none")
    console.print(table)
    for note in planned.notes:
        console.print(f"- {note}")


def _show_change(made: Deployment) -> None:
    console.print(f"{made.name} is {_state(made)} since version {made.version}: {made.reason} ({made.author})")


def _state(made: Deployment) -> str:
    return f"[{COLOUR[made.state]}]{made.state}[/]"
