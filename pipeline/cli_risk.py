"""Halting, watching and explaining risk in a terminal. Parses and prints; the steps live in their modules."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from pipeline.terminal import console

verbs = typer.Typer()
Reason = Annotated[str, typer.Option(help="Why; it is kept.")]
Author = Annotated[str | None, typer.Option(help="Who; default: the user of this terminal.")]


@verbs.command()
def halt(reason: Reason, author: Author = None) -> None:
    """Stop the desk: no order that opens a position is sent any more."""
    from pipeline import kill_switch

    turned = kill_switch.halt(reason, author or getpass.getuser())
    console.print(f"[red]Halted[/] {turned.portfolio}: {turned.reason} ({turned.author})")


@verbs.command()
def resume(reason: Reason, author: Author = None) -> None:
    """Let the desk open positions again; removes the file HALT as well."""
    from pipeline import kill_switch

    turned = kill_switch.resume(reason, author or getpass.getuser())
    console.print(f"[green]Trading goes on[/] for {turned.portfolio}: {turned.reason} ({turned.author})")
