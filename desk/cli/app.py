"""The command `desk`: one verb for each step, in named groups."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from core.errors import DeskError
from core.provenance import release
from desk.cli import (
    alerts,
    audit,
    corporate_actions,
    data,
    dataset,
    deployments,
    models,
    optimise,
    params,
    performance,
    portfolio,
    research,
    risk,
    scorecard,
    system,
    trading,
    train,
    views,
)

NAME = "desk"
FORMER_VERBS = {"optimize": "optimise"}
LAST_VERSION = "0.2"  # the last in which former names work


class Verbs(TyperGroup):
    """The verbs of the command; a former verb still works, with a notice on stderr."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401  # typer's types are in a private module
        """Return the command of a verb, or None when there is no such verb."""
        verb = FORMER_VERBS.get(cmd_name)
        if verb is None:
            return super().get_command(ctx, cmd_name)
        if not ctx.resilient_parsing:  # the shell asks for completions
            typer.echo(f"`{NAME} {cmd_name}` is now `{NAME} {verb}`; the old name ends with version {LAST_VERSION}.", err=True)
        return super().get_command(ctx, verb)


cli = typer.Typer(cls=Verbs, no_args_is_help=True, help="A daily mean-reversion trading desk: one verb for each step.")
for module in (
    data,
    dataset,
    research,
    optimise,
    portfolio,
    scorecard,
    train,
    models,
    trading,
    deployments,
    views,
    performance,
    params,
    corporate_actions,
    risk,
    audit,
    system,
    alerts,
):
    cli.add_typer(module.verbs)


def _print_version(wanted: bool) -> None:  # typer calls it with the option's value
    if wanted:
        typer.echo(f"{NAME} {release().removeprefix('version ')}")
        raise typer.Exit


@cli.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A daily mean-reversion trading desk: one verb for each step."""


def main() -> None:
    """Run the command; an error of the desk is one readable line and exit code 1."""
    try:
        cli(prog_name=NAME)
    except DeskError as error:
        Console(stderr=True).print(f"[red]{type(error).__name__}[/red]: {error}")
        sys.exit(1)


def legacy_main() -> None:
    """Run the command under its former name `cli`, with a notice on stderr."""
    typer.echo(f"The command is now `{NAME}`; `cli` ends with version {LAST_VERSION}.", err=True)
    main()


if __name__ == "__main__":
    main()
