"""Models in a terminal: champion, challengers, decisions. Parses and prints; every step lives in its module."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from core.errors import ConfigError
from desk.cli.console import MODELS, Session, console, session_of, show
from desk.cli.views import verb_of
from pipeline.views.catalogue import MODEL_VIEWS

if TYPE_CHECKING:
    from storage.models.experiments import Judgement

verbs = typer.Typer()
models = typer.Typer(no_args_is_help=True, help="Models: champion, challengers, A/B decisions, promotion and rollback.")
verbs.add_typer(models, name="models", rich_help_panel=MODELS)

Reason = Annotated[str, typer.Option(help="Why, for whoever reads the history.")]
Author = Annotated[str, typer.Option(help="Who moves it.", default_factory=getpass.getuser, show_default="the user")]
Model = Annotated[
    str | None,
    typer.Option(help="Registered name: the entry filter's (TRAINING__MODEL_NAME) unless given, or NEXT_DAY__MODEL_NAME."),
]
VersionNumber = Annotated[str, typer.Argument(help="Number of a version: `desk models list` shows them.")]


@models.command("list")
def list_models(
    model: Model = None, limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20
) -> None:
    """List the versions with their aliases and the results of their gates."""
    from pipeline.resources import live
    from pipeline.training import promotion

    rows, name = promotion.list_versions(model=model), model or live().settings.training.model_name
    table = Table("Version", "Aliases", "Registered (UTC)", "Gates", title=f"{len(rows)} versions of {name}")
    for row in rows[:limit]:
        table.add_row(row.version, ", ".join(row.aliases), f"{row.created_at:%Y-%m-%d %H:%M}", row.gates)
    console.print(table)


@models.command("versions")
def show_versions(
    kind: Annotated[str, typer.Option(help="entry: the entry filter; next_day: the next-day model.")] = "entry",
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many, the newest first.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show the versions with age, figures, gates and their pages in MLflow."""
    from pipeline.views.models.versions import KINDS, read_versions

    wanted = next((each for each in KINDS if each == kind), None)
    if wanted is None:
        raise ConfigError(f"--kind: expected {' or '.join(KINDS)}, found {kind!r}.")
    found = read_versions(wanted, limit)
    if json:
        typer.echo(found.model_dump_json())
        return
    table = Table("Version", "Aliases", "Age, days", "Trained through", "Gates", "Figures", "MLflow", title=found.model)
    for row in found.versions:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in row.metrics.items() if "/" not in name)
        gates = "passed" if row.passed else "; ".join(row.objections) or "-"
        aliases, through = ", ".join(row.aliases), row.trained_through or "-"
        table.add_row(row.version, aliases, f"{row.age_days:.1f}", through, escape(gates), figures, row.version_url)
    console.print(table if found.versions else "No version is registered.")


@models.command("calibration")
def show_calibration(
    version: Annotated[str | None, typer.Option(help="Number of a version of the entry filter; default: the champion.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show predicted against realised win rates: of settled answers, and of the training's test blocks."""
    from pipeline.views.models.calibration import read_calibration

    found = read_calibration(version)
    if json:
        typer.echo(found.model_dump_json())
        return
    for name, curve in (("Settled answers", found.settled), ("Training, out of sample", found.training)):
        table = Table("Probability", "n", "Predicted", "Realised", "95 % interval", title=f"{name}: {found.version or '-'}")
        for each in curve.bins:
            ends = "-" if each.realised_low is None else f"{each.realised_low:.3f} to {each.realised_high:.3f}"
            spans = f"{each.low:.3f} to {each.high:.3f}"
            table.add_row(spans, str(each.n), f"{each.predicted:.3f}", f"{each.realised:.3f}", ends)
        console.print(table if curve.n else f"{name}: {curve.reason}")
        if curve.n:
            console.print(f"Brier score {curve.brier:.4f}, calibration error {curve.calibration_error:.4f}, n {curve.n}.")


for each in MODEL_VIEWS:
    models.command(name=each.name, help=each.summary)(verb_of(each, "models"))


@models.command("show")
def show_model(version: VersionNumber, model: Model = None) -> None:
    """Show the evidence for and against a version, and every decision about it."""
    from pipeline.training import promotion

    record = promotion.record_of(version, model=model)
    show(f"Version {version}", {name: "undefined" if value is None else value for name, value in record.facts.items()})
    for line in record.against:
        console.print(f"[yellow]against a promotion[/yellow] {line}", highlight=False)
    _decisions(record.decisions)
    table = Table("When (UTC)", "Kind", "From", "To", "By", "Reason", title="Moves of the champion's alias")
    for move in record.moves:
        table.add_row(
            f"{move.created_at:%Y-%m-%d %H:%M}", move.kind, move.from_version or "", move.to_version, move.author, move.reason
        )
    console.print(table)


@models.command("promote")
def promote_model(
    version: VersionNumber,
    reason: Reason,
    author: Author,
    model: Model = None,
    force: Annotated[bool, typer.Option("--force", help="Promote despite objections.")] = False,
) -> None:
    """Make a version champion; the API serves it within API__CHAMPION_POLL_SECONDS."""
    from pipeline.training import promotion

    text = f"{reason} (forced)" if force else reason
    show("Promoted", promotion.promote(version, reason=text, author=author, force=force, model=model).as_dict())


@models.command("rollback")
def rollback_model(reason: Reason, author: Author, model: Model = None) -> None:
    """Give the alias back to the champion before the last move."""
    from pipeline.training import promotion

    show("Rolled back", promotion.rollback(reason=reason, author=author, model=model).as_dict())


@models.command("judge")
def judge_models(
    session: Session = None,
    model: Model = None,
    promote: Annotated[bool, typer.Option("--promote", help="Carry out a decision to promote.")] = False,
) -> None:
    """Judge the challengers at a session's close; nothing is promoted without --promote."""
    from pipeline.training import ab_test, promotion
    from pipeline.training.next_day_judge import judge_next_day

    day = session_of(session)
    if promotion.is_next_day(model):
        judged_next_day = judge_next_day(day, promote=promote).as_dict()
        for each in judged_next_day["decisions"] or [{"decision": "none: no challenger waits"}]:
            show("Next day", each)
        return
    judged = ab_test.judge_ab_test(day)
    show("A/B test", judged.as_dict())
    if promote and judged.decision == "promote":
        show("Promoted", ab_test.promote_judged(judged).as_dict())


def _decisions(rows: list[Judgement]) -> None:
    table = Table("Session", "Decision", "Effect", "Interval", "Pairs", "p", "Reason", title="Decisions")
    for row in rows:
        compared: list[dict[str, Any]] = row.report["comparisons"]
        best = min(compared, key=lambda each: each["p_value"])
        paired, text = best["paired"], _percent if "unit" in row.report else _bps
        table.add_row(
            f"{row.session}",
            row.kind,
            text(paired["value"]),
            f"{text(paired['low'])} to {text(paired['high'])}",
            str(best["pairs"]),
            f"{best['p_value']:.4f}",
            row.reason,
        )
    console.print(table)


def _bps(value: float | None) -> str:
    return "-" if value is None else f"{value * 1e4:+.1f} bps"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2%}"
