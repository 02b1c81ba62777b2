"""Replay, parity and the account of an order in a terminal. Parses and prints; every step lives in its module."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pipeline.terminal import console, show, show_frame

if TYPE_CHECKING:
    from pipeline.parity import Parity
    from pipeline.replay import Replay

verbs = typer.Typer()
From = Annotated[str, typer.Option("--from", help="First session (YYYY-MM-DD).")]
To = Annotated[str, typer.Option("--to", help="Last session (YYYY-MM-DD).")]
Symbols = Annotated[str, typer.Option(help="Comma-separated; the universe unless given.")]
Model = Annotated[bool, typer.Option("--model/--no-model", help="Ask the champion about every entry.")]
SHOWN = 40


@verbs.command()
def replay(first: From, last: To, symbols: Symbols = "", model: Model = False) -> None:
    """Run the daily live path over past sessions in fast-forward, in a portfolio of its own."""
    outcome = _replayed(first, last, symbols, model=model)
    show("Replay", _summary(outcome))


@verbs.command()
def parity(
    first: Annotated[str | None, typer.Option("--from", help="First session (YYYY-MM-DD).")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last session (YYYY-MM-DD).")] = None,
    symbols: Symbols = "",
    model: Model = False,
    ledger: Annotated[bool, typer.Option(help="Compare the live portfolio's record instead of a replay.")] = False,
) -> None:
    """Compare a replay, or the live ledger, with the portfolio backtest, to the cent. Exit code 1 on a difference."""
    from pipeline import parity as step

    if ledger:
        found = step.of_ledger(_day(first), _day(last))
    else:
        if first is None or last is None:
            raise typer.BadParameter("Give --from and --to, or --ledger.")
        outcome = _replayed(first, last, symbols, model=model)
        show("Replay", _summary(outcome))
        found = step.of_replay(outcome)
    _print(found)
    if not found.holds:
        raise typer.Exit(1)


def _replayed(first: str, last: str, symbols: str, *, model: bool) -> Replay:
    from rich.progress import MofNCompleteColumn, Progress

    from core.log import configure_logging
    from pipeline import replay as step
    from pipeline.resources import live

    resources = live()
    configure_logging("WARNING")  # two lines an order would bury the result
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console, transient=True) as bar:
        task = bar.add_task("Sessions", total=None)
        return step.run(
            dt.date.fromisoformat(first),
            dt.date.fromisoformat(last),
            symbols=[each for each in symbols.split(",") if each],
            model="champion" if model else None,
            on_progress=lambda done, of: bar.update(task, completed=done, total=of),
            resources=resources,
        )


def _summary(outcome: Replay) -> dict[str, object]:
    return {
        "portfolio": outcome.portfolio,
        "strategy": outcome.strategy.name,
        "sessions": len(outcome.equity),
        "trades": len(outcome.trades),
        "held at the end": len(outcome.positions),
        "refused": len(outcome.refusals),
        "final equity": f"${outcome.equity['equity_usd'].iloc[-1]:,.2f}",
        "seconds": f"{outcome.seconds:.1f}, of which {outcome.loop_seconds:.1f} in the sessions",
        "sessions a second": f"{outcome.sessions_a_second:.0f}, in the loop {len(outcome.equity) / outcome.loop_seconds:.0f}",
    }


def _print(found: Parity) -> None:
    compared = f"{found.trades} trades and {found.sessions} closes"
    if found.holds:
        console.print(f"[green]Parity[/green]: {compared}, no difference; equity within ${found.equity_gap_usd:.2g}.")
        return
    table = Table("Cause", "Differences", "Gap, USD", title=f"Record less backtest, of {compared}")
    for row in found.split().itertuples():
        table.add_row(str(row.cause), f"{row.differences}", f"{row.gap_usd:,.2f}")
    console.print(table)
    show_frame(f"The first {min(SHOWN, len(found.differences))} differences", found.differences.head(SHOWN))
    console.print(f"[red]No parity[/red]: equity differs by up to ${found.equity_gap_usd:,.2f} at a close.")


def _day(text: str | None) -> dt.date | None:
    return None if text is None else dt.date.fromisoformat(text)
