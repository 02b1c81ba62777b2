"""The risk worker flattens a breached portfolio at Alpaca's stand-in: over real sockets, brackets and faults included."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from core.models import FINAL, Leg, OrderType, Side
from core.sessions import last_closed_session, next_session
from pipeline.resources import Resources, utc_now
from pipeline.risk import kill_switch, monitor
from pipeline.risk.monitor import check_portfolio
from pipeline.risk.pre_send import risk_checks
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn, Fault
from tests.standins.feed import walk
from tests.standins.mailbox import OneChannel
from trading.brokers.intake import collect
from trading.brokers.placing import place
from trading.orders import entry_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.models import OrderIntent
    from core.settings import Settings
    from storage.trading.heartbeats import Heartbeat

pytestmark = pytest.mark.integration
YESTERDAY = last_closed_session(utc_now())


@pytest.fixture
def alpaca() -> Iterator[AlpacaStandIn]:
    with AlpacaStandIn() as stand_in:
        for symbol in ("AAPL", "MSFT"):
            stand_in.exchange.list_asset(symbol, "100")
        yield stand_in


@pytest.fixture
def desk(database_settings: Settings, alpaca: AlpacaStandIn) -> Iterator[Resources]:
    values = {
        "provider": "yfinance",
        "venue__kind": "alpaca",
        "venue__alpaca__api_key": KEY,
        "venue__alpaca__secret_key": SECRET,
        "venue__alpaca__url": alpaca.url,
        "venue__timeout_seconds": 0.5,
        "venue__deadline_seconds": 0.1,
        "monitor__mode": "enforce",
    }
    resources = Resources(database_settings.with_changes(**values))
    for symbol in ("AAPL", "MSFT"):
        bars = walk(symbol, YESTERDAY - dt.timedelta(days=500), YESTERDAY)
        resources.bars.write(bars, source="test", ingested_at=utc_now(), backfilled=True)
    yield resources
    resources.engine.dispose()


def entry(symbol: str, quantity: float) -> OrderIntent:
    return entry_order(
        "main", "bollinger", symbol, decision_session=YESTERDAY, session=next_session(YESTERDAY),
        signed_quantity=quantity, stop_pct=40.0, target_pct=40.0, max_sessions=5,
    )  # fmt: skip


def breach(desk: Resources, alpaca: AlpacaStandIn) -> OrderIntent:
    """Hold 300 AAPL behind a bracket and a purchase of MSFT that rests, then let AAPL fall; returns the resting order."""
    resting = replace(entry("MSFT", 10.0), order_type=OrderType.LIMIT, limit_price=Decimal(50))
    place(desk.ledger, desk.broker, [entry("AAPL", 300.0), resting])
    alpaca.exchange.trade("AAPL", "100")
    collect(desk.ledger, desk.broker, "main", utc_now() - dt.timedelta(days=1))
    heartbeat, done = check_portfolio(resources=desk)
    assert (heartbeat.level, done, heartbeat.positions) == ("ok", None, 1)
    alpaca.exchange.trade("AAPL", "90")  # 3 % of equity; the stop is at 60
    return resting


def work(desk: Resources, *, looks: int = 12) -> list[Heartbeat]:
    """The worker's own loop, until nothing is held."""
    seen: list[Heartbeat] = []
    stop = threading.Event()

    def note(heartbeat: Heartbeat) -> None:
        seen.append(heartbeat)
        if len(seen) >= looks or (heartbeat.positions == 0 and heartbeat.level != "ok"):
            stop.set()

    timer = threading.Timer(60.0, stop.set)
    timer.start()
    monitor.watch_portfolio(stop, interval_seconds=0.02, on_check=note, resources=desk)
    timer.cancel()
    return seen


def sales(alpaca: AlpacaStandIn) -> list[Decimal]:
    return [order.qty for order in alpaca.exchange.orders.values() if order.side == "sell" and order.parent is None]


