"""Every task of `trading_execution` run twice, cleared, run for old sessions: no row changes, nothing is sent, nobody is told.

The desk trades two weeks on the paper broker, on a real PostgreSQL, with the steps that the scheduler calls. Three
tables are logs that a rerun adds to: each reconciliation, each measurement of the gap and each run of a step. What was in them
stays.
"""

from __future__ import annotations

import ast
import contextlib
import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import sqlalchemy as sa

from core.models import Leg
from core.sessions import sessions_between
from pipeline.bars import VIX
from pipeline.execution import daily_report
from pipeline.resources import Resources
from storage import schema  # noqa: F401  # declares every table
from storage.columns import metadata
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn
from tests.standins.evening import EVENING, run_task
from tests.standins.evidence import vouch
from tests.standins.feed import walk
from tests.standins.mailbox import OneChannel
from tests.standins.predictions import PredictionStandIn
from trading.strategies.registry import make_strategy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from core.settings import Settings

pytestmark = pytest.mark.integration
DAG = Path(__file__).resolve().parents[2] / "dags/trading_execution.py"
LOGS = {"reconciliations", "parity_days", "evening_steps"}
LEASES = "executor_leases"  # who works on the portfolio now: no record of what was traded
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
START, END, FIRST, LAST = dt.date(2018, 6, 1), dt.date(2018, 10, 8), dt.date(2018, 9, 4), dt.date(2018, 9, 17)
LOADED = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
MONDAY = dt.date(2026, 11, 23)
SESSIONS = [stamp.date() for stamp in sessions_between(FIRST, LAST)]
Rows = dict[str, list[tuple[Any, ...]]]


@dataclass
class Mailbox(OneChannel):
    """Keeps what would be mailed."""

    subjects: list[str] = field(default_factory=list)

    def send(self, subject: str, body: str, severity: str = "warning", **_: Any) -> bool:
        del body, severity
        self.subjects.append(subject)
        return True


@dataclass
class Desk:
    """A paper desk and the API that it asks."""

    resources: Resources
    api: PredictionStandIn
    mailbox: Mailbox

    def step(self, name: str, day: dt.date) -> Any:
        return run_task(name, day, self.resources)

    def live(self, day: dt.date) -> None:
        """The evening of a session."""
        self.api.session = day.isoformat()
        for name in EVENING:
            self.step(name, day)

    def rows(self) -> Rows:
        """Everything in the schema `trading`, the newest row last."""
        found: Rows = {}
        with self.resources.engine.connect() as connection:
            for table in metadata.sorted_tables:
                if table.schema == "trading" and table.name != LEASES:
                    rows = connection.execute(sa.select(table).order_by(*table.primary_key.columns))
                    found[table.name] = [tuple(map(str, row)) for row in rows]
        return found


def unchanged(before: Rows, after: Rows) -> None:
    """Every table as it was; the logs begin as they were."""
    for name, rows in before.items():
        assert (after[name][: len(rows)] if name in LOGS else after[name]) == rows, name


@contextlib.contextmanager
def ready(settings: Settings) -> Iterator[Desk]:
    """The bars are there, and nothing has been traded; 0.2 % under the peak is mailed."""
    with PredictionStandIn() as api:
        changes = {"universe": SYMBOLS, "api__url": api.url, "monitor__drawdown_alert_pct": 0.2}
        resources = Resources(settings.with_changes(**changes), clock=lambda: LOADED)
        resources.__dict__["strategies"] = (make_strategy("bollinger", {"deviations": 1.0}),)
        resources.__dict__["alerts"] = mailbox = Mailbox()
        walks = [walk(name, START, END, seed=3) for name in SYMBOLS]
        walks.append(walk(VIX, START, END).assign(**dict.fromkeys(["open", "high", "low", "close", "adj_close"], 20.0)))
        resources.bars.write(pd.concat(walks, ignore_index=True), source="walk", ingested_at=LOADED, backfilled=True)
        vouch(resources.engine, pd.concat(walks), first=SESSIONS[0])
        yield Desk(resources, api, mailbox)
        resources.engine.dispose()


@pytest.fixture
def desk(database_settings: Settings) -> Iterator[Desk]:
    with ready(database_settings) as made:
        yield made


@pytest.fixture(scope="module")
def lived(module_settings: Settings) -> Iterator[Desk]:
    """A desk that has lived through every evening once."""
    with ready(module_settings) as made:
        for day in SESSIONS:
            made.live(day)
        assert_something_happened(made)
        yield made


