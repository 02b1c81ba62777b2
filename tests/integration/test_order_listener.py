"""`desk listen` as a process of its own: Alpaca's stand-in on one side, the ledger in PostgreSQL on the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from core.errors import ConfigError
from core.models import OrderState
from pipeline.execution import service_status as status
from pipeline.execution.order_listener import last_beat, listen
from pipeline.resources import Resources
from pipeline.risk import kill_switch
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn
from tests.standins.venues import QUICK, entry
from trading.brokers.placing import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture
def alpaca() -> Iterator[AlpacaStandIn]:
    with AlpacaStandIn() as stand_in:
        stand_in.exchange.list_asset("AAPL", "100")
        yield stand_in


@pytest.fixture
def desk(database_settings: Settings, alpaca: AlpacaStandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Resources]:
    values = {
        "venue__kind": "alpaca",
        "venue__alpaca__api_key": KEY,
        "venue__alpaca__secret_key": SECRET,
        "venue__alpaca__url": alpaca.url,
        "venue__alpaca__stream_url": alpaca.stream_url,
    }
    resources = Resources(database_settings.with_changes(**values))
    monkeypatch.setattr(resources, "last_close", lambda _symbol: 100.0)
    yield resources
    resources.engine.dispose()


@contextmanager
def started(desk: Resources, alpaca: AlpacaStandIn, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The verb in a process of its own; killed at the end if it is still there."""
    assert desk.settings.database.url is not None
    settings = desk.settings
    environment = {
        "VENUE__KIND": "alpaca",
        "VENUE__ALPACA__API_KEY": KEY,
        "VENUE__ALPACA__SECRET_KEY": SECRET,
        "VENUE__ALPACA__URL": alpaca.url,
        "VENUE__ALPACA__STREAM_URL": alpaca.stream_url,
        "DATABASE__URL": settings.database.url.get_secret_value(),
        "DATABASE__NAME": settings.database.name,
        "DATA_DIR": str(settings.data_dir),
        "LOG_LEVEL": "DEBUG",
    }
    command = [sys.executable, "-m", "desk", "listen", "--poll-seconds", "3600", *options]
    with subprocess.Popen(
        command,
        cwd=settings.data_dir,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def listening(desk: Resources, alpaca: AlpacaStandIn) -> Iterator[subprocess.Popen[str]]:
    """The same, once it listens."""
    before = alpaca.streams_opened
    with started(desk, alpaca) as process:
        until(lambda: alpaca.streams_opened > before and bool(alpaca._streams), 30)
        yield process


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def quantity(desk: Resources) -> Decimal:
    return sum((position.quantity for position in desk.ledger.positions("main")), Decimal(0))


def test_fills_come_into_the_ledger_as_they_happen_and_those_missed_while_it_was_dead(
    desk: Resources, alpaca: AlpacaStandIn
) -> None:
    order = entry(10, stop_pct=5, target_pct=10)
    alpaca.exchange.is_open = False
    with listening(desk, alpaca) as process:
        assert place(desk.ledger, desk.broker, [order], patience=QUICK) == {order.client_order_id: OrderState.ACCEPTED}
        alpaca.exchange.open_market()
        until(lambda: quantity(desk) == 10)
        stop = Decimal("95.00")  # of the fill; until the listener moves it, it rests behind a gap
        until(lambda: stop in {leg.stop_price for leg in alpaca.exchange.by_client_id(order.client_order_id).legs})
        process.kill()  # SIGKILL: no handler runs

    alpaca.exchange.trade("AAPL", "94.90")  # the stop, while nobody listens
    assert quantity(desk) == 10

    with listening(desk, alpaca) as process:
        until(lambda: quantity(desk) == 0)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=15)

    assert process.returncode == 0
    assert not any(part in said for secret in (KEY, SECRET) for part in (secret, secret[:10], secret[-10:]))
    known = desk.ledger.order(order.client_order_id)
    assert known is not None
    assert known[1] is OrderState.FILLED
    fills = [(order.leg, fill.quantity, fill.price, fill.reason) for order, fill in desk.ledger.fills("main")]
    assert fills == [("entry", 10, 100, "order"), ("exit", 10, Decimal("94.90"), "stop")]
    assert desk.ledger.cash_flow_usd("main") == desk.broker.cash_usd() - 100_000 == Decimal("-51.00")


def test_what_contradicts_the_ledger_halts_the_desk(desk: Resources, alpaca: AlpacaStandIn) -> None:
    order = entry(10)
    with listening(desk, alpaca) as process:
        place(desk.ledger, desk.broker, [order], patience=QUICK)
        until(lambda: quantity(desk) == 10)

        alpaca.exchange.emit("trade_bust", alpaca.exchange.by_client_id(order.client_order_id))
        said, _ = process.communicate(timeout=15)

    assert process.returncode == 1
    assert "StopTrading" in said
    standing = kill_switch.halt_reason(resources=desk)
    assert standing is not None
    assert "took back or corrected a trade in AAPL" in standing
    assert kill_switch.ORDER_LISTENER in standing


def test_started_again_after_that_it_waits_for_a_person_and_then_listens(desk: Resources, alpaca: AlpacaStandIn) -> None:
    kill_switch.halt("took back a trade in AAPL", kill_switch.ORDER_LISTENER, resources=desk)
    with started(desk, alpaca) as process:
        assert process.stdout is not None
        until(lambda: "listener_waits" in str(process.stdout and process.stdout.readline()), 30)
        time.sleep(0.5)
        assert alpaca.streams_opened == 0, "it would find the same again"
        assert last_beat(desk.data_dir, desk.settings.portfolio) is None

        kill_switch.resume("settled by hand", "ana", resources=desk)
        until(lambda: last_beat(desk.data_dir, desk.settings.portfolio) is not None, 30)
        assert status.order_listener(resources=desk).detail.endswith("connections: 1")

        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0

    assert halts_of(desk) == [True, False], "one halt, one mail, one person"


def test_one_that_waits_for_a_person_ends_when_told_to(desk: Resources, alpaca: AlpacaStandIn) -> None:
    kill_switch.halt("took back a trade in AAPL", kill_switch.ORDER_LISTENER, resources=desk)
    with started(desk, alpaca) as process:
        assert process.stdout is not None
        until(lambda: "listener_waits" in str(process.stdout and process.stdout.readline()), 30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0


def test_without_a_stream_it_fails_or_waits_where_a_supervisor_starts_it_always(database_settings: Settings) -> None:
    paper, stop = Resources(database_settings), threading.Event()
    with pytest.raises(ConfigError, match="set VENUE__KIND=alpaca"):
        listen(stop=stop, resources=paper)

    waiting = threading.Thread(target=lambda: listen(when_needed=True, stop=stop, resources=paper), daemon=True)
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    stop.set()
    waiting.join(5)
    assert not waiting.is_alive()


def halts_of(desk: Resources) -> list[bool]:
    with desk.engine.connect() as connection:
        return list(connection.execute(sa.text("SELECT halted FROM trading.halts ORDER BY id")).scalars())
