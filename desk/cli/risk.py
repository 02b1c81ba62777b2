"""Halting trading and watching risk in a terminal. Parses and prints; the steps live in their modules."""

from __future__ import annotations

import getpass
import json
import signal
import threading
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from core.sessions import normalise_symbol
from desk.cli.console import RISK, Session, console, session_of

if TYPE_CHECKING:
    from storage.trading.heartbeats import Heartbeat

verbs = typer.Typer()
Reason = Annotated[str, typer.Option(help="Why; it is stored.")]
Deployment = Annotated[str | None, typer.Option(help="This deployment alone; default: every one.")]
Author = Annotated[str | None, typer.Option(help="Who; default: the user of this terminal.")]


@verbs.command(rich_help_panel=RISK)
def halt(reason: Reason, author: Author = None, deployment: Deployment = None) -> None:
    """Stop the desk, or one deployment: no order that opens a position is sent any more."""
    from pipeline.risk import kill_switch

    name = author or getpass.getuser()
    turned = kill_switch.halt(reason, name, portfolio=deployment) if deployment else kill_switch.halt_desk(reason, name)
    console.print(f"[red]Halted[/] {turned.portfolio}: {turned.reason} ({turned.author})")


@verbs.command(rich_help_panel=RISK)
def resume(reason: Reason, author: Author = None, deployment: Deployment = None) -> None:
    """Let the desk, or one deployment, open positions again; removes the file HALT as well."""
    from pipeline.risk import kill_switch

    name = author or getpass.getuser()
    turned = kill_switch.resume(reason, name, portfolio=deployment) if deployment else kill_switch.resume_desk(reason, name)
    console.print(f"[green]Trading goes on[/] for {turned.portfolio}: {turned.reason} ({turned.author})")


@verbs.command(rich_help_panel=RISK)
def risk_worker(
    enforce: Annotated[
        bool | None, typer.Option("--enforce/--log-only", help="Halt, cancel and flatten on a breach; default: MONITOR__MODE.")
    ] = None,
    interval: Annotated[float | None, typer.Option(min=0.1, help="Seconds between checks; default: the setting.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Check once; exit code 1 on a breach.")] = False,
) -> None:
    """Watch value at risk, exposure and drawdown until stopped; a breach is mailed, and enforced with --enforce."""
    mode = None if enforce is None else ("enforce" if enforce else "log")
    if once:
        from pipeline.risk.monitor import check_books

        checks = check_books(mode=mode)
        for heartbeat, done in checks:
            _show_heartbeat(heartbeat)
            if done is not None:
                console.print(f"Cancelled {len(done.cancelled)}, exits ordered {len(done.exits)}, still held {len(done.left)}.")
        raise typer.Exit(1 if any(heartbeat.level == "halt" for heartbeat, _ in checks) else 0)
    from pipeline.risk.monitor import watch_portfolio

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    count = watch_portfolio(stop, mode=mode, interval_seconds=interval, on_check=_print_line)
    console.print(f"Stopped after {count} checks.")


@verbs.command(rich_help_panel=RISK)
def risk_profiles() -> None:
    """Show the risk profiles: their values, the settings in force, and the settings under each profile."""
    from core.configuration.names import text_of
    from core.configuration.risk_profiles import MEANINGS, PROFILES, profile_settings, profile_value
    from core.settings import get_settings

    settings = get_settings()
    chosen, strict = settings.risk.profile, [name for name, values in PROFILES.items() if values]
    table = Table("Setting", f"In force ({chosen})", title="Risk profiles")
    for name in strict:
        table.add_column(name)
        table.add_column(f"Under {name}")
    for setting in profile_settings():
        cells = [settings.value_of(setting)]
        for name in strict:
            cells += [profile_value(name, setting), settings.with_profile(name).value_of(setting)]
        table.add_row(setting, *(text_of(cell) or "-" for cell in cells))
    console.print(table)
    for name, meaning in MEANINGS.items():
        console.print(f"{name}: {meaning}")
    console.print("A profile only tightens: of its value and one that is set, the stricter holds. RISK__PROFILE chooses.")