def test_the_steps_here_are_those_of_the_dag_in_their_order() -> None:
    functions = [node for node in ast.parse(DAG.read_text()).body if isinstance(node, ast.FunctionDef)]

    assert [node.name for node in functions] == [*EVENING, "trading_execution"]


def test_each_step_run_twice_in_a_row_and_then_the_whole_evening_changes_nothing(desk: Desk) -> None:
    grown: set[str] = set()
    for day in SESSIONS[:6]:
        desk.api.session = day.isoformat()
        for name in EVENING:
            desk.step(name, day)
            first, told = desk.rows(), list(desk.mailbox.subjects)

            desk.step(name, day)

            unchanged(first, again := desk.rows())
            assert desk.mailbox.subjects == told, name
            grown |= {table for table in LOGS if len(again[table]) > len(first[table])}

        desk.live(day)

        unchanged(again, desk.rows())
        assert desk.mailbox.subjects == told
    assert grown == LOGS, "the logs that a rerun adds to"
    assert_something_happened(desk, SESSIONS[:6])


def test_an_old_session_run_again_once_later_ones_are_on_record_changes_nothing(lived: Desk) -> None:
    before, told = lived.rows(), list(lived.mailbox.subjects)

    for day in reversed(SESSIONS[:-1]):
        for name in EVENING:
            lived.step(name, day)

    unchanged(before, lived.rows())
    assert lived.mailbox.subjects == told


def test_the_evening_is_mailed_again_when_a_person_asks(lived: Desk) -> None:
    told = len(lived.mailbox.subjects)
    old, newest = (day.isoformat() for day in (SESSIONS[0], SESSIONS[-1]))

    assert daily_report.send(newest, resources=lived.resources).reason == "sent before, and nothing has changed"
    assert daily_report.send(old, resources=lived.resources).reason == "a later session is on record"
    assert daily_report.send(newest, again=True, resources=lived.resources).sent
    assert daily_report.send(old, again=True, resources=lived.resources).sent

    assert len(lived.mailbox.subjects) == told + 2


def test_bars_that_were_revised_and_another_model_do_not_change_an_old_session(lived: Desk) -> None:
    """A stop that the corrected bar of an old session would have hit is not booked weeks later."""
    held = {position.symbol: position.entry_session for position in lived.resources.ledger.positions("main")}
    assert min(held.values()) < LAST, "nothing held for long proves nothing"
    worse = pd.concat([walk(name, START, END, seed=3) for name in SYMBOLS], ignore_index=True)
    worse[["open", "high", "low", "close", "adj_close"]] *= 0.5
    lived.resources.bars.write(worse, source="walk", ingested_at=LOADED + dt.timedelta(days=1))
    before = lived.rows()

    for day in SESSIONS[:-1]:
        lived.api.session, lived.api.model_version = day.isoformat(), "2"  # as after a materialisation for that day
        for name in EVENING:
            lived.step(name, day)

    unchanged(before, lived.rows())
    assert {position.symbol: position.entry_session for position in lived.resources.ledger.positions("main")} == held


def test_a_missed_session_run_late_decides_nothing(desk: Desk) -> None:
    missed = SESSIONS[2]
    for day in (*SESSIONS[:2], SESSIONS[3]):
        desk.live(day)
    before, told = desk.rows(), list(desk.mailbox.subjects)

    said = {name: desk.step(name, missed) for name in ("find_candidates", "predict", "place", "record", "mail")}

    unchanged(before, desk.rows())
    assert {each.reason for each in said.values()} == {"a later session is on record"}
    assert desk.mailbox.subjects == told


def test_until_something_is_ordered_a_session_may_be_decided_again(desk: Desk) -> None:
    """The bars came late, or the API was down: the chain is cleared the same evening, and now there are entries."""
    day = next(day for day in SESSIONS if entries_at(desk, day))
    desk.api.session = "2018-01-02"  # of another session: no prediction is used
    for name in EVENING:
        desk.step(name, day)
    assert desk.resources.ledger.orders_decided("main", day) == []
    told = len(desk.mailbox.subjects)

    desk.live(day)

    assert [order.leg for order, _ in desk.resources.ledger.orders_decided("main", day)][:1] == [Leg.ENTRY]
    assert len(desk.mailbox.subjects) == told + 1, "what has changed is mailed"


