"""Loading data in a terminal: bars, features, earnings dates. Parses and prints; every step lives in its module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.errors import ConfigError
from desk.cli.console import DATA, Session, console, session_of, show, show_frame

verbs = typer.Typer()


@verbs.command(rich_help_panel=DATA)
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


@verbs.command(rich_help_panel=DATA)
def featurize(session: Session = None) -> None:
    """Compute features, write the offline store, materialise the online store."""
    from pipeline.data import build_features as step

    day = session_of(session)
    show("Features", step.write_features(day).as_dict())
    show("Online store", step.materialise(day).as_dict())


@verbs.command(rich_help_panel=DATA)
def earnings(
    file: Annotated[Path | None, typer.Option(help="Add the dates of a CSV file: symbol,announced.")] = None,
    from_yfinance: Annotated[bool, typer.Option("--from-yfinance", help="Add the dates that Yahoo lists.")] = False,
    symbols: Annotated[str, typer.Option(help="With --from-yfinance: comma-separated; default: the universe.")] = "",
) -> None:
    """Add earnings dates for the earnings filter, or show what is known."""
    from pipeline.data import load_earnings as step

    if file is not None and from_yfinance:
        raise ConfigError("Expected --file or --from-yfinance, found both. Run them one after the other.")
    if file is None and not from_yfinance:
        show_frame("Earnings dates", step.list_dates())
        return
    outcome = step.load_file(file) if file is not None else step.load_yahoo([each for each in symbols.split(",") if each])
    show("Earnings dates", {"read": outcome.read, "new": outcome.new, "rows refused": len(outcome.refused)})
    for refused in outcome.refused:
        console.print(f"[yellow]refused[/yellow] {refused}", highlight=False)
    for symbol, why in outcome.failed.items():
        console.print(f"[yellow]{symbol}[/yellow]: {why}", highlight=False)
    if outcome.not_traded:
        console.print(f"Not in the universe: {', '.join(outcome.not_traded)}.")
    if outcome.without:
        console.print(f"No date known, so never held back: {', '.join(outcome.without)}.")
