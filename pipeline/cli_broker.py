"""The venue in a terminal: listening to it, reconciling with it. Parses and prints; the steps live in their modules."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from pipeline.terminal import Session, console, session_of

verbs = typer.Typer()


@verbs.command()
def listen(
    poll_seconds: Annotated[
        float, typer.Option(min=1, help="Pause between two times of asking for what the stream may have lost.")
    ] = 60.0,
    when_needed: Annotated[
        bool, typer.Option("--when-needed", help="With a broker that has no stream wait until ended, instead of failing.")
    ] = False,
) -> None:
    """Bring what the broker does with the desk's orders into the ledger as it happens; runs until it is ended."""
    from pipeline import listen as step

    step.listen(poll_seconds=poll_seconds, when_needed=when_needed)


@verbs.command()
def reconcile(session: Session = None) -> None:
    """Hold the broker's orders, fills, positions and cash against the ledger. Exit code 1 when a person must look."""
    from pipeline import reconcile as step

    found = step.reconcile(session_of(session))
    if not found.differences:
        console.print(f"[green]The ledger and {found.broker} agree.[/green]")
        return
    table = Table("Rule", "What", "Here", f"At {found.broker}", "What becomes of it", title="Differences")
    for each in found.differences:
        colour = "green" if each.resolved else "red"
        table.add_row(f"[{colour}]{each.rule}[/]", each.subject, each.expected, each.found, each.resolution)
    console.print(table)
    if found.halted:
        console.print("[red]Trading is halted.[/red] Settle the differences, then `cli resume --reason ...`.")
    if found.open:
        raise typer.Exit(1)
