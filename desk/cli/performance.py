"""Live against backtest in a terminal. Parses and prints; the step lives in its module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from desk.cli.console import RECORD, console
from desk.cli.views import text_of

if TYPE_CHECKING:
    from pipeline.views.performance.live_curve import LiveCurve
    from pipeline.views.performance.live_figures import LiveComparison

verbs = typer.Typer()
COLOURS = {"green": "green", "yellow": "yellow", "red": "red", "not enough": "dim"}
CAUSES = ("signal", "fill", "cost", "missed", "carried")


@verbs.command(rich_help_panel=RECORD)
def live_vs_backtest(
    book: Annotated[str | None, typer.Option(help="A deployment, or another book; default: the desk's own.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Backtest the same sessions for the curve; takes seconds.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with the curves, instead of a table.")] = False,
) -> None:
    """Show the live figures of a book beside what its backtest promised, and the gap between both curves by cause."""
    from pipeline.views.performance.live_vs_backtest import read_live_vs_backtest

    found = read_live_vs_backtest(book, compare=compare)
    if json:
        typer.echo(found.model_dump_json())
        return
    table = Table("", "Backtest Sharpe", "Live", "Delta", "Backtest profit a trade, %", "Live", "Delta", "Trades", "Light")
    table.title = f"{escape(found.book)}, {found.first or '-'} to {found.last or '-'}"
    for row in found.rows:
        table.add_row(*_cells(row))
    console.print(table)
    if found.reason:
        console.print(found.reason)
    console.print(_gap(found.curve, found.source))


def _cells(row: LiveComparison) -> tuple[str, ...]:
    def live(value: float | None, low: float | None, high: float | None) -> str:
        ends = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
        return text_of("_pct", value) + ends

    return (
        escape(row.label),
        text_of("_pct", row.backtest_sharpe),
        live(row.live_sharpe, row.live_sharpe_low, row.live_sharpe_high),
        text_of("_pct", row.sharpe_delta),
        text_of("_pct", row.backtest_profit_pct),
        live(row.live_profit_pct, row.live_profit_low_pct, row.live_profit_high_pct),
        text_of("_pct", row.profit_delta_pct),
        str(row.trades),
        f"[{COLOURS[row.light]}]{row.light}[/]" + (f": {escape(row.reason)}" if row.reason else ""),
    )


def _gap(curve: LiveCurve, source: str) -> str:
    """Return the gap at the last session in a sentence."""
    if not curve.session or curve.gap_usd[-1] is None:
        return "No session was compared with the backtest yet: measure_gap of trading_execution does so each evening."
    values = curve.model_dump()
    parts = ", ".join(f"{cause} {text_of('_usd', values[f'{cause}_usd'][-1])}" for cause in CAUSES)
    return f"Live less backtest: {text_of('_usd', curve.gap_usd[-1])} USD ({parts}), by {source}."
