"""Training models in a terminal. Parses and prints; every step lives in its module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from desk.cli.console import MODELS, DatasetName, Session, console, session_of, show, show_frame, show_training

verbs = typer.Typer()


@verbs.command(rich_help_panel=MODELS)
def train(
    session: Session = None,
    reproduce: Annotated[
        str | None,
        typer.Option(metavar="RUN_ID", help="Retrain this MLflow run, or the one of this model, and compare the bytes."),
    ] = None,
    dataset: DatasetName = None,
) -> None:
    """Train the entry filter on every candidate up to a session; the better model challenges the champion."""
    from pipeline.training import train_entry_filter as step

    if reproduce is None:
        show_training("Training", step.train_entry_filter(session_of(session, dataset), dataset=dataset).as_dict())
        return
    outcome = step.reproduce_training(reproduce)
    show("Reproduction", outcome.as_dict())
    if not outcome.is_same:
        raise typer.Exit(1)


@verbs.command(rich_help_panel=MODELS)
def lift(
    session: Session = None,
    strategies: Annotated[str, typer.Option(help="Comma-separated names; all built-ins unless given.")] = "",
    csv: Annotated[Path | None, typer.Option(help="Also write both tables into this folder.")] = None,
) -> None:
    """Compare filtered, unfiltered and buy-and-hold out of sample, per strategy and VIX regime, with intervals."""
    from pipeline.training.filter_lift import measure_filter_lift

    with console.status("Reading candidates and features ...") as status:
        outcome = measure_filter_lift(
            session_of(session),
            [name for name in strategies.split(",") if name],
            on_progress=lambda name: status.update(f"Training and trading {name} ..."),
        )
    figures, differences = outcome.figures, outcome.differences
    show_frame("Out of sample, net of costs", figures)
    if not differences.empty:
        show_frame("Filtered less the other, percentage points a year, 95 % intervals", differences)
    if csv is not None:
        csv.mkdir(parents=True, exist_ok=True)
        figures.to_csv(csv / "figures.csv", index=False)
        differences.to_csv(csv / "differences.csv", index=False)


@verbs.command(rich_help_panel=MODELS)
def train_next_day(session: Session = None, dataset: DatasetName = None) -> None:
    """Train the next-day return model on every session up to one and register the better of two."""
    from pipeline.training.train_next_day import train_next_day as train

    with console.status("Reading features, training ..."):
        outcome = train(session_of(session, dataset), dataset=dataset)
    show_training("Next-day return", outcome.as_dict())
