"""The desk in a terminal: one verb for each step. Parses and prints; every step lives in its module."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from core.errors import ConfigError, DeskError
from core.sessions import normalise_symbol

if TYPE_CHECKING:
    import pandas as pd

cli = typer.Typer(no_args_is_help=True, add_completion=False, help="A daily mean-reversion desk: one verb for each step.")
console = Console()
Session = Annotated[str | None, typer.Option(help="Session (YYYY-MM-DD); default: the newest closed one.")]


StrategyName = Annotated[str | None, typer.Option(help="Name of a strategy, or path/to/file.py:Class of your own.")]


def _strategy(name: str | None, params: str, *, gate: bool) -> Any:  # noqa: ANN401  # a `Strategy`, imported on use
    """The strategy named, with its parameters; None for the desk's own."""
    from trading.strategies.registry import make_strategy

    if name is None and params == "{}":
        return None
    try:
        values = json.loads(params)
    except json.JSONDecodeError as error:
        raise ConfigError(f"--params: expected JSON, found {params!r} ({error}).") from error
    return make_strategy(name or "bollinger", values, vix_gate=gate)


def _session(session: str | None) -> str:
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


@cli.command()
def ingest(
    session: Session = None,
    symbols: Annotated[str | None, typer.Option(help="Comma-separated; default: the universe.")] = None,
    full_history: Annotated[bool, typer.Option(help="Load everything from HISTORY_START on.")] = False,
) -> None:
    """Load bars and VIX up to a session: fetch, validate, quarantine, store."""
    from pipeline import ingest as step

    day = _session(session)
    names = symbols.split(",") if symbols else step.universe(day)
    show("VIX", step.fetch_vix(day, full_history=full_history))
    show("Bars", step.fetch_symbols(day, names, full_history=full_history))


@cli.command()
def featurize(session: Session = None) -> None:
    """Compute features, write the offline store, materialise the online store."""
    from pipeline import featurize as step

    day = _session(session)
    show("Features", step.run(day))
    show("Online store", step.materialise(day))


@cli.command()
def train(session: Session = None) -> None:
    """Train the entry filter on every candidate up to a session and register the better model."""
    from pipeline import train as step

    show("Training", step.run(_session(session)))


@cli.command()
def backtest(
    session: Session = None,
    strategy: StrategyName = None,
    params: Annotated[str, typer.Option(help="Parameters as JSON, e.g. '{\"stop_pct\": null}'.")] = "{}",
    gate: Annotated[bool, typer.Option(help="Behind the VIX gate.")] = True,
) -> None:
    """Backtest a strategy on the stored bars, net of costs; the desk's own when none is named."""
    from pipeline import research

    show("Backtest", research.run(_session(session), strategy=_strategy(strategy, params, gate=gate)))


@cli.command()
def strategies() -> None:
    """List the strategies with their rules and parameters."""
    from trading.strategies.registry import STRATEGIES

    table = Table("Name", "Rule", "Defaults", title="Strategies")
    for name, kind in STRATEGIES.items():
        rule = (kind.__doc__ or "").split("\n\n")[0]
        table.add_row(name, " ".join(rule.split()), ", ".join(f"{field}={value}" for field, value in kind().describe().items()))
    console.print(table)


@cli.command()
def sweep(  # noqa: PLR0917  # typer turns each into an option
    session: Session = None,
    strategies: Annotated[
        str, typer.Option(help="Comma-separated names or path/to/file.py:Class; all built-ins unless given.")
    ] = "",
    symbols: Annotated[str, typer.Option(help="Comma-separated; the universe unless given.")] = "",
    gate: Annotated[bool, typer.Option(help="Behind the VIX gate.")] = False,
    jobs: Annotated[int, typer.Option(help="Threads; -1 is one a core.")] = -1,
    csv: Annotated[Path | None, typer.Option(help="Also write the table there.")] = None,
) -> None:
    """Backtest every strategy on every symbol, net of costs. Cells already on record are not run again."""
    from rich.progress import Progress

    from pipeline import sweep as step
    from trading.strategies.registry import STRATEGIES

    names = strategies.split(",") if strategies else list(STRATEGIES)
    wanted = [normalise_symbol(symbol) for symbol in symbols.split(",") if symbol]
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("Backtests", total=None)
        table = step.run(
            _session(session),
            names,
            wanted,
            vix_gate=gate,
            jobs=jobs,
            on_progress=lambda done, of: bar.update(task, completed=done, total=of),
        )
    failed = table[table["error"].notna()]
    shown = table.drop(columns="error").sort_values("profit_per_trade", ascending=False, na_position="last")
    show_frame(f"{len(table)} backtests, net of costs", shown)
    for cell in failed.to_dict("records"):
        console.print(f"[red]{cell['strategy']} on {cell['symbol']} failed[/red]: {cell['error']}")
    if csv is not None:
        table.to_csv(csv, index=False)


@cli.command()
def check_leakage(
    session: Session = None,
    strategy: StrategyName = None,
    features: Annotated[bool, typer.Option(help="Check every feature instead of a strategy.")] = False,
    cuts: Annotated[int, typer.Option(min=1, help="Random (symbol, session) pairs, each tried several ways.")] = 1000,
) -> None:
    """Look for look-ahead: recompute on cut-off and falsified futures, compare bit for bit. Exit code 1 when one is found."""
    from pipeline import research

    checked = None if features else _strategy(strategy or "bollinger", "{}", gate=False)
    with console.status(f"Recomputing at {cuts:,} cuts ..."):
        leaks = research.check_leakage(_session(session), checked, cuts=cuts)
    subject = "features" if checked is None else checked.name
    if not leaks:
        console.print(f"[green]No look-ahead found[/green] in {subject} at {cuts:,} cuts.")
        return
    table = Table("Column", "Symbol", "First session that changed", "Bars known until", "How", title=f"Look-ahead in {subject}")
    for leak in leaks:
        table.add_row(leak.column, leak.symbol, str(leak.session.date()), str(leak.known_until.date()), leak.how)
    console.print(table)
    raise typer.Exit(1)


@cli.command()
def trade(session: Session = None) -> None:
    """Settle a session, decide at its close, place the orders for the next open. Safe to run twice."""
    from pipeline import trade as step

    day = _session(session)
    for name in ("settle", "candidates", "predict", "place", "record"):
        show(name, getattr(step, name)(day))


@cli.command()
def demo() -> None:
    """Run the whole pipeline once on the chosen provider and print the result."""
    from pipeline.demo import run

    run(console)


def main() -> None:
    """Run the CLI; an error of the desk is one readable line and exit code 1."""
    try:
        cli()
    except DeskError as error:
        Console(stderr=True).print(f"[red]{type(error).__name__}[/red]: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
