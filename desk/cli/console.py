"""Options, tables and parsing that the verbs share. Runs no step."""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from core.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

DATA, RESEARCH, MODELS, TRADING, RECORD = "Data", "Research", "Models", "Trading", "Record"
RISK, AUDIT, SYSTEM = "Risk", "Audit", "System"
WIDE = 200  # without a terminal: a pipe, a file, a log
BACKTESTS = ("unfiltered", "filtered", "buy_and_hold")
FIGURES = ("trade_count", "total_return", "annual_return", "sharpe", "max_drawdown", "win_rate", "profit_per_trade", "cost_usd")
console = Console(width=None if sys.stdout.isatty() else WIDE)
Session = Annotated[str | None, typer.Option(help="Session (YYYY-MM-DD); default: the newest closed one.")]
DatasetName = Annotated[
    str | None, typer.Option("--dataset", help="Name of a frozen research dataset; the live bars unless given.")
]
DeploymentName = Annotated[str | None, typer.Option("--deployment", help="Name of a deployment; the default one unless given.")]
StrategyName = Annotated[str | None, typer.Option(help="Name of a strategy, or path/to/file.py:Class of your own.")]
Params = Annotated[str, typer.Option(help="Parameters as JSON, e.g. '{\"stop_pct\": null}'.")]


def strategy_of(name: str | None, params: str, *, gate: bool) -> Any:  # noqa: ANN401  # a `Strategy`, imported on use
    """Return the strategy named, with its parameters; None for the desk's own."""
    from trading.strategies.registry import make_strategy

    if name is None and params == "{}":
        return None
    try:
        values = json.loads(params)
    except json.JSONDecodeError as error:
        raise ConfigError(f"--params: expected JSON, found {params!r} ({error}).") from error
    return make_strategy(name or "bollinger", values, vix_filter=gate)


def session_of(session: str | None, dataset: str | None = None) -> str:
    """Return the session given, else the last one of the dataset, else the newest one."""
    if session is None:
        from pipeline.research.datasets import session_of_dataset
        from pipeline.sessions import newest_session

        return session_of_dataset(dataset) or newest_session()
    return dt.date.fromisoformat(session).isoformat()


def show(title: str, values: dict[str, Any]) -> None:
    """Print a small result as a two-column table."""
    table = Table("", "", title=title, show_header=False)
    for name, value in values.items():
        table.add_row(name, "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value))
    console.print(table)


def show_training(title: str, outcome: dict[str, Any]) -> None:
    """Print a training's outcome and backtests, and champion and new model side by side where there was a champion."""
    import pandas as pd

    plain: dict[str, Any] = {}
    for name, value in outcome.items():
        if isinstance(value, dict) and name not in BACKTESTS:
            plain |= {f"{name}, {part}": figure for part, figure in value.items()}
        elif name not in {*BACKTESTS, "fresh_window"}:
            plain[name] = value
    show(title, plain)
    made = [{"backtest": name, **outcome[name]} for name in BACKTESTS if outcome.get(name)]
    if made:
        shown = ["backtest", *(name for name in FIGURES if name in made[0])]
        show_frame("Out of sample, net of costs", pd.DataFrame(made, dtype=object)[shown])
    if outcome["fresh_window"]:
        show_frame("On what came after the champion's training", pd.DataFrame(outcome["fresh_window"]))


def show_frame(title: str, frame: pd.DataFrame) -> None:
    """Print a frame; an undefined figure is a dash."""
    from research.report_tables import figure_text

    names = [str(name) for name in frame]
    table = Table(title=title)
    for i, name in enumerate(names):
        longest = max((len(str(value)) for value in frame.iloc[:, i]), default=0)
        table.add_column(name.replace("_", " "), min_width=min(longest, WIDE // 4) if i == 0 else None)  # ids are whole
    for row in frame.astype(object).itertuples(index=False):
        table.add_row(*(figure_text(name, value) for name, value in zip(names, row, strict=True)))
    console.print(table)