@verbs.command(rich_help_panel=RISK)
def data_guard(
    session: Session = None,
    symbols: Annotated[str, typer.Option(help="Comma-separated; the universe unless given.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Warnings block too.")] = False,
) -> None:
    """Look for stale bars, gaps, jumps, wide spreads; entries in a symbol that fails are held back. Exit code 1 when one is."""
    from pipeline.risk.data_guard import check_data

    names = [normalise_symbol(symbol) for symbol in symbols.split(",") if symbol]
    day = session_of(session)
    result = check_data(day, symbols=names, strict=strict)
    table = Table("Symbol", "Rule", "Found", "Limit", "Session", "", title=f"Bars up to {day}")
    for each in result.findings:
        blocks = strict or each.severity == "fail"
        limit = "" if each.limit is None else f"{each.limit:g}"
        says = "[red]blocks entries[/]" if blocks else "[yellow]warning[/]"
        table.add_row(each.symbol, each.rule, each.words, limit, each.session, says)
    console.print(table if result.findings else f"Bars up to {day}: nothing in doubt.")
    if result.unquoted:
        console.print(f"Not every quote was looked at: {result.unquoted}.")
    if result.blocked:
        raise typer.Exit(1)


@verbs.command(rich_help_panel=RISK)
def performance(
    book: Annotated[str | None, typer.Option(help="Portfolio of the ledger; the desk's own unless given.")] = None,
    session: Annotated[str | None, typer.Option(help="Session (YYYY-MM-DD); default: the newest on record.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare a book's live performance with limits and with its backtest. Exit code 1 on an alert."""
    from core.log import configure_logging
    from pipeline.resources import live
    from pipeline.risk.performance import watch_performance

    resources = live()
    configure_logging("WARNING")  # the report stands alone, so that it can be parsed
    report = watch_performance(book, session=session, resources=resources)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        table = Table("Check", "Sleeve", "", "n", "", title=f"Performance of {report.book} up to {report.session}")
        colours = {"alert": "red", "ok": "green", "not enough": "yellow"}
        for each in report.findings:
            said = f"[{colours[each.verdict]}]{each.verdict}[/]"
            table.add_row(each.kind.replace("_", " "), each.sleeve or "all", said, str(each.n), each.text)
        console.print(table)
    if report.alerts:
        raise typer.Exit(1)


def _show_heartbeat(heartbeat: Heartbeat) -> None:
    from pipeline.resources import live
    from pipeline.risk.kill_switch import halt_reason
    from pipeline.risk.monitor import describe_breaches

    table = Table("", "", title=f"Risk of {heartbeat.portfolio} at {heartbeat.at:%Y-%m-%d %H:%M:%S} UTC", show_header=False)
    for name in ("equity_usd", "peak_usd", "drawdown_pct", "gross_usd", "net_usd", "var_historical_usd", "var_parametric_usd"):
        value = getattr(heartbeat, name)
        table.add_row(name, "-" if value is None else f"{value:,.2f}")
    table.add_row("positions", str(heartbeat.positions))
    table.add_row("level", f"{heartbeat.level} {describe_breaches(heartbeat.breaches)}".rstrip())
    table.add_row("halted", halt_reason(resources=live().for_portfolio(heartbeat.portfolio)) or "no")
    console.print(table)


def _print_line(heartbeat: Heartbeat) -> None:
    var = heartbeat.var_historical_usd
    console.print(
        f"{heartbeat.at:%H:%M:%S} {heartbeat.portfolio} {heartbeat.level}: equity {heartbeat.equity_usd:,.2f},"
        f" drawdown {heartbeat.drawdown_pct:.2f} %, gross {heartbeat.gross_usd:,.2f},"
        f" VaR 95 % {'-' if var is None else f'{var:,.2f}'}"
    )