def test_a_breached_portfolio_is_halted_cancelled_and_flattened(desk: Resources, alpaca: AlpacaStandIn) -> None:
    resting = breach(desk, alpaca)
    before = len(alpaca.requests)

    seen = work(desk)

    assert [heartbeat.level for heartbeat in seen] == ["halt", "halt", "halt"]
    assert seen[0].breaches["drawdown"]["found"] == pytest.approx(3.0, abs=0.01)
    assert alpaca.exchange.held.get("AAPL", (Decimal(0),))[0] == 0
    assert desk.ledger.positions("main") == []
    assert desk.ledger.open_orders("main") == []
    assert desk.broker.open_orders() == []
    assert sales(alpaca) == [Decimal(300)]
    assert str(kill_switch.halt_reason(resources=desk)).startswith("halted by risk-worker")
    known = desk.ledger.order(resting.client_order_id)
    assert known is not None
    assert known[1] in FINAL
    changes = [method for method, path in alpaca.requests[before:] if method != "GET" and path.startswith("/v2/orders")]
    assert changes.count("POST") == 1
    assert changes[0] == "DELETE", "cancelled before anything is sold"
    assert changes[-1] == "POST"


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("POST", Fault.no_answer(performs=True)),
        ("POST", Fault.no_answer(performs=False)),
        ("POST", Fault.dropped(performs=True)),
        ("POST", Fault.broken(502, performs=True)),
        ("POST", Fault.too_many(0.02)),
        ("DELETE", Fault.no_answer(performs=True)),
        ("DELETE", Fault.broken(503, performs=False)),
    ],
    ids=["sent, no answer", "lost, no answer", "sent, cut", "sent, 502", "429", "cancelled, no answer", "not cancelled, 503"],
)
def test_a_venue_in_trouble_ends_flat_and_sold_once(desk: Resources, alpaca: AlpacaStandIn, method: str, fault: Fault) -> None:
    breach(desk, alpaca)
    alpaca.fail(method, "/v2/orders", fault)

    work(desk)

    assert desk.ledger.positions("main") == []
    assert alpaca.exchange.held.get("AAPL", (Decimal(0),))[0] == 0
    assert sales(alpaca) == [Decimal(300)]


ABSURD = ["0", "-5000", "NaN", "Infinity", "-Infinity", None, "", "1.7976931348623157E308", "1.00", "30000", "100000000"]


@pytest.mark.parametrize("equity", ABSURD)
def test_an_equity_that_cannot_be_is_mailed_blocks_entries_and_sells_nothing(
    desk: Resources, alpaca: AlpacaStandIn, equity: str | None
) -> None:
    place(desk.ledger, desk.broker, [entry("AAPL", 300.0)])
    alpaca.exchange.trade("AAPL", "100")
    collect(desk.ledger, desk.broker, "main", utc_now() - dt.timedelta(days=1))
    kept = Mailbox()
    desk.alerts = kept  # type: ignore[assignment]
    before, _ = check_portfolio(resources=desk)
    alpaca.exchange.account_says = {"equity": equity}

    looks = [check_portfolio(resources=desk) for _ in range(3)]

    assert [(look.heartbeat.level, look.flattening) for look in looks] == [("alert", None)] * 3
    assert kill_switch.halt_reason(resources=desk) is None
    assert sales(alpaca) == []
    assert [subject for subject, _, _ in kept.mails] == ["The equity of main is not believed"], "mailed once"
    assert looks[-1].heartbeat.equity_usd == before.equity_usd, "the last figure that was believed"
    refusal = risk_checks(resources=desk)(entry("MSFT", 1.0))
    assert refusal is not None
    assert refusal.startswith("heartbeat: the risk worker does not believe the equity: expected ")
    assert risk_checks(resources=desk)(replace(entry("AAPL", 300.0), leg=Leg.EXIT, side=Side.SELL)) is None

    alpaca.exchange.account_says = {}
    after, done = check_portfolio(resources=desk)

    assert (after.level, done, after.peak_usd) == ("ok", None, before.peak_usd), "no peak was made of it"
    again = risk_checks(resources=desk)(entry("MSFT", 1.0)) or ""
    assert not again.startswith("heartbeat")


def test_a_person_who_resumes_takes_the_equity_as_it_is(desk: Resources, alpaca: AlpacaStandIn) -> None:
    check_portfolio(resources=desk)
    alpaca.exchange.cash = Decimal(40_000)
    assert check_portfolio(resources=desk).heartbeat.level == "alert"

    kill_switch.resume("60,000 were taken out", "a person", resources=desk)
    heartbeat, _ = check_portfolio(resources=desk)

    assert (heartbeat.level, heartbeat.equity_usd, heartbeat.peak_usd) == ("ok", 40_000.0, 40_000.0)


def test_a_breach_is_no_second_look_when_the_one_between_could_not_be_read(desk: Resources, alpaca: AlpacaStandIn) -> None:
    breach(desk, alpaca)
    first, _ = check_portfolio(resources=desk)
    alpaca.exchange.account_says = {"equity": "0"}
    second, done = check_portfolio(resources=desk)
    alpaca.exchange.account_says = {}
    third, later = check_portfolio(resources=desk)

    assert [first.level, second.level, third.level] == ["halt", "alert", "halt"]
    assert (done, later) == (None, None), "two looks in a row must see it"
    assert work(desk)[-1].positions == 0


@dataclass
class Mailbox(OneChannel):
    """Keeps what would be mailed."""

    mails: list[tuple[str, str, str]] = field(default_factory=list)

    def send(self, subject: str, body: str, severity: str = "warning") -> bool:
        self.mails.append((subject, body, severity))
        return True
