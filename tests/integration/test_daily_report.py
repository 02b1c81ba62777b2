"""The evening's mail from the ledger through a real SMTP conversation."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from structlog.testing import capture_logs

from core.frames import TRADES
from pipeline.bars import VIX
from pipeline.execution import daily_report, daily_trade
from pipeline.execution.evening_mails import evening_mail
from pipeline.resources import Resources
from pipeline.risk import kill_switch
from tests.standins.feed import walk
from tests.standins.mail import mail_server
from trading.brokers.placing import place
from trading.orders import entry_order
from trading.risk_manager import CORRELATION_WARNING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings
    from tests.standins.mail import Inbox

pytestmark = pytest.mark.integration
START, DECIDED, DAY = dt.date(2018, 1, 3), dt.date(2018, 12, 26), dt.date(2018, 12, 27)


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    with mail_server() as found:
        yield found


@pytest.fixture
def desk(database_settings: Settings, inbox: tuple[Inbox, int]) -> Resources:
    """A desk that entered AAA at the open of the day, and was refused BBB."""
    mail = {
        "mail__host": "127.0.0.1",
        "mail__port": inbox[1],
        "mail__recipients": ("ops@desk.test",),
        "universe": ("AAA", "BBB"),
    }
    made = Resources(database_settings.with_changes(**mail), clock=lambda: dt.datetime(2019, 1, 2, tzinfo=dt.UTC))
    for name in ("AAA", "BBB", VIX):
        made.bars.write(walk(name, START, DAY), source="test", ingested_at=made.clock(), backfilled=True)
    order = entry_order(
        "main", made.strategies[0].name, "AAA", decision_session=DECIDED, session=DAY, signed_quantity=10.0, stop_pct=30.0,
        target_pct=30.0, max_sessions=None,
    )  # fmt: skip
    place(made.ledger, made.broker, [order])
    daily_trade.settle(DAY.isoformat(), resources=made)
    row = {"portfolio": "main", "strategy": made.strategies[0].name, "session": DAY}
    warned = {"symbol": "AAA", "reason": CORRELATION_WARNING}
    made.ledger.save_risk_events([row | {"symbol": "BBB", "reason": "filter"}, row | warned])
    daily_trade.record(DAY.isoformat(), resources=made)
    return made


def test_the_evening_is_mailed_as_text_and_html(desk: Resources, inbox: tuple[Inbox, int]) -> None:
    kill_switch.halt("looked odd", "ana", resources=desk)
    difference = {"rule": "cash", "subject": "cash", "expected": "1 USD", "found": "2 USD", "resolution": "look"}
    desk.reconciliations.add(portfolio="main", session=DAY, broker="paper", differences=[difference], halted=False)

    sent = daily_report.send(DAY.isoformat(), resources=desk)

    assert sent.sent
    mail = inbox[0].mails[-1]
    assert " ".join(mail["Subject"].split()).startswith("[WARNING] 2018-12-27: 2 to look at, ")
    plain, page = (part.get_payload(decode=True).decode() for part in mail.walk() if not part.is_multipart())  # type: ignore[union-attr]
    for text in (plain, page):
        assert "halted by ana" in text
        assert "cash: 1 USD here, 2 USD there." in text
        assert "buy 10 AAA at" in text
        assert "filter: BBB" in text
        assert CORRELATION_WARNING not in text, "an entry that goes on is not refused"
    close = walk("AAA", START, DAY)["close"].iloc[-1]
    assert f"close {close:,.2f}" in plain
    assert "<th" in page


def test_the_mail_has_a_few_criteria_once_a_trade_is_finished(desk: Resources) -> None:
    assert daily_report.evening_of(desk, DAY.isoformat()).scorecard == []
    trade = {
        "strategy": "bollinger", "symbol": "AAA", "side": 1, "decision_session": DECIDED, "entry_session": DECIDED,
        "exit_session": DAY, "quantity": 1.0,
        "entry_price": 100.0, "exit_price": 102.0, "gross_return": 0.02, "net_return": 0.019, "pnl_usd": 1.9, "cost_usd": 0.1,
        "holding_sessions": 2, "reason": "target",
    }  # fmt: skip
    desk.ledger.save_trades("main", TRADES.coerce(pd.DataFrame([trade])))

    lines = daily_report.evening_of(desk, DAY.isoformat()).scorecard

    assert [line.partition(":")[0] for line in lines] == ["Profit a trade", "Sharpe ratio", "Max drawdown", "Win rate"]
    assert lines[0].startswith("Profit a trade: 1.90 %, asked at least 1 %: not enough (1 of the 20 observations")


def test_without_a_server_the_mail_is_stored_and_the_log_names_its_file(desk: Resources) -> None:
    silent = Resources(desk.settings.with_changes(mail__host=None), clock=desk.clock)

    with capture_logs() as logs:
        assert daily_report.send(DAY.isoformat(), resources=silent).sent is False

    evening = daily_report.evening_of(silent, DAY.isoformat())
    assert evening.attention == []
    assert [each.symbol for each in evening.positions] == ["AAA"]
    assert evening.equity_usd == pytest.approx(desk.ledger.equity("main")["equity_usd"].iloc[-1])
    [line] = [each for each in logs if each["event"] == "alert_not_sent"]
    assert (line["log_level"], line["reason"]) == ("info", "MAIL__HOST not set")
    assert "body" not in line
    assert "Held at the close" in Path(line["file"]).read_text()
    stored = evening_mail(silent.data_dir, "main", DAY)
    assert stored is not None
    assert (stored.subject, stored.sent_at) == (f"[INFO] {evening.subject}", None)


def test_a_mail_is_stored_as_it_was_sent(desk: Resources, inbox: tuple[Inbox, int]) -> None:
    daily_report.send(DAY.isoformat(), resources=desk)

    stored = evening_mail(desk.data_dir, "main", DAY)
    assert stored is not None
    mail = inbox[0].mails[-1]
    plain, page = (part.get_payload(decode=True).decode() for part in mail.walk() if not part.is_multipart())  # type: ignore[union-attr]
    assert " ".join(mail["Subject"].split()) == stored.subject
    assert plain.replace("\r\n", "\n") == stored.text
    assert page.rstrip() == stored.html
    assert stored.sent_at == desk.clock()
    files = {path.name: path.read_text() for path in (desk.data_dir / "mails").iterdir()}
    assert sorted(files) == ["main-2018-12-27.html", "main-2018-12-27.json", "main-2018-12-27.txt"]
    assert (files["main-2018-12-27.txt"], files["main-2018-12-27.html"]) == (stored.text, stored.html)


def test_a_mail_that_was_sent_stays_until_another_is_sent(desk: Resources) -> None:
    daily_report.send(DAY.isoformat(), resources=desk)
    before = evening_mail(desk.data_dir, "main", DAY)
    kill_switch.halt("looked odd", "ana", resources=desk)
    silent = Resources(desk.settings.with_changes(mail__host=None), clock=desk.clock)

    with capture_logs() as logs:
        daily_report.send(DAY.isoformat(), again=True, resources=silent)

    assert evening_mail(desk.data_dir, "main", DAY) == before
    assert ["halted by ana" in each["body"] for each in logs if each["event"] == "alert_not_sent"] == [True]
