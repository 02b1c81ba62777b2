"""Verbs of the views: a table, JSON, or a file of CSV or Parquet. Each is made from its view, as the API's route is."""

from __future__ import annotations

import datetime as dt
import inspect
import types
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table

from core.errors import ConfigError
from desk.cli.console import RECORD, console
from pipeline.views.catalogue import VIEWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.views.view import Filter, Page, Row, View

verbs = typer.Typer()
SPELLINGS = {"first": ("--from", "--first"), "last": ("--to", "--last")}
Json = Annotated[bool, typer.Option("--json", help="Print the page as JSON, with every field and the cursor of the next.")]
After = Annotated[str | None, typer.Option(help="Cursor: the `next` of the page before.")]
Export = Annotated[Path | None, typer.Option(help="Write every row to this file: .csv or .parquet.")]


def verb_of(view: View[Any, Any], group: str = "") -> Callable[..., None]:
    """Return the verb of a view, its filter's fields as options; it may stand in a group of verbs, such as `models`."""
    command = f"desk {group} {view.name}" if group else f"desk {view.name}"

    def verb(*, limit: int, as_json: bool, after: str | None, export: Path | None, **values: Any) -> None:  # noqa: ANN401
        wanted = filter_of(view, values, command)
        if export is not None:
            write(view, wanted, export)
            return
        page = view.page(wanted, after=after, limit=limit)
        if as_json:
            print_json(view, page)
            return
        console.print(table_of(view, list(page.rows)) if page.rows else "No row.")
        if page.after is not None:
            console.print(f"More rows: --limit, --from and --to, or --export FILE. The next page: --after {page.after}")

    verb.__doc__ = view.summary
    verb.__name__ = view.name
    limit_type = Annotated[int, typer.Option(min=1, max=view.most, help="The first so many rows; exports have all.")]
    limit_option = inspect.Parameter("limit", inspect.Parameter.KEYWORD_ONLY, default=20, annotation=limit_type)
    parameters = [*_options(view.filter), limit_option, *_FIXED]
    verb.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    verb.__annotations__ = {each.name: each.annotation for each in parameters}
    return verb


def print_json(view: View[Any, Any], page: Page[Any]) -> None:
    """Print a page as the API's JSON."""
    typer.echo(f'{{"rows":{view.rows_adapter.dump_json(list(page.rows)).decode()},"next":{_quoted(page.after)}}}')


def filter_of(view: View[Any, Any], values: dict[str, Any], command: str) -> Filter:
    """Return the filter that options describe.

    Raises
    ------
    core.errors.ConfigError
        When a value is not one; the message names the option.
    """
    days = {name: value.date() if isinstance(value, dt.datetime) else value for name, value in values.items()}
    try:
        wanted: Filter = view.filter.model_validate(days)
    except ValidationError as error:
        problems = [f"--{each['loc'][0]}: {each['msg'].lower()}, found {each['input']!r}" for each in error.errors()]
        raise ConfigError("; ".join(problems) + f". See `{command} --help`.") from error
    return wanted


def table_of(view: View[Any, Any], rows: list[Row]) -> Table:
    """Return the shown fields of rows as a table; units are in the names."""
    table = Table()
    for name in view.shown:
        numeric = any(isinstance(getattr(row, name), float | int) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(text_of(name, getattr(row, name)) for name in view.shown))
    return table


def text_of(name: str, value: Any) -> str:  # noqa: ANN401  # of a row
    """Return a field as a person reads it: money with two digits, instants in UTC to the second, a dash for nothing."""
    if value is None or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        digits = 2 if name.endswith(("_usd", "_pct", "_bps", "price")) else 4
        return f"{value:,.{digits}f}" if digits == 2 else f"{value:,.4f}".rstrip("0").rstrip(".")  # noqa: PLR2004
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return escape(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def write(view: View[Any, Any], wanted: Filter, path: Path) -> None:
    """Write every row to a file; its ending says how.

    Raises
    ------
    core.errors.ConfigError
        When the ending is another one, or the folder does not exist.
    """
    from pipeline.views.export import csv_chunks, parquet_chunks

    writers = {".csv": csv_chunks, ".parquet": parquet_chunks}
    if path.suffix not in writers:
        raise ConfigError(f"--export: expected a file that ends in .csv or .parquet, found {str(path)!r}.")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--export: expected an existing folder, found {str(path.parent)!r}. Make it first.")
    rows = 0

    def counted() -> Any:  # noqa: ANN401  # batches
        nonlocal rows
        for batch in view.stream(wanted):
            rows += len(batch)
            yield batch

    with path.open("wb") as file:
        for chunk in writers[path.suffix](view, counted()):
            file.write(chunk)
    console.print(f"{rows:,} rows are in {escape(str(path))}.")


def _options(filter_type: type[Filter]) -> list[inspect.Parameter]:
    """Return an option for each field of a filter."""
    options = []
    for name, field in filter_type.model_fields.items():
        names = SPELLINGS.get(name, (f"--{name.replace('_', '-')}",))
        kind, help_text = _option_type(field.annotation), str(field.description or "")
        declared = (f"{names[0]}/--no-{name}",) if kind is bool else names
        dates = {"formats": ["%Y-%m-%d"]} if dt.datetime in get_args(kind) else {}
        option = typer.Option(*declared, help=help_text, **dates)  # type: ignore[arg-type]
        options.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[kind, option])
        )
    return options


def _option_type(annotation: Any) -> Any:  # noqa: ANN401  # a type
    """Return the type of an option: a date is parsed, a flag is a flag, everything else is text that the filter checks."""
    kinds = get_args(annotation) if get_origin(annotation) in {Union, types.UnionType} else (annotation,)
    for kind, option in ((dt.date, dt.datetime | None), (bool, bool), (int, int | None)):
        if kind in kinds:
            return option
    return str | None


def _quoted(cursor: str | None) -> str:
    return "null" if cursor is None else f'"{cursor}"'


_FIXED = [
    inspect.Parameter("after", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=After),
    inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json),
    inspect.Parameter("export", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Export),
]
for each in VIEWS:
    verbs.command(name=each.name, help=each.summary, rich_help_panel=RECORD)(verb_of(each))
