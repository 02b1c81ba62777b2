"""Alerts and health in a terminal. Parses and prints; the steps live in their modules."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from desk.cli.console import SYSTEM, console
from desk.cli.views import Export, Json, print_json, write

if TYPE_CHECKING:
    from storage.alerts.alert_log import Alert

verbs = typer.Typer()
alerts = typer.Typer(help="Alerts: list the open ones, one's history, comment, acknowledge, resolve, try the channels.")
verbs.add_typer(alerts, name="alerts", rich_help_panel=SYSTEM)
COLOURS = {"critical": "red", "warning": "yellow", "info": "cyan"}
AlertId = Annotated[
    int, typer.Argument(metavar="ID", min=1, max=2**63 - 1, help="Number of the alert; `desk alerts` lists them.")
]
Reason = Annotated[str, typer.Option(help="Why; it is stored.")]
Author = Annotated[str | None, typer.Option(help="Who; default: the user of this terminal.")]


@alerts.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    *,
    every: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    kind: Annotated[str | None, typer.Option(help="Of this kind alone, such as health or risk.")] = None,
    book: Annotated[str | None, typer.Option(help="Of this portfolio alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The newest so many.")] = 50,
    as_json: Json = False,
    export: Export = None,
) -> None:
    """Show the open alerts, newest first."""
    if context.invoked_subcommand is not None:
        return
    if as_json or export is not None:
        from pipeline.views.alerts import ALERTS, AlertFilter

        wanted = AlertFilter(kind=kind, book=book, closed=every)
        write(ALERTS, wanted, export) if export is not None else print_json(ALERTS, ALERTS.page(wanted, limit=limit))
        return
    from pipeline.resources import live

    rows = live().alert_log.read(kind=kind, book=book, closed=every, limit=limit)
    table = Table("Id", "Severity", "State", "Kind", "Book", "First seen, UTC", "Last seen, UTC", "Repeats", "Subject")
    for each in rows:
        table.add_row(
            str(each.id),
            f"[{COLOURS[each.severity]}]{each.severity}[/]",
            _state(each),
            each.kind,
            each.book or "-",
            f"{each.raised_at:%Y-%m-%d %H:%M}",
            f"{each.last_seen_at:%Y-%m-%d %H:%M}",
            str(each.repeats),
            escape(each.subject),
        )
    console.print(table if rows else "No alert." if every else "No alert is open.")


@alerts.command()
def ack(alert_id: AlertId, reason: Reason, author: Author = None) -> None:
    """Take an alert on: it is not sent again unless it gets worse."""
    from pipeline.resources import live

    alert = live().alert_desk.acknowledge(alert_id, author=author or getpass.getuser(), reason=reason)
    console.print(f"Acknowledged {alert.id}: {escape(alert.subject)} ({escape(str(alert.acknowledged_by))})")


@alerts.command()
def resolve(alert_id: AlertId, reason: Reason, author: Author = None) -> None:
    """End an alert; when its check finds it again, that is a new one."""
    from pipeline.resources import live

    alert = live().alert_desk.resolve_id(alert_id, author=author or getpass.getuser(), reason=reason)
    console.print(f"Resolved {alert.id}: {escape(alert.subject)} ({escape(str(alert.resolved_by))})")


@alerts.command()
def comment(alert_id: AlertId, text: Annotated[str, typer.Argument(help="It is stored.")], author: Author = None) -> None:
    """Add a comment to an alert's history, resolved or not."""
    from pipeline.resources import live

    alert = live().alert_desk.comment(alert_id, author=author or getpass.getuser(), text=text)
    console.print(f"Commented on {alert.id}: {escape(alert.subject)}")


@alerts.command("history")
def show_history(alert_id: AlertId) -> None:
    """Show everything that happened to an alert, oldest first."""
    from pipeline.resources import live

    log = live().alert_log
    alert = log.find(alert_id)
    table = Table("At, UTC", "What", "Channel", "By", "Reason or comment", title=f"Alert {alert.id}: {escape(alert.subject)}")
    for each in log.events(alert_id):
        texts = (escape(str(each[name])) for name in ("event", "channel", "author", "reason"))
        table.add_row(f"{each['at']:%Y-%m-%d %H:%M:%S}", *texts)
    console.print(table)


@alerts.command()
def test() -> None:
    """Send a test alert through every channel and show each one's result. Exit code 1 when one does not take it."""
    from pipeline.resources import live

    results = live().alerts.deliver("Test alert", "Somebody ran `desk alerts test`. Nothing is wrong.", "critical")
    if not results:
        console.print("No channel is set: MAIL__HOST and MAIL__RECIPIENTS, or ALERTS__URLS.")
        raise typer.Exit(1)
    table = Table("Channel", "", "Why")
    for each in results:
        table.add_row(each.channel, "[green]delivered[/]" if each.delivered else "[red]not delivered[/]", escape(each.reason))
    console.print(table)
    if not all(each.delivered for each in results):
        raise typer.Exit(1)


@verbs.command(rich_help_panel=SYSTEM)
def health(
    alert: Annotated[
        bool, typer.Option("--alert", help="Raise and resolve alerts too, as the DAG `health_check` does.")
    ] = False,
) -> None:
    """Check services, data, queues, disk and keys. Exit code 1 when something is wrong."""
    from pipeline.audit.health import check_health

    report = check_health(alert=alert)
    table = Table("Check", "", "Found", title=f"Health at {report.at:%Y-%m-%d %H:%M} UTC")
    for each in report.results:
        table.add_row(each.name, "[green]well[/]" if each.healthy else "[red]not well[/]", escape(each.detail))
    console.print(table)
    if not report.healthy:
        raise typer.Exit(1)


def _state(alert: Alert) -> str:
    by = alert.resolved_by if alert.resolved_at else alert.acknowledged_by if alert.state == "acknowledged" else None
    return f"{alert.state} by {escape(by)}" if by else str(alert.state)
