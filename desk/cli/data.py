"""Loading data in a terminal: bars, features, earnings dates. Parses and prints; every step lives in its module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from core.errors import ConfigError
from core.instruments import AMOUNTS, NAME_AT
from desk.cli.console import DATA, Session, console, session_of, show, show_frame

if TYPE_CHECKING:
    from core.instruments import InstrumentRecord

verbs = typer.Typer()
instruments = typer.Typer(no_args_is_help=True, help="The table of instruments: calendars, currencies, grids, and who said so.")
verbs.add_typer(instruments, name="instruments", rich_help_panel=DATA)


@verbs.command(rich_help_panel=DATA)
def ingest(
    session: Session = None,
    symbols: Annotated[str | None, typer.Option(help="Comma-separated; default: the universe.")] = None,
    full_history: Annotated[bool, typer.Option(help="Load everything from INGESTION__HISTORY_START on.")] = False,
) -> None:
    """Load bars and VIX up to a session: fetch, validate, quarantine, store."""
    from pipeline.data import ingest as step

    day = session_of(session)
    names = symbols.split(",") if symbols else step.list_symbols(day)
    show("VIX", step.fetch_vix(day, full_history=full_history).as_dict())
    show("Bars", step.fetch_symbols(day, names, full_history=full_history).as_dict())
    for file, why in step.files_left_out().items():
        console.print(f"[yellow]left out[/yellow] {escape(file)}: {escape(why)}", highlight=False)


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
        console.print(f"[yellow]{symbol}[/yellow]: {escape(why)}", highlight=False)
    if outcome.not_traded:
        console.print(f"Not in the universe: {', '.join(outcome.not_traded)}.")
    if outcome.without:
        console.print(f"No date known, so never held back: {', '.join(outcome.without)}.")


@instruments.command("list")
def list_instruments() -> None:
    """Show every instrument of the universe, and every other of which a source spoke."""
    from pipeline.data import instruments as step

    columns = ("Symbol", "Asset class", "Currency", "Calendar", "Tick", "Lot", "Least quantity", "Least notional")
    table = Table(*columns, title="Instruments")
    for each in step.list_instruments():
        amounts = (each.price_tick, each.quantity_step, each.min_quantity, each.min_notional)
        table.add_row(
            each.symbol,
            each.asset_class,
            each.currency or "-",
            each.calendar,
            *("-" if a is None else f"{a:f}" for a in amounts),
        )
    console.print(table)


@instruments.command("show")
def show_instrument(symbol: str) -> None:
    """Show what is known of one instrument, with the source of each field."""
    from pipeline.data import instruments as step

    _print_instrument(step.list_instruments([symbol])[0])


@instruments.command("set")
def set_instrument(
    symbol: str,
    values: Annotated[list[str], typer.Argument(help="field=value ...: asset_class, currency, calendar, price_tick, ...")],
) -> None:
    """Correct an instrument; what a person says counts before every source. Processes that run read it at their next start."""
    from pipeline.data import instruments as step

    pairs = [value.partition("=") for value in values]
    wrong = [value for value, (_, sign, _) in zip(values, pairs, strict=True) if not sign]
    if wrong:
        raise ConfigError(f"Expected field=value, found {wrong[0]!r}.")
    _print_instrument(step.correct(symbol, {field: value for field, _, value in pairs}))


@instruments.command("refresh")
def refresh_from_venue(symbols: Annotated[str, typer.Option(help="Comma-separated; default: the universe.")] = "") -> None:
    """Store tick, lot and smallest order that the venue names for each symbol."""
    from pipeline.data import instruments as step

    failed = step.refresh_from_venue([each for each in symbols.split(",") if each])
    for symbol, why in failed.items():
        console.print(f"[yellow]{symbol}[/yellow]: {escape(why)}", highlight=False)
    list_instruments()


def _print_instrument(record: InstrumentRecord) -> None:
    table = Table("Field", "Value", "Source", title=record.symbol)
    values = {"asset_class": record.asset_class, "currency": record.currency, "calendar": record.calendar}
    values |= {name: f"{value:f}" for name in AMOUNTS if (value := getattr(record, name)) is not None}
    values |= {f"{NAME_AT}{place}": name for place, name in record.names.items()}
    for field, value in values.items():
        table.add_row(field, value or "-", record.sources.get(field, "-"))
    console.print(table)
