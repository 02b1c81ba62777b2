"""Strategy parameters and earnings dates in a terminal. Parses and prints; every step lives in its module."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from core.errors import ConfigError
from desk.cli.console import console, show, show_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from storage.trading.strategy_params import Stored

verbs = typer.Typer()
params = typer.Typer(no_args_is_help=True, help="Strategy parameters: what holds, what held, and changes to it.")
verbs.add_typer(params, name="params")

Name = Annotated[str, typer.Argument(help="Name of a strategy: `cli strategies` lists them.")]
Symbol = Annotated[str | None, typer.Option(help="For this symbol alone; default: for all without their own.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever reads the history.")]
Author = Annotated[str, typer.Option(help="Who changes it.", default_factory=getpass.getuser, show_default="the user")]


@params.command("show")
def show_params(strategy: Annotated[str | None, typer.Argument(help="Default: all.")] = None, symbol: Symbol = None) -> None:
    """Show the parameters in force, and which version they are of."""
    from core.settings import get_settings
    from pipeline import strategy_parameters as step

    table = Table("Strategy", "Symbol", "Version", "Entries", "Preset", "Parameters", title="Parameters in force")
    for row in step.in_force(strategy, symbol):
        stored = row.stored
        source = ("-", "on", "") if stored is None else (_version(stored), _entries(stored.enabled), stored.preset or "")
        table.add_row(row.strategy, row.symbol or "all others", *source, _pairs(row.params))
    console.print(table)
    console.print(
        f"The desk trades {', '.join(get_settings().strategies)}. Version - is nothing stored: the strategy's defaults."
    )


@params.command("set")
def set_params(  # noqa: PLR0917  # typer turns each into an option
    strategy: Annotated[str, typer.Argument(help="Name of a strategy, or name:preset to start from a preset.")],
    author: Author,
    reason: Reason,
    values: Annotated[list[str] | None, typer.Argument(help="key=value ..., the value as JSON; null is none.")] = None,
    symbol: Symbol = None,
    preset: Annotated[str | None, typer.Option(help="Start from this preset instead of what is in force.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Back to what holds for all symbols, or to the defaults.")] = False,
    expected_version: Annotated[int | None, typer.Option(min=0, help="Refuse if the newest version is another.")] = None,
) -> None:
    """Store a new version of a strategy's parameters; the next session is traded with it."""
    from pipeline import strategy_parameters as step

    stored = step.change(
        strategy if preset is None else f"{strategy}:{preset}",
        _values(values or ()),
        symbol=symbol,
        reset=reset,
        expected_version=expected_version,
        reason=reason,
        author=author,
    )
    _say(stored)


@params.command()
def history(strategy: Name, symbol: Symbol = None) -> None:
    """Show every version ever set, oldest first."""
    from pipeline import strategy_parameters as step

    frame = step.history(strategy, symbol)
    columns = ("Set at (UTC)", "Symbol", "Version", "Entries", "Preset", "By", "Reason", "Parameters")
    table = Table(*columns, title=f"{len(frame)} versions of {strategy}")
    for row in frame.to_dict("records"):
        table.add_row(
            f"{row['created_at']:%Y-%m-%d %H:%M:%S}",
            row["symbol"] or "all",
            str(row["version"]),
            _entries(row["enabled"]),
            row["preset"] or "",
            row["author"],
            row["reason"],
            _pairs(row["params"]),
        )
    console.print(table)


@params.command()
def disable(strategy: Name, author: Author, reason: Reason, symbol: Symbol = None) -> None:
    """Stop a strategy's entries, in one symbol or in all; positions are still left by its rules."""
    from pipeline import strategy_parameters as step

    _say(step.switch(strategy, enabled=False, symbol=symbol, reason=reason, author=author))


@params.command()
def enable(strategy: Name, author: Author, reason: Reason, symbol: Symbol = None) -> None:
    """Let a strategy enter again."""
    from pipeline import strategy_parameters as step

    _say(step.switch(strategy, enabled=True, symbol=symbol, reason=reason, author=author))


@verbs.command()
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


def _values(texts: Iterable[str]) -> dict[str, Any]:
    """`key=value` texts as parameters; a value that is no JSON is text."""
    values: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"Parameters: expected key=value, found {text!r}.")
        try:
            values[key] = json.loads(value)
        except json.JSONDecodeError:
            values[key] = None if value.lower() == "none" else value
    return values


def _say(stored: Stored) -> None:
    symbol = stored.symbol or "all symbols"
    entries = "" if stored.enabled else ", [yellow]switched off[/yellow]"
    held = _pairs(stored.params) or "as for all symbols" if stored.symbol else _pairs(stored.params) or "the defaults"
    console.print(f"Stored: [bold]{stored.strategy}[/bold] for {symbol}, version {stored.version}{entries}: {held}")


def _version(stored: Stored) -> str:
    return f"{stored.version} ({stored.symbol or 'all symbols'})"


def _entries(enabled: object) -> str:
    return "on" if enabled else "off"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(values.items()))
