"""Verbs from a sweep to a validated portfolio: rank, correlate, allocate, validate, and the whole chain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.table import Table

from core.sessions import normalise_symbol
from desk.cli.console import RESEARCH, DatasetName, Session, console, session_of, show_frame

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.research.holdout import Research
    from research.portfolio.allocation import Allocation, Method
    from research.portfolio.validation_report import ValidationReport

verbs = typer.Typer()
METHODS = "risk_parity_profit_weighted, inverse_volatility or equal."
MinTrades = Annotated[int, typer.Option(min=1, help="Leave out backtests with fewer trades.")]
Top = Annotated[int, typer.Option(min=1, help="How many of the best to consider.")]
Flag = Annotated[float, typer.Option(min=-1, max=1, help="Flag pairs correlated above this.")]
Below = Annotated[float, typer.Option(min=-1, max=1, help="Pick only what is correlated less than this.")]
AtMost = Annotated[int, typer.Option(min=1, help="How many to pick.")]
How = Annotated[str, typer.Option(help=METHODS)]
Capital = Annotated[float, typer.Option(help="Money to share, in USD.")]
Low = Annotated[float, typer.Option(help="Least for one sleeve, in USD.")]
High = Annotated[float, typer.Option(help="Most for one sleeve, in USD.")]
Store = Annotated[bool, typer.Option("--store", help="Keep the portfolio, so that it can be deployed.")]
COLOUR = {"PASS": "green", "WARN": "yellow", "NOT MEASURABLE": "yellow", "FAIL": "red"}


@verbs.command(rich_help_panel=RESEARCH)
def rank(
    session: Session = None,
    min_trades: MinTrades = 30,
    top: Top = 20,
    csv: Annotated[Path | None, typer.Option(help="Write all ranks there.")] = None,
    dataset: DatasetName = None,
) -> None:
    """Rank the newest sweep: profit per trade, then Sharpe."""
    from pipeline.research.candidates import rank_candidates
    from research.portfolio.selection import RANKED

    table = rank_candidates(session_of(session, dataset), min_trades=min_trades, dataset=dataset)[list(RANKED)]
    show_frame(
        f"The best {min(top, len(table))} of {len(table)} with {min_trades} trades or more, net of costs", table.head(top)
    )
    if csv is not None:
        table.to_csv(csv, index=False)
        console.print(f"All {len(table)} ranks: {csv}")


@verbs.command(rich_help_panel=RESEARCH)
def correlate(  # noqa: PLR0917  # typer turns each into an option
    session: Session = None,
    min_trades: MinTrades = 30,
    top: Top = 20,
    flag_above: Flag = 0.7,
    below: Below = 0.5,
    at_most: AtMost = 3,
    html: Annotated[Path | None, typer.Option(help="Write the heat map there.")] = None,
    dataset: DatasetName = None,
) -> None:
    """Correlate the equity curves of the best, flag look-alikes, and pick a diversified few."""
    from pipeline.research.shortlist import Selection, make_shortlist
    from research.portfolio.selection import heat_map

    with console.status("Running the best again ..."):
        selection = Selection(top=top, min_trades=min_trades, flag_above=flag_above, below=below, at_most=at_most)
        shortlist = make_shortlist(session_of(session, dataset), selection, dataset=dataset)
    _show_matrix(shortlist.correlation)
    show_frame(f"Pairs over {flag_above:g}", shortlist.flagged)
    show_frame("Not picked", shortlist.pick.dropped)
    console.print(f"[bold]{', '.join(shortlist.pick.chosen) or 'Nothing'}[/bold]. {shortlist.pick.message}")
    if html is not None:
        heat_map(shortlist.correlation).write_html(html, include_plotlyjs=True)
        console.print(f"Heat map: {html}")


@verbs.command(rich_help_panel=RESEARCH)
def allocate(  # noqa: PLR0917  # typer turns each into an option
    session: Session = None,
    method: How = "risk_parity_profit_weighted",
    capital: Capital = 1000.0,
    low: Low = 250.0,
    high: High = 400.0,
    at_most: AtMost = 3,
    min_trades: MinTrades = 30,
    top: Top = 20,
    below: Below = 0.5,
    dataset: DatasetName = None,
    *,
    store: Store = False,
) -> None:
    """Share capital among the picked; with --store the portfolio is kept, and may be deployed once it is validated."""
    from pipeline.research import portfolio
    from pipeline.research.shortlist import Selection, make_shortlist

    day = session_of(session, dataset)
    with console.status("Running the best again ..."):
        chosen = make_shortlist(day, Selection(top=top, min_trades=min_trades, below=below, at_most=at_most), dataset=dataset)
        shared = portfolio.allocate(
            chosen, method=cast("Method", method), capital_usd=capital, low_usd=low, high_usd=high, at_most=at_most
        )
        number = portfolio.store_portfolio(day, chosen, shared) if store else None
    console.print(chosen.pick.message)
    _show_allocation(number, shared)
    if number is None:
        console.print("Nothing is stored. Keep it with `--store`; what trades does not change.")
    else:
        console.print(f"Next: `desk validate-risk --portfolio {number}`, then `desk deploy {number} --name NAME --reason ...`.")


@verbs.command(rich_help_panel=RESEARCH)
def validate_risk(
    session: Session = None,
    portfolio: Annotated[int | None, typer.Option(help="Id of a portfolio; the newest unless given.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    dataset: DatasetName = None,
) -> None:
    """Check a portfolio against its limits. Exit code 1 on FAIL; deployments of it then open nothing."""
    from pipeline.research.portfolio_validation import validate_portfolio

    report = validate_portfolio(session_of(session, dataset), portfolio, dataset=dataset)
    if json:
        typer.echo(report.to_json())
    else:
        _show_validation(report)
    if report.status == "FAIL":
        raise typer.Exit(1)


@verbs.command(rich_help_panel=RESEARCH)
def research(  # noqa: PLR0917  # typer turns each into an option
    session: Session = None,
    strategies: Annotated[str, typer.Option(help="Comma-separated; all built-ins unless given.")] = "",
    symbols: Annotated[str, typer.Option(help="Comma-separated; the universe unless given.")] = "",
    gate: Annotated[bool, typer.Option(help="With the VIX filter.")] = False,
    holdout_sessions: Annotated[int, typer.Option(min=1, help="Sessions at the end that the choice never sees.")] = 504,
    method: How = "risk_parity_profit_weighted",
    min_trades: MinTrades = 30,
    jobs: Annotated[int, typer.Option(help="Threads; -1 is one a core.")] = -1,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    dataset: DatasetName = None,
    *,
    store: Store = False,
) -> None:
    """Run the whole chain: sweep, rank, correlate, allocate, validate; choose on the past, then test on later sessions.

    What trades does not change. Exit code 1 when the portfolio fails its validation.
    """
    from rich.progress import Progress

    from pipeline.research import chain

    names = [name for name in strategies.split(",") if name]
    wanted = [normalise_symbol(symbol) for symbol in symbols.split(",") if symbol]
    day = session_of(session, dataset)
    plan = chain.make_plan(day, names, wanted, vix_gate=gate, holdout_sessions=holdout_sessions, dataset=dataset)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("Backtests", total=None)
        chain.sweep(
            plan, jobs=jobs, scheduler=scheduler, on_progress=lambda done, of: bar.update(task, completed=done, total=of)
        )
    with console.status("Choosing and scoring ..."):
        outcome = chain.choose(plan, method=cast("Method", method), min_trades=min_trades, store=store)
    _show_research(outcome)
    if outcome.validation.status == "FAIL":
        raise typer.Exit(1)


def _show_research(outcome: Research) -> None:
    from research.portfolio.selection import RANKED

    table = outcome.shortlist.table[list(RANKED)].head(10)
    show_frame(f"The best on the sessions up to {outcome.plan.split}, net of costs", table)
    console.print(f"[bold]{', '.join(outcome.shortlist.pick.chosen)}[/bold]. {outcome.shortlist.pick.message}")
    _show_allocation(outcome.portfolio_id, outcome.allocation)
    show_frame(f"The same after {outcome.plan.split}, which no choice has seen", outcome.held_out)
    show_frame("What luck explains", outcome.evidence)
    for line in outcome.statements:
        console.print(line)
    _show_validation(outcome.validation)
    console.print(f"Report: {outcome.report}")


def _show_matrix(correlation: pd.DataFrame) -> None:
    """Numbered rows and columns: names would not fit."""
    numbers = [str(i) for i in range(1, len(correlation) + 1)]
    table = Table("", "", *numbers, title="Correlation of daily returns")
    for number, (name, row) in zip(numbers, correlation.iterrows(), strict=True):
        table.add_row(number, str(name), *("-" if value != value else f"{value:.2f}" for value in row))  # noqa: PLR0124
    console.print(table)


def _show_allocation(number: int | None, shared: Allocation) -> None:
    from research.report_tables import figure_text

    table = Table("Sleeve", "USD", "Share", title=f"Portfolio {number or '(not stored)'}: {shared.method}")
    for (name, usd), share in zip(shared.usd.items(), shared.weights, strict=True):
        table.add_row(str(name), f"{usd:,.2f}", f"{share:.1%}")
    if shared.cash_usd:
        table.add_row("cash", f"{shared.cash_usd:,.2f}", "")
    console.print(table)
    figures = {name: getattr(shared, name) for name in ("expected_return", "volatility", "sharpe", "max_drawdown")}
    shown = ", ".join(f"{name.replace('_', ' ')} {figure_text(name, value)}" for name, value in figures.items())
    console.print(f"On the past it was chosen from: {shown}. {shared.message}")


def _show_validation(report: ValidationReport) -> None:
    table = Table("Rule", "Limit", "Found", "Verdict", "", title="Validation")
    for each in report.findings:
        figure = "-" if each.found is None else f"{each.found:.4g}"
        verdict = f"[{COLOUR[each.verdict]}]{each.verdict}[/]"
        table.add_row(each.rule, f"<= {each.limit:g} {each.unit}".rstrip(), figure, verdict, each.detail)
    console.print(table)
    console.print(f"[bold {COLOUR[report.status]}]{report.status}[/]")
