"""The desk in a terminal: one verb for each step. Parses and prints; every step lives in its module."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from core.errors import DeskError
from desk.cli import audit, broker, models, optimise, params, portfolio, research, risk, train
from desk.cli.console import Session, console, session_of, show

cli = typer.Typer(no_args_is_help=True, add_completion=False, help="A daily mean-reversion desk: one verb for each step.")
for group in (broker, research, optimise, portfolio, params, risk, models, audit, train):
    cli.add_typer(group.verbs)


@cli.command()
def ingest(
    session: Session = None,
    symbols: Annotated[str | None, typer.Option(help="Comma-separated; default: the universe.")] = None,
    full_history: Annotated[bool, typer.Option(help="Load everything from HISTORY_START on.")] = False,
) -> None:
    """Load bars and VIX up to a session: fetch, validate, quarantine, store."""
    from pipeline.data import ingest as step

    day = session_of(session)
    names = symbols.split(",") if symbols else step.list_symbols(day)
    show("VIX", step.fetch_vix(day, full_history=full_history).as_dict())
    show("Bars", step.fetch_symbols(day, names, full_history=full_history).as_dict())


@cli.command()
def featurize(session: Session = None) -> None:
    """Compute features, write the offline store, materialise the online store."""
    from pipeline.data import build_features as step

    day = session_of(session)
    show("Features", step.write_features(day).as_dict())
    show("Online store", step.materialise(day).as_dict())


@cli.command()
def trade(session: Session = None) -> None:
    """Settle a session, decide at its close, place the orders for the next open. Safe to run twice."""
    from pipeline.execution import daily_trade as step

    day = session_of(session)
    for name in ("settle", "candidates", "predict", "place", "record"):
        show(name, getattr(step, name)(day).as_dict())


@cli.command()
def demo() -> None:
    """Run the whole pipeline once on the chosen provider and print the result."""
    from desk.ops.demo import run

    run(console)


def main() -> None:
    """Run the CLI; an error of the desk is one readable line and exit code 1."""
    try:
        cli()
    except DeskError as error:
        Console(stderr=True).print(f"[red]{type(error).__name__}[/red]: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
