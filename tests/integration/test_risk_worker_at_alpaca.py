"""The risk worker flattens a breached portfolio at Alpaca's stand-in: over real sockets, brackets and faults included."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from core.models import FINAL, OrderType
from core.sessions import last_closed_session, next_session
from pipeline.resources import Resources, utc_now
from pipeline.risk import kill_switch, monitor
from pipeline.risk.monitor import check_portfolio
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn, Fault
from tests.standins.feed import walk
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
        "broker": "alpaca",
        "alpaca_api_key": KEY,
        "alpaca_secret_key": SECRET,
        "alpaca_url": alpaca.url,
        "broker_timeout_seconds": 0.5,
        "broker_deadline_seconds": 0.1,
        "risk_mode": "enforce",
    }
    resources = Resources(database_settings.__class__(_env_file=None, **database_settings.model_dump() | values))
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
