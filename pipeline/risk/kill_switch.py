"""The kill switch: while it is turned, no order that opens a position is sent.

Two switches, either of which is enough: the file `DATA_DIR/HALT`, which needs no database and can be made with `touch`, and the
newest row of `trading.halts`. Both are read right before each order is sent. The desk halts by itself; only a person resumes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import structlog

from core.errors import ConfigError, StopTrading
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from pathlib import Path

    from monitoring.alerts import Alerts
    from storage.trading.deployments import Deployments
    from storage.trading.halts import Halt, Halts

log = structlog.get_logger()
RISK_WORKER, DAILY_TRADE, RECONCILIATION = "risk-worker", "daily-trade", "reconciliation"
ORDER_LISTENER = "order-listener"
MACHINES = frozenset({RISK_WORKER, DAILY_TRADE, RECONCILIATION, ORDER_LISTENER})  # they may halt and never resume


@dataclass(frozen=True)
class KillSwitch:
    """Both switches of a portfolio; each turn is logged and mailed.

    Attributes
    ----------
    file
        The file whose presence halts every portfolio of the desk.
    """

    portfolio: str
    file: Path
    halts: Halts
    alerts: Alerts

    @classmethod
    def of(cls, resources: Resources, portfolio: str | None = None) -> Self:
        """Build the switch of a portfolio; default: the desk's own."""
        name = portfolio or resources.settings.portfolio
        return cls(name, halt_file(resources.data_dir), resources.halts, resources.alerts)

    def halt_reason(self) -> str | None:
        """Return the reason of the halt in force; None while the portfolio may trade.

        A switch that cannot be read raises, and the order in hand is not sent.
        """
        if (reason := _file_reason(self.file)) is not None:
            return reason
        last = self.turned_halt()
        return None if last is None else f"halted by {last.author} at {last.created_at:%Y-%m-%d %H:%M} UTC: {last.reason}"

    def turned_halt(self) -> Halt | None:
        """Return the halt in the database that nobody has lifted; None without one."""
        last = self.halts.current(self.portfolio)
        return last if last is not None and last.halted else None

    def halt(self, reason: str, author: str) -> Halt:
        """Turn the switch: from the next order on nothing is opened. Mails the operator."""
        turned = self.halts.halt(self.portfolio, reason=reason, author=author)
        log.warning("trading_halted", portfolio=turned.portfolio, reason=turned.reason, author=turned.author)
        self.alerts.send(
            f"Trading of {turned.portfolio} is halted",
            f"{turned.author}: {turned.reason}\nNothing is opened until a person runs `desk resume --reason ...`.",
            "critical",
        )
        return turned

    def resume(self, reason: str, author: str) -> Halt:
        """Turn both switches back; see `resume`."""
        if author.strip() in MACHINES:
            raise StopTrading(f"Resume: expected a person, found {author.strip()!r}. Only a person may resume trading.")
        turned = self.halts.resume(self.portfolio, reason=reason, author=author)
        try:
            self.file.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self.file} cannot be removed ({error}), and trading stays halted. Remove it by hand."
            ) from error
        log.warning("trading_resumed", portfolio=turned.portfolio, reason=turned.reason, author=turned.author)
        self.alerts.send(f"Trading of {turned.portfolio} goes on", f"{turned.author}: {turned.reason}")
        return turned


def halt_reason(*, resources: Resources | None = None) -> str | None:
    """Return the reason why the desk may open nothing; None when neither switch is turned.

    The file is read first: it halts the desk while the database cannot be reached.
    """
    resources = resources or live()
    return _file_reason(halt_file(resources.data_dir)) or KillSwitch.of(resources).halt_reason()


def halt(reason: str, author: str, *, portfolio: str | None = None, resources: Resources | None = None) -> Halt:
    """Halt a portfolio, the desk's own unless named: from the next order on nothing is opened. Mails the operator.

    Where the database cannot be reached the file does the same: `touch DATA_DIR/HALT`.
    """
    return KillSwitch.of(resources or live(), portfolio).halt(reason, author)


def halt_desk(reason: str, author: str, *, resources: Resources | None = None) -> Halt:
    """Halt every book of the desk, deployments included; returns the turn of the default one."""
    resources = resources or live()
    turned = KillSwitch.of(resources, resources.desk_portfolio).halt(reason, author)
    for name in _others(resources.deployments, turned.portfolio):
        switch = KillSwitch.of(resources, name)
        if switch.turned_halt() is None:
            switch.halt(reason, author)
    return turned


def resume_desk(reason: str, author: str, *, resources: Resources | None = None) -> Halt:
    """Let every halted book of the desk trade again; returns the turn of the default one. See `resume`."""
    resources = resources or live()
    turned = KillSwitch.of(resources, resources.desk_portfolio).resume(reason, author)
    for name in _others(resources.deployments, turned.portfolio):
        switch = KillSwitch.of(resources, name)
        if switch.turned_halt() is not None:
            switch.resume(reason, author)
    return turned


def _others(deployments: Deployments, first: str) -> list[str]:
    return [each.name for each in deployments.all() if each.name != first]


def resume(reason: str, author: str, *, portfolio: str | None = None, resources: Resources | None = None) -> Halt:
    """Let a portfolio, the desk's own unless named, trade again; the peak that drawdown is measured from starts anew.

    Raises
    ------
    core.errors.StopTrading
        When the author is no person.
    core.errors.ConfigError
        When the reason or the author is missing, or the file cannot be removed; then the desk stays halted.
    """
    return KillSwitch.of(resources or live(), portfolio).resume(reason, author)


def halt_file(data_dir: Path) -> Path:
    """Return the path of the file whose presence halts the desk."""
    return data_dir / "HALT"


def _file_reason(file: Path) -> str | None:
    """Return the reason that the file of the switch gives; None where there is no file."""
    return f"halted by the file {file.name}: {_text_of(file)}" if file.exists() else None


def _text_of(file: Path) -> str:
    """Return the file's text; a file that vanishes or cannot be read still halts."""
    try:
        return file.read_text(errors="replace").strip() or "no reason given"
    except OSError as error:
        return f"not readable ({error})"
