"""Strategy parameters in a terminal. Parses and prints; every step lives in its module."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from core.errors import ConfigError
from desk.cli.console import TRADING, console

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.views.research.parameters import ParameterField
    from storage.trading.strategy_params import Stored

verbs = typer.Typer()
params = typer.Typer(no_args_is_help=True, help="Strategy parameters: those in force, their history, and changes.")
verbs.add_typer(params, name="params", rich_help_panel=TRADING)

Name = Annotated[str, typer.Argument(help="Name of a strategy: `desk strategies` lists them.")]
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
    reset: Annotated[bool, typer.Option("--reset", help="Back to the parameters of all symbols, or to the defaults.")] = False,
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
    _print_stored(stored)


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
def schema(
    strategy: Name, as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False
) -> None:
    """Show each parameter with its bounds, unit, default and description."""
    from pipeline.views.research.parameters import strategy_schema

    found = strategy_schema(strategy)
    if as_json:
        typer.echo(found.model_dump_json())
        return
    table = Table("Parameter", "Kind", "Allowed", "Default", "Unit", "Description", title=f"{strategy}: {found.summary}")
    for each in found.parameters:
        table.add_row(each.name, each.kind, _allowed(each), json.dumps(each.default), each.unit or "", each.description)
    console.print(table)


@params.command()
def disable(strategy: Name, author: Author, reason: Reason, symbol: Symbol = None) -> None:
    """Stop a strategy's entries, in one symbol or in all; positions are still left by its rules."""
    from pipeline import strategy_parameters as step

    _print_stored(step.switch(strategy, enabled=False, symbol=symbol, reason=reason, author=author))


@params.command()
def enable(strategy: Name, author: Author, reason: Reason, symbol: Symbol = None) -> None:
    """Let a strategy enter again."""
    from pipeline import strategy_parameters as step

    _print_stored(step.switch(strategy, enabled=True, symbol=symbol, reason=reason, author=author))


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


def _print_stored(stored: Stored) -> None:
    symbol = stored.symbol or "all symbols"
    entries = "" if stored.enabled else ", [yellow]switched off[/yellow]"
    held = _pairs(stored.params) or "as for all symbols" if stored.symbol else _pairs(stored.params) or "the defaults"
    console.print(f"Stored: [bold]{stored.strategy}[/bold] for {symbol}, version {stored.version}{entries}: {held}")


def _allowed(field: ParameterField) -> str:
    ends = (("from", field.minimum), ("above", field.above), ("to", field.maximum), ("below", field.below))
    words = [f"{word} {value:g}" for word, value in ends if value is not None]
    return ", ".join([*words, *(field.choices or ()), *(["or none"] if field.optional else ())])


def _version(stored: Stored) -> str:
    return f"{stored.version} ({stored.symbol or 'all symbols'})"


def _entries(enabled: object) -> str:
    return "on" if enabled else "off"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(values.items()))
