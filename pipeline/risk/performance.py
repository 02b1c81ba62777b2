"""Watch a book's live performance: read its records, run the checks of `monitoring.performance`, and log what alerts.

It halts nothing and sells nothing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import pandas as pd
import structlog

from core.book_events import TRANSFERS
from core.errors import DeskError
from core.frames import SESSION
from core.sessions import calendar_name, joint_sessions
from monitoring.alert_desk import Finding as AlertFinding
from pipeline.accounts.valuation import transferred_usd
from pipeline.bars import window_returns
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from core.book_events import BookEvent
    from core.deployments import Deployment
    from core.models import Position
    from ml.tracking.registry import Registry
    from monitoring.alert_desk import AlertDesk, Synced
    from monitoring.performance.expectation import Expectation
    from monitoring.performance.findings import Finding, PerformanceAlert
    from monitoring.performance.watch import BookRecord
    from storage.market.bars import BarStore
    from storage.trading.ledger import Ledger

log = structlog.get_logger()
KIND: Final = "performance"  # of its alerts


@dataclass(frozen=True)
class PerformanceReport:
    """The findings of a book at the close of a session."""

    book: str
    session: str
    findings: tuple[Finding, ...]

    @property
    def alerts(self) -> list[PerformanceAlert]:
        """One for each finding that is an alert."""
        from monitoring.performance.findings import alerts_of

        return alerts_of(self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"book": self.book, "session": self.session, "findings": [each.as_dict() for each in self.findings]}


def watch_performance(
    book: str | None = None,
    expectations: Mapping[str, Expectation] | None = None,
    session: str | None = None,
    *,
    resources: Resources | None = None,
) -> PerformanceReport:
    """Check the performance of a book at the close of a session.

    Parameters
    ----------
    book
        Portfolio of the ledger; the desk's own unless given.
    expectations
        What the backtests promised, by sleeve, "" for the sum; those of the deployment unless given. Without one the
        comparisons say that no backtest is on record.
    session
        The newest on record unless given. Trades and closes after it do not count.
    """
    from monitoring.performance.findings import ALERT
    from monitoring.performance.watch import check_performance

    resources = resources or live()
    name, settings = book or resources.settings.portfolio, resources.settings
    day = dt.date.fromisoformat(session) if session else _newest(resources.ledger, name, resources.clock().date())
    trained_at, no_model = _champion(resources.registry)
    record = record_of(
        resources.ledger,
        resources.bars,
        name,
        day,
        correlation_sessions=settings.risk.correlation_sessions,
        trained_at=trained_at,
        no_model=no_model,
    )
    promised = promises_of(resources.deployment) if expectations is None else expectations
    findings = check_performance(record, promised, settings.performance, resources.clock())
    raised = [f"{each.kind} {each.sleeve}".strip() for each in findings if each.verdict == ALERT]
    log.info("performance", book=name, session=day.isoformat(), alerts=raised, checks=len(findings))
    return PerformanceReport(name, day.isoformat(), tuple(findings))


def promises_of(deployment: Deployment | None) -> dict[str, Expectation]:
    """Return what the backtest of a deployment promised, by sleeve, "" for the sum; nothing of the default one."""
    from monitoring.performance.expectation import Expectation

    return {} if deployment is None else {name: Expectation.of(row) for name, row in deployment.promise.items()}


def record_of(
    ledger: Ledger,
    bars: BarStore,
    book: str,
    day: dt.date,
    *,
    correlation_sessions: int,
    trained_at: dt.datetime | None = None,
    no_model: str = "",
) -> BookRecord:
    """Return the records of a book up to a session, from the ledger and the bars."""
    from monitoring.performance.watch import BookRecord

    end = pd.Timestamp(day)
    trades, equity = ledger.trades(book), ledger.equity(book)
    positions = _held_at(end, ledger.positions(book), trades)
    trades, equity = trades[trades["exit_session"] <= end], equity[equity["session"] <= end].reset_index(drop=True)
    starts = [*equity["session"][:1], *trades["entry_session"], *positions["entry_session"]]
    first = min(starts, default=end).date()
    symbols = sorted({*trades["symbol"], *positions["symbol"]})
    moved = [each for each in ledger.book_events(book) if each.kind in TRANSFERS and each.session <= day]
    since = [each for each in moved if len(equity) and pd.Timestamp(each.session) > equity["session"].iloc[0]]
    return BookRecord(
        session=day,
        trades=trades,
        positions=positions,
        equity=equity,
        moved_usd=_moved(since),
        sessions=joint_sessions(first, day, {calendar_name(symbol) for symbol in symbols} or {"XNYS"}),
        returns=_returns(bars, sorted(set(positions["symbol"])), day, correlation_sessions),
        model_trained_at=trained_at,
        no_model=no_model,
    )


@dataclass
class PerformanceWatch:
    """The risk worker's watch of performance: looks now and then, and brings the alerts in line.

    An alert that lasts is sent once; see `monitoring.alert_desk`.
    """

    look: Callable[[], PerformanceReport]
    alert_desk: AlertDesk
    clock: Callable[[], dt.datetime]
    interval_seconds: float
    _next_look: dt.datetime | None = None

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build for the desk's own book."""
        return cls(
            look=lambda: watch_performance(resources=resources),
            alert_desk=resources.alert_desk,
            clock=resources.clock,
            interval_seconds=resources.settings.performance.interval_seconds,
        )

    def follow(self) -> PerformanceReport | None:
        """Look when it is time and return the report, else None; a look that fails is logged, and the next one tries again."""
        from sqlalchemy.exc import SQLAlchemyError

        now = self.clock()
        if self._next_look is not None and now < self._next_look:
            return None
        self._next_look = now + dt.timedelta(seconds=self.interval_seconds)
        try:
            report = self.look()
        except (DeskError, SQLAlchemyError, OSError) as error:
            log.warning("performance_look_failed", error=type(error).__name__, says=str(error))
            return None
        sync_alerts(self.alert_desk, report)
        return report


