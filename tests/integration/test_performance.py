"""A book's performance from a real ledger: what is read, what alerts, and what the risk worker and the evening's mail tell."""

from __future__ import annotations

import datetime as dt
import json
import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from core.book_events import BookEvent, BookEventKind
from core.errors import RetryLater
from core.frames import TRADES
from core.sessions import sessions_between
from monitoring.performance.expectation import Expectation
from monitoring.performance.sequential import Promise
from pipeline.bars import VIX
from pipeline.execution import daily_report, daily_trade
from pipeline.resources import Resources
from pipeline.risk import monitor
from pipeline.risk.performance import PerformanceReport, PerformanceWatch, watch_performance
from tests.standins.feed import walk
from tests.standins.mailbox import OneChannel
from trading.brokers.book_events import apply_event
from trading.brokers.placing import place
from trading.orders import entry_order

if TYPE_CHECKING:
    from core.settings import Settings
    from monitoring.performance.findings import Finding

pytestmark = pytest.mark.integration
FIRST, DAY = dt.date(2018, 9, 4), dt.date(2018, 12, 27)
SESSIONS = sessions_between(FIRST, DAY)
NOW = dt.datetime(2018, 12, 28, 2, tzinfo=dt.UTC)
PROMISED = Expectation(
    "",
    1000,
    500,
    Promise(0.01, 0.01, 500, 48),
    0.6,
    0.005,
    0.01,
    Promise(0.4, 1.0, 1000, 48),
    Promise(0.5, 0.7, 1000, 48),
    9.0,
    400,
)


@dataclass
class Mailbox(OneChannel):
    """Keeps what would be mailed."""

    mails: list[tuple[str, str, str]] = field(default_factory=list)

    def send(self, subject: str, body: str, severity: str = "warning") -> bool:
        self.mails.append((subject, severity, body.splitlines()[0]))
        return True


def trades_of(net: float) -> pd.DataFrame:
    """One trade every other session, closed two sessions later."""
    days = np.arange(0, len(SESSIONS) - 2, 2)
    frame = pd.DataFrame({name: pd.Series(1, index=days, dtype="int64") for name in TRADES.columns})
    frame["symbol"], frame["strategy"], frame["reason"] = "AAA", "rsi", "rule"
    frame["decision_session"] = frame["entry_session"] = SESSIONS[days]
    frame["exit_session"], frame["net_return"] = SESSIONS[days + 2], net
    return TRADES.coerce(frame)


@pytest.fixture
def desk(database_settings: Settings) -> Resources:
    """A desk whose book lost on every trade, and fell from 100,000 to 80,000 USD."""
    made = Resources(database_settings.with_changes(universe=("AAA",)), clock=lambda: NOW)
    made.alerts = Mailbox()  # type: ignore[assignment]
    for name in ("AAA", "BBB", VIX):
        made.bars.write(walk(name, dt.date(2018, 1, 3), DAY), source="test", ingested_at=NOW, backfilled=True)
    made.ledger.save_trades("main", trades_of(-0.005))
    for session, value in zip(SESSIONS, np.linspace(100_000.0, 80_000.0, len(SESSIONS)), strict=True):
        save_equity(made, session.date(), value)
    return made


def save_equity(desk: Resources, day: dt.date, value: float) -> None:
    row = {
        "portfolio": "main",
        "session": day,
        "cash_usd": float(value),
        "equity_usd": float(value),
        "exposure_usd": 0.0,
        "positions": 0,
    }
    desk.ledger.save_equity(row)


def by_kind(report: PerformanceReport) -> dict[str, Finding]:
    return {each.kind: each for each in report.findings}


def test_a_decayed_book_alerts_on_what_decayed(desk: Resources) -> None:
    report = watch_performance(expectations={"rsi": PROMISED}, resources=desk)
    found = by_kind(report)

    assert (report.book, report.session) == ("main", "2018-12-27")
    assert {kind for kind, each in found.items() if each.verdict == "alert"} == {"drawdown", "profit_per_trade", "sharpe"}
    assert (found["win_rate"].verdict, found["win_rate"].measured) == ("not enough", 0.0)  # too few trades, and shown
    assert found["drawdown"].measured == pytest.approx(20.0)
    assert found["profit_per_trade"].n == len(trades_of(0.0))
    assert (found["trade_frequency"].verdict, found["no_trade"].verdict) == ("ok", "ok")
    assert found["model_age"].verdict == "not enough"
    assert json.loads(json.dumps(report.as_dict()))["findings"][0]["kind"] == "model_age"


def test_without_a_backtest_the_comparisons_say_so(desk: Resources) -> None:
    found = by_kind(watch_performance(resources=desk))

    assert found["profit_per_trade"].text == found["sharpe"].text == "No backtest is on record."
    assert found["no_trade"].verdict == "not enough"


