"""Research in a terminal: backtest, sweep, check for leakage. Parses and prints; every step lives in its module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from core.sessions import normalise_symbol
from desk.cli.console import (
    RESEARCH,
    DatasetName,
    Params,
    Session,
    StrategyName,
    console,
    session_of,
    show,
    show_frame,
    strategy_of,
)
from desk.cli.views import text_of, verb_of
from pipeline.views.catalogue import RESEARCH_VIEWS

verbs = typer.Typer()


@verbs.command(rich_help_panel=RESEARCH)
def backtest(
    session: Session = None,
    strategy: StrategyName = None,
    params: Params = "{}",
    gate: Annotated[bool, typer.Option(help="With the VIX filter.")] = True,
    dataset: DatasetName = None,
) -> None:
    """Backtest a strategy on the stored bars, net of costs; the desk's own when none is named. Writes a report."""
    from pipeline.research import backtest

    day, rule = session_of(session, dataset), strategy_of(strategy, params, gate=gate)
    with console.status("Backtesting and scoring ..."):
        outcome = backtest.run_backtest_report(day, strategy=rule, dataset=dataset)
    show("Backtest", outcome.as_dict())


for each in RESEARCH_VIEWS:
    verbs.command(name=each.name, help=each.summary, rich_help_panel=RESEARCH)(verb_of(each))


@verbs.command(rich_help_panel=RESEARCH)
def report(run: Annotated[str, typer.Argument(help="Id of a run, or a prefix of one; see `desk runs`.")]) -> None:
    """Write the report of a backtest on record: a page with plots, a summary, its trades and its equity as CSV."""
    from pipeline.research.backtest_report import write_stored_report

    page, summary = write_stored_report(run)
    console.print(summary.read_text(encoding="utf-8"), markup=False)
    console.print(f"Page: {page}")


@verbs.command(rich_help_panel=RESEARCH)
def compare(
    run: Annotated[list[str], typer.Argument(help="Ids or prefixes of two runs or more; see `desk runs`.")],
    html: Annotated[Path | None, typer.Option(help="Write a chart of all equity curves there.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the figures there.")] = None,
) -> None:
    """Compare the figures of backtests on record side by side."""
    from pipeline.research.backtest_report import compare_runs
    from research.charts import equity_chart
    from research.report_tables import figure_text

    comparison = compare_runs(run)
    figures = comparison.figures
    table = Table("", *(str(name) for name in figures), title="Backtests, net of costs")
    for name, row in figures.astype(object).iterrows():
        table.add_row(str(name).replace("_", " "), *(figure_text(str(name), value) for value in row))
    console.print(table)
    if html is not None:
        (_, first), *others = comparison.curves
        equity_chart(first, dict(others)).write_html(html, include_plotlyjs=True)
        console.print(f"Curves: {html}")
    if csv is not None:
        figures.to_csv(csv)
        console.print(f"Figures: {csv}")


