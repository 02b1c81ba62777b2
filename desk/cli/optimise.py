"""Optimisation in a terminal: parse the options, show progress, print the choice and its out-of-sample record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.table import Table

from core.sessions import normalise_symbol
from desk.cli.console import RESEARCH, DatasetName, Session, console, session_of

if TYPE_CHECKING:
    from pipeline.research.walk_forward import WalkForward
    from pipeline.research.walk_forward_window import Step
    from research.search import Constraints, Metric, Sampler

verbs = typer.Typer()
SHOWN = ("profit_per_trade", "win_rate", "average_winner", "average_loser", "trade_count", "sharpe", "max_drawdown")
FROM_SETTINGS = "Default: the setting."


@verbs.command(rich_help_panel=RESEARCH)
def optimise(  # noqa: PLR0917  # typer turns each into an option
    strategy: Annotated[str, typer.Option(help="Name of a strategy, or path/to/file.py:Class of your own.")] = "bollinger",
    metric: Annotated[
        str,
        typer.Option(help="profit_per_trade, win_rate_adjusted_profit, trade_frequency, profit_factor or sharpe."),
    ] = "profit_per_trade",
    symbols: Annotated[str, typer.Option(help="Comma-separated; the universe unless given.")] = "",
    session: Session = None,
    trials: Annotated[int, typer.Option(min=1, help="Parameter sets tried for each window.")] = 100,
    sampler: Annotated[str, typer.Option(help="tpe, or grid: as fine as the trials allow.")] = "tpe",
    train_sessions: Annotated[int, typer.Option(min=1, help="Sessions to choose parameters on.")] = 756,
    test_sessions: Annotated[int, typer.Option(min=1, help="Sessions after them to trade the choice on.")] = 252,
    anchored: Annotated[bool, typer.Option(help="Training always begins with the first session.")] = False,
    gate: Annotated[bool, typer.Option(help="With the VIX filter.")] = False,
    min_profit_per_trade_pct: Annotated[float | None, typer.Option(help=f"Percent, in training. {FROM_SETTINGS}")] = None,
    min_trades_a_month: Annotated[float | None, typer.Option(help=f"Of all symbols, in training. {FROM_SETTINGS}")] = None,
    min_profit_factor: Annotated[float | None, typer.Option(help=f"In training. {FROM_SETTINGS}")] = None,
    jobs: Annotated[int, typer.Option(help="Windows searched at once, in threads; -1 is one a core.")] = 1,
    worker: Annotated[int, typer.Option(min=0, help="When several processes share the work: 0, 1, 2, ... for each.")] = 0,
    dataset: DatasetName = None,
) -> None:
    """Choose parameters on the past, trade them on the sessions after it, and roll on; print the joined out-of-sample record.

    Exit code 1 when no window had a parameter set that met the constraints.
    """
    from rich.progress import Progress

    from pipeline.research.walk_forward import run_walk_forward
    from pipeline.research.walk_forward_window import SearchPlan

    plan = SearchPlan(
        strategy,
        cast("Metric", metric),
        tuple(normalise_symbol(symbol) for symbol in symbols.split(",") if symbol),
        trials=trials,
        sampler=cast("Sampler", sampler),
        train_sessions=train_sessions,
        test_sessions=test_sessions,
        anchored=anchored,
        vix_gate=gate,
        constraints=_constraints(min_profit_per_trade_pct, min_trades_a_month, min_profit_factor),
    )
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(f"Walk-forward of {strategy}", total=None)
        outcome = run_walk_forward(
            session_of(session, dataset),
            plan,
            jobs=jobs,
            worker=worker,
            dataset=dataset,
            on_progress=lambda done, of: bar.update(task, completed=done, total=of),
        )
    _show(strategy, metric, outcome)
    if outcome.tuned is None:
        raise typer.Exit(1)


def _constraints(profit: float | None, month: float | None, factor: float | None) -> Constraints:
    """Return the typed constraints, and those of the settings for the rest."""
    from dataclasses import replace

    from core.settings import get_settings
    from pipeline.research.walk_forward import constraints_of

    typed = {"min_profit_per_trade_pct": profit, "min_trades_a_month": month, "min_profit_factor": factor}
    return replace(constraints_of(get_settings()), **{name: value for name, value in typed.items() if value is not None})


def _show(strategy: str, metric: str, outcome: WalkForward) -> None:
    from research.search import Best

    windows = Table("Test window", f"{metric} in training", *SHOWN, title=f"{strategy}: each window on what it had not seen")
    for step in outcome.steps:
        windows.add_row(*_window(step))
    windows.add_row("all", "", *(_figure(outcome.record.metrics[name]) for name in SHOWN), style="bold")
    console.print(windows)
    for step in outcome.steps:
        if not isinstance(step.choice, Best):
            console.print(f"{step.window.test_start}: [yellow]in cash[/yellow]. {step.choice}")
    _show_evidence(outcome)
    if outcome.tuned is None:
        console.print("[red]No window had a parameter set that met the constraints.[/red]")
        return
    console.print(f"Parameters of the newest window, for --params: {json.dumps(outcome.tuned)}", soft_wrap=True)


def _show_evidence(outcome: WalkForward) -> None:
    evidence, profit, sharpe = outcome.evidence, outcome.profit_interval, outcome.sharpe_interval
    table = Table("Out of sample", "", title="What it is worth")
    table.add_row("profit_per_trade, 95 % interval", f"{_figure(profit[0])} to {_figure(profit[1])}" if profit else "-")
    table.add_row("sharpe, 95 % interval", f"{_figure(sharpe[0])} to {_figure(sharpe[1])}" if sharpe else "-")
    table.add_row("Backtests of the strategy ever tried", f"{evidence.trials:,}")
    table.add_row("Deflated Sharpe", _figure(evidence.deflated_sharpe))
    table.add_row("Probability of overfitting (PBO)", _figure(evidence.overfitting))
    table.add_row("Survives the search behind it", "yes" if evidence.survives else "no")
    table.add_row("Run", outcome.run_id)
    console.print(table)


def _window(step: Step) -> list[str]:
    window, figures = step.window, step.record.metrics
    value = getattr(step.choice, "value", None)
    return [f"{window.test_start} to {window.test_end}", _figure(value), *(_figure(figures[name]) for name in SHOWN)]


def _figure(value: Any) -> str:  # noqa: ANN401  # a number or None
    """Return a number as text; an undefined one is a dash."""
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