def test_an_earlier_session_counts_only_what_was_known_then(desk: Resources) -> None:
    early = SESSIONS[20].date()
    found = by_kind(watch_performance(expectations={"rsi": PROMISED}, session=early.isoformat(), resources=desk))

    assert found["drawdown"].n == 20
    assert found["no_trade"].measured == 0.0  # a trade entered that day was still open
    assert found["profit_per_trade"].n == int((trades_of(0.0)["exit_session"] <= SESSIONS[20]).sum())


def test_a_withdrawal_is_no_drawdown(desk: Resources) -> None:
    day = SESSIONS[-1].date()
    before = by_kind(watch_performance(resources=desk))["drawdown"].measured
    save_equity(desk, day, 30_000.0)
    out = BookEvent("w1", "main", BookEventKind.WITHDRAWAL, day, cash_usd=Decimal(-50_000), reason="paid out")
    apply_event(desk.ledger, out)

    assert by_kind(watch_performance(resources=desk))["drawdown"].measured == pytest.approx(before)


def test_two_positions_that_move_together_alert(desk: Resources) -> None:
    bars = desk.bars.read(["AAA"]).drop(columns=["known_at"], errors="ignore")
    desk.bars.write(bars.assign(symbol="TWIN"), source="test", ingested_at=NOW, backfilled=True)
    orders = [
        entry_order(
            "main", "rsi", symbol, decision_session=SESSIONS[-2].date(), session=DAY, signed_quantity=10.0, stop_pct=30.0,
            target_pct=30.0, max_sessions=None,
        )
        for symbol in ("AAA", "TWIN")
    ]  # fmt: skip
    place(desk.ledger, desk.broker, orders)
    daily_trade.settle(DAY.isoformat(), resources=desk)
    found = by_kind(watch_performance(resources=desk))["correlation"]

    assert found.verdict == "alert"
    assert "AAA/TWIN" in found.text


def test_an_empty_book_answers_every_check(database_settings: Settings) -> None:
    desk = Resources(database_settings, clock=lambda: NOW)
    report = watch_performance("nobody", resources=desk)

    assert report.alerts == []
    assert len(report.findings) == 8


def test_the_risk_worker_mails_an_alert_once_and_resolves_it_when_it_is_over(desk: Resources) -> None:
    now = [NOW]
    watch = PerformanceWatch.of(desk)
    watch.clock = lambda: now[0]
    first = watch.follow()
    save_equity(desk, DAY, 100_000.0)

    assert first is not None
    assert watch.follow() is None  # not due yet
    for value in (100_000.0, 80_000.0, 80_000.0):
        now[0] += dt.timedelta(seconds=desk.settings.performance.interval_seconds)
        save_equity(desk, DAY, value)
        assert watch.follow() is not None
    kept: Any = desk.alerts
    told = "The book is 20.0 % below its highest close (limit 15 %)."
    (alert,) = [each for each in desk.alert_log.read(kind="performance") if "drawdown" in each.key]
    assert (alert.repeats, alert.severity) == (1, "critical")
    mails = [mail for mail in kept.mails if "drawdown" in mail[0]]
    assert mails == [("Performance of the book: drawdown", "critical", told)] * 2, "once a life: the first look found one too"
    acknowledged = desk.alert_desk.acknowledge(alert.id, author="anna", reason="I look into it")
    assert acknowledged.state == "acknowledged"
    now[0] += dt.timedelta(seconds=desk.settings.performance.interval_seconds)
    save_equity(desk, DAY, 100_000.0)
    watch.follow()
    assert [each for each in desk.alert_log.read(kind="performance") if "drawdown" in each.key] == [], "resolved by itself"


def test_a_look_that_fails_is_tried_again(desk: Resources) -> None:
    def fail() -> PerformanceReport:
        raise RetryLater("the database is away")

    watch = PerformanceWatch(fail, desk.alert_desk, lambda: NOW, 0.0)
    assert watch.follow() is None
    watch.look = lambda: watch_performance(resources=desk)
    assert watch.follow() is not None


def test_the_risk_worker_looks_at_performance(desk: Resources, capsys: pytest.CaptureFixture[str]) -> None:
    stop = threading.Event()
    monitor.watch_portfolio(stop, interval_seconds=0.01, on_check=lambda _: stop.set(), resources=desk)

    assert "performance" in capsys.readouterr().out


def test_the_evenings_mail_has_a_section_and_names_what_needs_a_person(desk: Resources) -> None:
    evening = daily_report.evening_of(desk, DAY.isoformat())

    assert any("drawdown" in line for line in evening.attention)
    assert any(line.startswith("Not enough to judge: model age") for line in evening.performance)
    assert evening.performance[-1].endswith("of 8 checks in order.")
