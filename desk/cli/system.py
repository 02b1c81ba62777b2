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
    """Say whether risk worker and order listener do their work. Exit code 1 when one that is needed does not."""
    from desk.ops import status as step
    from pipeline.risk import kill_switch

    seen = step.look(services or ())
    table = Table("Service", "", "Seen")
    for each in seen:
        table.add_row(each.service, "[green]well[/]" if each.well else "[red]not well[/]", each.says)
    console.print(table)
    if services is None:
        console.print(kill_switch.halt_reason() or "Trading is not halted.")
    if not all(each.well for each in seen):
        raise typer.Exit(1)
