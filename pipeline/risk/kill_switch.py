"""The kill switch, which stops the opening of positions; `storage.trading.halts` keeps its table.

Two switches, either of which is enough: the file `DATA_DIR/HALT`, which needs no database and can be made with `touch`, and the
newest row of `trading.halts`. Every order is held against both right before it is sent. The desk halts by itself; only a person
lets it go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core.errors import ConfigError, StopTrading
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from pathlib import Path

    from storage.trading.halts import Halt

log = structlog.get_logger()
RISK_WORKER, DAILY_TRADE, RECONCILIATION = "risk-worker", "daily-trade", "reconciliation"
ORDER_LISTENER = "order-listener"
MACHINES = frozenset({RISK_WORKER, DAILY_TRADE, RECONCILIATION, ORDER_LISTENER})  # they may halt and never resume


def standing(resources: Resources | None = None) -> str | None:
    """Why nothing may be opened, or None when neither switch is turned.

    A switch that cannot be read raises, and the order in hand is not sent.
    """
    resources = resources or live()
    file = halt_file(resources)
    if file.exists():
        return f"halted by the file {file.name}: {_words(file)}"
    last = resources.halts.current(resources.settings.portfolio)
    if last is None or not last.halted:
        return None
    return f"halted by {last.author} at {last.created_at:%Y-%m-%d %H:%M} UTC: {last.reason}"


def halt(reason: str, author: str, *, portfolio: str | None = None, resources: Resources | None = None) -> Halt:
    """Turn a portfolio's switch, the desk's own unless named: from the next order on nothing is opened. Mails the operator.

    Where the database cannot be reached the file does the same: `touch DATA_DIR/HALT`.
    """
    resources = resources or live()
    turned = resources.halts.halt(portfolio or resources.settings.portfolio, reason=reason, author=author)
    log.warning("trading_halted", portfolio=turned.portfolio, reason=turned.reason, author=turned.author)
    resources.alerts.send(
        f"Trading of {turned.portfolio} is halted",
        f"{turned.author}: {turned.reason}\nNothing is opened until a person runs `desk resume --reason ...`.",
        "critical",
    )
    return turned


def resume(reason: str, author: str, *, portfolio: str | None = None, resources: Resources | None = None) -> Halt:
    """Turn a portfolio's switches back, the desk's own unless named; the peak that drawdown is measured from starts anew.

    Raises
    ------
    core.errors.StopTrading
        When it is no person who asks.
    core.errors.ConfigError
        When the reason or the author is missing, or the file cannot be removed; then the desk stays halted.
    """
    resources = resources or live()
    if author.strip() in MACHINES:
        raise StopTrading(f"Resume: expected a person, found {author.strip()!r}. A person decides that trading goes on.")
    turned = resources.halts.resume(portfolio or resources.settings.portfolio, reason=reason, author=author)
    file = halt_file(resources)
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{file} cannot be removed ({error}), and trading stays halted. Remove it by hand.") from error
    log.warning("trading_resumed", portfolio=turned.portfolio, reason=turned.reason, author=turned.author)
    resources.alerts.send(f"Trading of {turned.portfolio} goes on", f"{turned.author}: {turned.reason}")
    return turned


def halt_file(resources: Resources) -> Path:
    """The file whose presence halts the desk."""
    return resources.data_dir / "HALT"


def _words(file: Path) -> str:
    """What is written in the file; a file that vanishes or cannot be read still halts."""
    try:
        return file.read_text(errors="replace").strip() or "no reason given"
    except OSError as error:
        return f"not readable ({error})"