@verbs.command(rich_help_panel=RESEARCH)
def heatmap(  # noqa: PLR0917  # typer turns each into an option
    x: Annotated[str, typer.Option(help="Parameter across; or strategy, symbol.")],
    y: Annotated[str, typer.Option(help="Parameter down; or strategy, symbol.")],
    metric: Annotated[str, typer.Option(help="Figure of a backtest whose mean is shown.")] = "sharpe",
    strategy: Annotated[str | None, typer.Option(help="Of this strategy alone, as the trials have it.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Of this symbol alone, as the trials have it.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show the mean of a figure over the trials on record by two of their parameters, and the number of trials."""
    from pipeline.views.research.heat_map import read_heat_map

    found = read_heat_map(x, y, metric, strategy=strategy, symbol=symbol)
    if json:
        typer.echo(found.model_dump_json())
        return
    table = Table(escape(f"{y} / {x}"), *map(escape, found.x.values), title=escape(f"{metric}, mean (trials)"))
    for name, means, trials in zip(found.y.values, found.mean, found.trials, strict=True):
        cells = (f"{text_of(metric, mean)} ({many})" if many else "" for mean, many in zip(means, trials, strict=True))
        table.add_row(escape(name), *cells)
    console.print(table if found.total else "No trial has both parameters.")


@verbs.command(rich_help_panel=RESEARCH)
def strategies() -> None:
    """List the strategies with their rules and parameters."""
    from trading.strategies.registry import STRATEGIES

    table = Table("Name", "Rule", "Defaults", title="Strategies")
    for name, kind in STRATEGIES.items():
        rule = (kind.__doc__ or "").split("\n\n")[0]
        table.add_row(name, " ".join(rule.split()), ", ".join(f"{field}={value}" for field, value in kind().describe().items()))
    console.print(table)


@verbs.command(rich_help_panel=RESEARCH)
def sweep(  # noqa: PLR0917  # typer turns each into an option
    session: Session = None,
    strategies: Annotated[
        str, typer.Option(help="Comma-separated names or path/to/file.py:Class; all built-ins unless given.")
    ] = "",
    symbols: Annotated[str, typer.Option(help="Comma-separated; the universe unless given.")] = "",
    gate: Annotated[bool, typer.Option(help="With the VIX filter.")] = False,
    jobs: Annotated[int, typer.Option(help="Threads; -1 is one a core.")] = -1,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, e.g. tcp://127.0.0.1:8786.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the table there.")] = None,
    dataset: DatasetName = None,
) -> None:
    """Backtest every strategy on every symbol, net of costs. Cells already on record are not run again."""
    from rich.progress import Progress

    from pipeline.research.sweep import run_sweep
    from trading.strategies.registry import STRATEGIES

    names = strategies.split(",") if strategies else list(STRATEGIES)
    wanted = [normalise_symbol(symbol) for symbol in symbols.split(",") if symbol]
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("Backtests", total=None)
        table = run_sweep(
            session_of(session, dataset),
            names,
            wanted,
            vix_gate=gate,
            jobs=jobs,
            scheduler=scheduler,
            dataset=dataset,
            on_progress=lambda done, of: bar.update(task, completed=done, total=of),
        )
    failed = table[table["error"].notna()]
    shown = table.drop(columns="error").sort_values("profit_per_trade", ascending=False, na_position="last")
    show_frame(f"{len(table)} backtests, net of costs", shown)
    for cell in failed.to_dict("records"):
        console.print(f"[red]{cell['strategy']} on {cell['symbol']} failed[/red]: {cell['error']}")
    if csv is not None:
        table.to_csv(csv, index=False)


@verbs.command(rich_help_panel=RESEARCH)
def check_leakage(
    session: Session = None,
    strategy: StrategyName = None,
    features: Annotated[bool, typer.Option(help="Check every feature instead of a strategy.")] = False,
    cleaning: Annotated[bool, typer.Option(help="Check the validation of bars instead of a strategy.")] = False,
    cuts: Annotated[int, typer.Option(min=1, help="Random (symbol, session) pairs, each tried several ways.")] = 1000,
) -> None:
    """Look for look-ahead: recompute on cut-off and falsified futures, compare bit for bit. Exit code 1 when one is found."""
    from pipeline.research import leakage_check

    checked = None if features or cleaning else strategy_of(strategy or "bollinger", "{}", gate=False)
    with console.status(f"Recomputing at {cuts:,} cuts ..."):
        if cleaning:
            leaks = leakage_check.check_cleaning(session_of(session), cuts=cuts)
        else:
            leaks = leakage_check.check_leakage(session_of(session), checked, cuts=cuts)
    subject = "the cleaning of bars" if cleaning else "features" if checked is None else checked.name
    if not leaks:
        console.print(f"[green]No look-ahead found[/green] in {subject} at {cuts:,} cuts.")
        return
    table = Table("Column", "Symbol", "First session that changed", "Bars known until", "How", title=f"Look-ahead in {subject}")
    for leak in leaks:
        table.add_row(leak.column, leak.symbol, str(leak.session.date()), str(leak.known_until.date()), leak.how)
    console.print(table)
    raise typer.Exit(1)


@verbs.command(rich_help_panel=RESEARCH)
def warm_up(
    session: Session = None,
    strategy: StrategyName = None,
    features: Annotated[bool, typer.Option(help="Every feature instead of a strategy.")] = False,
) -> None:
    """Show how many bars each column needs before its value no longer depends on the start of the history."""
    from pipeline.research import leakage_check

    checked = None if features else strategy_of(strategy or "bollinger", "{}", gate=False)
    with console.status("Computing with and without the first bars ..."):
        needed = leakage_check.warm_up(session_of(session), checked)
    subject = "features" if checked is None else checked.name
    table = Table("Column", "Bars", title=f"Warm-up of {subject}, to a millionth")
    for column, bars in sorted(needed.items(), key=lambda pair: (-pair[1], pair[0])):
        table.add_row(column, f"{bars:,}")
    console.print(table)
