"""Research datasets in a terminal: freeze, list, show, check. Parses and prints; every step lives in its module."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import ConfigError
from core.sessions import normalise_symbol
from desk.cli.console import RESEARCH, console, show, show_frame

if TYPE_CHECKING:
    from storage.research.datasets import Dataset

verbs = typer.Typer()
dataset = typer.Typer(no_args_is_help=True, help="Freeze bars for research under a name, and check that they are unchanged.")
verbs.add_typer(dataset, name="dataset", rich_help_panel=RESEARCH)
Name = Annotated[str, typer.Argument(help="Name of the dataset.")]
Day = Annotated[str | None, typer.Option(metavar="DATE", help="YYYY-MM-DD; as far as bars are stored unless given.")]


@dataset.command()
def freeze(
    name: Annotated[str, typer.Argument(help="Name, used once: letters, digits, '.', '_' and '-'.")],
    symbols: Annotated[str, typer.Option(help="Comma-separated; those of the universe with bars unless given.")] = "",
    first: Day = None,
    last: Day = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="MOMENT", help="Bars known by then (ISO 8601, UTC unless it says otherwise); now unless given."),
    ] = None,
) -> None:
    """Pin symbols, a period and a moment under a name, with a hash of the bars known then."""
    from pipeline.research.datasets import freeze_dataset

    made = freeze_dataset(
        name,
        [normalise_symbol(symbol) for symbol in symbols.split(",") if symbol],
        first=_day("--first", first),
        last=_day("--last", last),
        as_of=_moment(as_of),
    )
    _show(made)
    console.print(f"Use it: `desk sweep --dataset {made.name}`.")


@dataset.command(name="list")
def list_datasets() -> None:
    """List the frozen datasets, the newest first."""
    import pandas as pd

    from pipeline.resources import live

    rows = [
        {
            "name": each.name,
            "symbols": len(each.symbols),
            "first": each.first_session,
            "last": each.last_session,
            "bars": each.bars,
            "as_of": f"{each.as_of:%Y-%m-%d %H:%M}",
            "sha256": each.sha256[:12],
        }
        for each in live().datasets.all()
    ]
    if not rows:
        console.print("No dataset is frozen. Freeze one: `desk dataset freeze NAME`.")
        return
    show_frame("Datasets, moments in UTC", pd.DataFrame(rows))


@dataset.command(name="show")
def show_dataset(name: Name) -> None:
    """Show a dataset: symbols, period, moment and hash."""
    from pipeline.resources import live

    _show(live().datasets.get(name))


@dataset.command()
def check(name: Name) -> None:
    """Compare the stored bars with a dataset's hash. Exit code 1, with symbols and months, when they differ."""
    from pipeline.research.datasets import check_dataset

    made = check_dataset(name)
    console.print(f"[green]Unchanged[/green]: {made.bars:,} bars of {made.name}, SHA-256 {made.sha256}.")


def _show(made: Dataset) -> None:
    show(
        f"Dataset {made.name}",
        {
            "symbols": ", ".join(made.symbols),
            "period": f"{made.first_session} to {made.last_session}",
            "as of": f"{made.as_of:%Y-%m-%d %H:%M:%S} UTC",
            "frozen at": f"{made.frozen_at:%Y-%m-%d %H:%M:%S} UTC",
            "bars": f"{made.bars:,}, those of the VIX included",
            "sha256": made.sha256,
        },
    )


def _day(option: str, text: str | None) -> dt.date | None:
    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{option}: expected a date YYYY-MM-DD, found {text!r}.") from error


def _moment(text: str | None) -> dt.datetime | None:
    try:
        moment = None if text is None else dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--as-of: expected a moment such as 2021-12-31T22:00, found {text!r}.") from error
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=dt.UTC)
