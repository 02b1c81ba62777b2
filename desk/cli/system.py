"""The whole desk in a terminal: its first run, and the state of its services. Parses and prints."""

from __future__ import annotations

from typing import Annotated

import typer
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