def test_a_mail_that_no_server_took_is_sent_when_one_does(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setattr(desk.mailbox, "send", lambda *_, **__: False)
        desk.live(SESSIONS[0])

    assert daily_report.send(SESSIONS[0].isoformat(), resources=desk.resources).sent


def entries_at(desk: Desk, day: dt.date) -> int:
    bars = desk.resources.bars.read(list(SYMBOLS), end=day)
    rows = [
        desk.resources.strategies[0].signals(part.assign(vix=20.0).reset_index(drop=True)).iloc[-1]
        for _, part in bars.groupby("symbol")
    ]
    return sum(int(row["entry"]) != 0 for row in rows)


def assert_something_happened(desk: Desk, sessions: Sequence[dt.date] = SESSIONS) -> None:
    """Entries, exits, refusals and mails, or the comparison of nothing with nothing proves nothing."""
    legs = [order.leg for order, _ in desk.resources.ledger.fills("main")]
    assert min(legs.count(Leg.ENTRY), legs.count(Leg.EXIT)) > 2
    assert len(desk.resources.ledger.risk_events("main")) > 2
    assert len([subject for subject in desk.mailbox.subjects if subject[:4] == "2018"]) == len(sessions)
    assert [subject for subject in desk.mailbox.subjects if "under its peak" in subject]


def test_an_evening_cleared_the_next_morning_at_a_venue_sends_and_changes_nothing(database_settings: Settings) -> None:
    """The entries have filled at the open by then: the account is worth something else, and nothing may be decided anew."""
    evening = dt.datetime(2026, 11, 23, 22, tzinfo=dt.UTC)
    morning = evening + dt.timedelta(hours=17)
    with PredictionStandIn() as api, AlpacaStandIn() as alpaca:
        desk = at_alpaca(database_settings, api, alpaca)
        exchange = alpaca.exchange
        exchange.clock_ahead, exchange.is_open = evening - dt.datetime.now(dt.UTC), False
        desk.live(MONDAY)
        closed = desk.resources.ledger.equity("main")
        exchange.clock_ahead = morning - dt.datetime.now(dt.UTC)
        exchange.open_market()
        for symbol in SYMBOLS:
            exchange.trade(symbol, "80")
        desk.step("settle", MONDAY)  # brings in what the open filled
        assert {position.entry_session for position in desk.resources.ledger.positions("main")} == {dt.date(2026, 11, 24)}
        before, told, sent = desk.rows(), list(desk.mailbox.subjects), len(alpaca.bodies)

        desk.live(MONDAY)

        unchanged(before, desk.rows())
        assert (len(alpaca.bodies), desk.mailbox.subjects) == (sent, told)
        assert sent == len([order for order, _ in desk.resources.ledger.orders_decided("main", MONDAY)]) > 1
        pd.testing.assert_frame_equal(desk.resources.ledger.equity("main"), closed)
        desk.resources.engine.dispose()


def at_alpaca(settings: Settings, api: PredictionStandIn, alpaca: AlpacaStandIn) -> Desk:
    """A desk at Alpaca on a Monday evening, after a session in which everything fell under its band."""
    start = MONDAY - dt.timedelta(days=120)
    values = {
        "provider": "yfinance", "venue__kind": "alpaca", "venue__alpaca__api_key": KEY, "venue__alpaca__secret_key": SECRET,
        "venue__alpaca__url": alpaca.url, "venue__alpaca__brackets": False, "universe": ",".join(SYMBOLS), "api__url": api.url,
    }  # fmt: skip
    resources = Resources(settings.with_changes(**values), clock=alpaca.exchange.now)
    resources.__dict__["strategies"] = (make_strategy("bollinger", {"deviations": 1.0}),)
    resources.__dict__["alerts"] = mailbox = Mailbox()
    prices = ["open", "high", "low", "close", "adj_close"]
    walks = []
    for name in SYMBOLS:
        walks.append(walk(name, start, MONDAY))
        walks[-1].loc[walks[-1].index[-1], prices] *= 0.9
        alpaca.exchange.list_asset(name, f"{walks[-1]['close'].iloc[-1]:.2f}")
    walks.append(walk(VIX, start, MONDAY).assign(**dict.fromkeys(prices, 20.0)))
    known = dt.datetime(2026, 11, 23, 21, 30, tzinfo=dt.UTC)
    resources.bars.write(pd.concat(walks, ignore_index=True), source="walk", ingested_at=known, backfilled=True)
    vouch(resources.engine, pd.concat(walks), first=known.date())
    return Desk(resources, api, mailbox)
