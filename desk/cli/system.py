"""The whole desk in a terminal: its first run, the state of its services, its database and its pages. Parses and prints."""

from __future__ import annotations

import json
import webbrowser
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from desk.cli.console import SYSTEM, console

verbs = typer.Typer()


@verbs.command(rich_help_panel=SYSTEM)
def demo() -> None:
    """Run the whole pipeline once on the chosen provider and print the result."""
    from desk.ops.demo import run

    run(console)


@verbs.command(rich_help_panel=SYSTEM)
def status(
    services: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Default: each of them.")] = None,
) -> None:
    """Show the status of risk worker, order listener and the positions' rules, and why entries are blocked.

    Exit code 1 when a service is not as it should be; blocked entries alone leave it at 0.
    """
    from pipeline.execution import service_status as step
    from pipeline.execution.deployment_status import deployment_status
    from pipeline.risk import kill_switch

    checked = step.check_services(services or ())
    table = Table("Service", "", "Seen")
    for each in checked:
        table.add_row(each.service, "[green]well[/]" if each.healthy else "[red]not well[/]", each.detail)
    console.print(table)
    if services is None:
        console.print(kill_switch.halt_reason() or "Trading is not halted.")
        for row in deployment_status():
            entries = "entries are free" if not row.blocks else "entries are [red]blocked[/]: " + " ".join(row.blocks)
            console.print(f"{row.deployment.name} ({row.deployment.stage}, {row.deployment.state}): {entries}")
    if not all(each.healthy for each in checked):
        raise typer.Exit(1)


@verbs.command(rich_help_panel=SYSTEM)
def sql(
    statement: Annotated[str | None, typer.Argument(help="One statement that reads; none opens psql.")] = None,
    *,
    only_print: Annotated[bool, typer.Option("--print", help="Print the database's address, the password masked.")] = False,
    show_password: Annotated[bool, typer.Option("--show-password", help="With --print: the password too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most rows of the answer.")] = 200,
    timeout: Annotated[float, typer.Option(min=0.1, max=3_600, help="Seconds after which the statement is ended.")] = 30.0,
) -> None:
    """Open psql on the desk's database, or run one statement that reads and print its answer.

    The statement runs in a session that cannot write. The schemas are market, features, research, trading and ml.
    """
    from core.settings import get_settings
    from desk.ops.psql import database_address, run_psql
    from storage.read_only import run_read_only

    address = database_address(get_settings())
    if only_print:
        typer.echo(address.render_as_string(hide_password=not show_password))
        return
    if statement is None:
        raise typer.Exit(run_psql(address))
    whole = address.render_as_string(hide_password=False)
    answer = run_read_only(whole, statement, most_rows=limit, timeout_seconds=timeout)
    table = Table(*map(escape, answer.columns))
    for row in answer.rows:
        table.add_row(*map(_cell, row))
    console.print(table if answer.rows else "No row.")
    if answer.more:
        console.print(f"More rows: the first {limit:,} are shown; --limit shows others.")


@verbs.command("open", rich_help_panel=SYSTEM)
def open_page(
    page: Annotated[str | None, typer.Argument(help="dashboard, airflow, mlflow, api or data-docs; none lists them.")] = None,
    *,
    only_print: Annotated[bool, typer.Option("--print", help="Print the address; open nothing.")] = False,
) -> None:
    """Open a page of the desk in a browser, or list the pages. Exit code 1 when the page does not run."""
    from core.settings import get_settings
    from desk.ops.pages import desk_pages, page_named

    if page is None:
        table = Table("Page", "", "Address", "")
        for each in desk_pages(get_settings()):
            table.add_row(
                each.name, each.title, each.address, "[green]runs[/]" if each.runs else f"[red]not there[/]: {each.start}"
            )
        console.print(table)
        return
    wanted = page_named(get_settings(), page)
    if not wanted.runs:
        console.print(f"[red]{wanted.name}[/] is not there: {wanted.start}")
    if only_print or (wanted.runs and not webbrowser.open(wanted.address)):
        typer.echo(wanted.address)
    if not wanted.runs:
        raise typer.Exit(1)


def _cell(value: object) -> str:
    """Return a value of the database as text."""
    if value is None:
        return "[dim]null[/]"
    return escape(json.dumps(value, default=str) if isinstance(value, dict | list) else str(value))
