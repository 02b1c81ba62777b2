"""The scorecard in a terminal. Parses and prints; the step lives in its module."""

from __future__ import annotations

import json as encoder
from typing import Annotated

import typer
from rich.table import Table

from core.errors import ConfigError
from desk.cli.console import RESEARCH, DatasetName, Session, console, session_of

verbs = typer.Typer()
COLOURS = {"met": "green", "not met": "red", "not enough": "dim", "not measured": "dim"}


@verbs.command(rich_help_panel=RESEARCH)
def scorecard(
    session: Session = None,
    dataset: DatasetName = None,
    deployment: Annotated[
        str | None, typer.Option(help="Judge this book of the ledger instead of a backtest of the desk's strategies.")
    ] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Time 60 backtests too, one after another.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Judge every success criterion: asked, measured, 95 % interval, verdict."""
    from pipeline.research.scorecard import score_backtest, score_book

    if dataset and deployment:
        raise ConfigError("--dataset and --deployment: expected one of them, found both. A book traded on no dataset.")
    with console.status("Measuring ..."):
        if deployment:
            card = score_book(deployment, session=session and session_of(session), measure=measure)
        else:
            card = score_backtest(session_of(session, dataset), dataset=dataset, measure=measure)
    if json:
        typer.echo(encoder.dumps(card.as_dict(), indent=2))
        return
    shown = card.table()
    table = Table(*(str(name) for name in shown), title=f"{card.source}, {card.first} to {card.last}")
    for row, cells in zip(card.rows, shown.to_numpy(dtype=object), strict=True):
        *others, verdict = (str(cell) for cell in cells)
        table.add_row(*others, f"[{COLOURS.get(row.verdict, 'yellow')}]{verdict}[/]")
    console.print(table)
    console.print(card.summary)
