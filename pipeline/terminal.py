"""What the verbs of the command line share: options, tables, and reading what was typed. Runs no step."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from core.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

console = Console()
Session = Annotated[str | None, typer.Option(help="Session (YYYY-MM-DD); default: the newest closed one.")]
StrategyName = Annotated[str | None, typer.Option(help="Name of a strategy, or path/to/file.py:Class of your own.")]
Params = Annotated[str, typer.Option(help="Parameters as JSON, e.g. '{\"stop_pct\": null}'.")]


def strategy_of(name: str | None, params: str, *, gate: bool) -> Any:  # noqa: ANN401  # a `Strategy`, imported on use
    """The strategy named, with its parameters; None for the desk's own."""
    from trading.strategies.registry import make_strategy

    if name is None and params == "{}":
        return None
    try:
        values = json.loads(params)
    except json.JSONDecodeError as error:
        raise ConfigError(f"--params: expected JSON, found {params!r} ({error}).") from error
    return make_strategy(name or "bollinger", values, vix_gate=gate)


def session_of(session: str | None) -> str:
    """The session asked for, else the newest one."""
    if session is None:
        from pipeline.ingest import newest_session

        return newest_session()
    return dt.date.fromisoformat(session).isoformat()


def show(title: str, values: dict[str, Any]) -> None:
    """Print a small result as a two-column table."""
    table = Table("", "", title=title, show_header=False)
    for name, value in values.items():
        table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    console.print(table)


def show_frame(title: str, frame: pd.DataFrame) -> None:
    """Print a frame; an undefined figure is a dash."""
    table = Table(*(str(column) for column in frame), title=title)
    for row in frame.astype(object).itertuples(index=False):
        table.add_row(
            *("-" if _missing(value) else f"{value:.4f}" if isinstance(value, float) else str(value) for value in row)
        )
    console.print(table)


def _missing(value: object) -> bool:
    return value is None or value != value  # noqa: PLR0124  # NaN alone differs from itself