def sync_alerts(desk: AlertDesk, report: PerformanceReport) -> Synced:
    """Bring the open alerts of a book's performance in line with a report: what is new is sent once, what is gone resolved."""
    found = [AlertFinding(each.key, each.subject, each.body, each.severity) for each in report.alerts]
    return desk.sync(KIND, report.book, found)


def mail_section(report: PerformanceReport) -> list[str]:
    """Return the lines of the daily mail."""
    from monitoring.performance.findings import mail_lines

    return mail_lines(report.findings)


def _held_at(end: pd.Timestamp, positions: Sequence[Position], trades: pd.DataFrame) -> pd.DataFrame:
    """Return what was held at a close: the positions of now, and the trades that have been closed since."""
    closed = trades[(trades["entry_session"] <= end) & (trades["exit_session"] > end)]
    held = pd.DataFrame(
        [(each.strategy, each.symbol, each.entry_session, float(each.quantity)) for each in positions]
        + list(
            zip(closed["strategy"], closed["symbol"], closed["entry_session"], closed["side"] * closed["quantity"], strict=True)
        ),
        columns=["strategy", "symbol", "entry_session", "quantity"],
    )
    held["entry_session"] = pd.to_datetime(held["entry_session"]).astype(SESSION)
    return held[held["entry_session"] <= end].reset_index(drop=True)


def _returns(bars: BarStore, symbols: list[str], day: dt.date, sessions: int) -> pd.DataFrame:
    return window_returns(bars, symbols, day, sessions) if symbols else pd.DataFrame()


def _moved(events: Sequence[BookEvent]) -> dict[pd.Timestamp, float]:
    """Return deposits less withdrawals by session."""
    days = {event.session for event in events}
    return {pd.Timestamp(day): transferred_usd([each for each in events if each.session == day]) for day in days}


def _newest(ledger: Ledger, book: str, today: dt.date) -> dt.date:
    """Return the newest session of a book on record; today without one."""
    sessions = ledger.equity(book)["session"]
    return sessions.max().date() if len(sessions) else today


def _champion(registry: Registry) -> tuple[dt.datetime | None, str]:
    """Return when the champion was registered; None with the reason when that cannot be said."""
    try:
        registered_at = registry.champion_registered_at()
    except DeskError as error:
        return None, str(error)
    return registered_at, "" if registered_at else "No model decides: no champion is registered."
