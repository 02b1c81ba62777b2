"""Corporate actions, deposits and withdrawals in a terminal. Parses and prints; the steps live in their modules."""

from __future__ import annotations

import datetime as dt
import getpass
from typing import Annotated

import typer
from rich.table import Table

from core.errors import ConfigError
from desk.cli.console import TRADING, console

verbs = typer.Typer()
corporate_actions = typer.Typer(
    no_args_is_help=True,
    help="Splits, spin-offs, renames, dividends and delistings: what is recorded, and what the book made of it.",
)
verbs.add_typer(corporate_actions, name="corporate-actions", rich_help_panel=TRADING)

Symbol = Annotated[str, typer.Argument(help="Symbol, such as AAPL.")]
Day = Annotated[str, typer.Option("--session", help="First session in the new terms (YYYY-MM-DD).")]
Reason = Annotated[str, typer.Option(help="Why; it is stored.")]
Author = Annotated[str, typer.Option(help="Who records it.", default_factory=getpass.getuser, show_default="the user")]


@corporate_actions.command("list")
def list_actions() -> None:
    """Show the actions that positions have not followed yet, and the changes of the book so far."""
    from pipeline.execution import book_changes
    from pipeline.resources import live

    waiting = book_changes.pending()
    table = Table(
        "Symbol", "Strategy", "Held", "Session", "Kind", "Value", "What happens", title="Recorded, and not in the book yet"
    )
    for position, action, due in waiting:
        what = "applied by the next step" if due else "bars and venue do not show it: wait for them, or resolve it"
        held = f"{position.quantity.normalize():f}"
        table.add_row(position.symbol, position.strategy, held, str(action.session), action.kind, f"{action.value:g}", what)
    if waiting:
        console.print(table)
    else:
        console.print("No recorded action waits for a position.")
    events = live().ledger.book_events(live().settings.portfolio)
    if not events:
        return
    table = Table("Session", "Kind", "Symbol", "Strategy", "Ratio", "Cash USD", "Author", "Reason", title="Changes of the book")
    for event in events:
        ratio = event.new_symbol or ("" if event.ratio == event.price_ratio == 1 else f"{event.price_ratio.normalize():f}")
        cash = f"{event.cash_usd:.2f}" if event.cash_usd else ""
        table.add_row(
            str(event.session), event.kind, event.symbol, event.strategy, ratio, cash, event.author, event.reason
        )  # fmt: skip
    console.print(table)


@corporate_actions.command("record")
def record_action(
    symbol: Symbol,
    session: Annotated[str, typer.Argument(help="Session on which the exchange applies it (YYYY-MM-DD).")],
    kind: Annotated[str, typer.Argument(help="split, spin_off, dividend or delisting.")],
    value: Annotated[float, typer.Argument(help="New shares for an old one; old price over new; or cash a share.")],
) -> None:
    """Record an action that the provider does not deliver; positions follow as soon as bars or venue show it."""
    from pipeline.execution import book_changes

    followed = book_changes.record_action(symbol, _date(session), kind, value)
    console.print(f"Recorded {kind} {value:g} of {symbol} on {session}. Positions that follow at once: {followed}.")


@corporate_actions.command("resolve")
def resolve(  # noqa: PLR0917  # typer turns each into an option
    symbol: Symbol,
    session: Day,
    author: Author,
    split: Annotated[
        str | None, typer.Option(help="New shares for an old one: 2 for two for one, 0.1 for one for ten.")
    ] = None,
    spin_off: Annotated[str | None, typer.Option(help="Old price over new price; the shares stay.")] = None,
    rename: Annotated[str | None, typer.Option(help="The new symbol.")] = None,
    dividend: Annotated[
        str | None, typer.Option(help="Cash received in USD, for the whole position; negative when paid.")
    ] = None,
    cash: Annotated[str | None, typer.Option(help="Any other cash in USD, such as cash in lieu.")] = None,
    reason: Reason = "",
) -> None:
    """Settle a symbol in the book by hand, when bars or venue do not show by themselves what happened; then `desk resume`."""
    from core.book_events import BookEventKind
    from pipeline.execution import book_changes

    named = {
        BookEventKind.SPLIT: split,
        BookEventKind.SPIN_OFF: spin_off,
        BookEventKind.RENAME: rename,
        BookEventKind.DIVIDEND: dividend,
        BookEventKind.ADJUSTMENT: cash,
    }
    given = [(kind, value) for kind, value in named.items() if value is not None]
    if len(given) != 1:
        raise ConfigError("Name one change: --split, --spin-off, --rename, --dividend or --cash.")
    ((kind, value),) = given
    events = book_changes.resolve(symbol, _date(session), kind, value, author=author, reason=reason)
    for event in events:
        console.print(
            f"{event.symbol} {event.strategy}: {event.kind} {value} from {event.session} on, cash {event.cash_usd:.2f} USD"
        )
    if not events:
        console.print("It is in the book already: nothing changed.")


@verbs.command(rich_help_panel=TRADING)
def deposit(
    usd: Annotated[float, typer.Argument(min=0.01, help="Cash paid into the account.")], author: Author, reason: Reason = ""
) -> None:
    """Record cash paid into the account: no profit, and no change of any drawdown."""
    _transfer(usd, author, reason)


@verbs.command(rich_help_panel=TRADING)
def withdraw(
    usd: Annotated[float, typer.Argument(min=0.01, help="Cash taken out of the account.")], author: Author, reason: Reason = ""
) -> None:
    """Record cash taken out of the account: no loss, and no change of any drawdown."""
    _transfer(-usd, author, reason)


def _transfer(usd: float, author: str, reason: str) -> None:
    from pipeline.execution import book_changes

    event = book_changes.transfer(usd, author=author, reason=reason)
    console.print(f"{event.kind} of {abs(event.cash_usd):.2f} USD recorded for {event.portfolio} on {event.session}.")


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"Session: expected YYYY-MM-DD, found {text!r}.") from error
