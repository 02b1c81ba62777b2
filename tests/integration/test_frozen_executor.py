"""An executor is frozen between its look-up and its order while another one takes over: one order arrives, whichever woke when.

Real processes, stopped with SIGSTOP and woken with SIGCONT, at the stand-ins of both venues.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from core.errors import ExecutorBusy, RetryLater
from core.models import OrderState
from pipeline.execution import daily_trade
from pipeline.resources import Resources
from storage.engine import open_engine
from storage.locks import executor_lock
from storage.trading.ledger import Ledger
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn
from tests.standins.tws import TwsStandIn
from tests.standins.venues import entry
from trading.brokers.alpaca.broker import AlpacaBroker
from trading.brokers.alpaca.wire import AlpacaClient
from trading.brokers.ib.broker import IBBroker
from trading.brokers.ib.wire import IBWire
from trading.brokers.placing import Patience, place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.models import Answer, OrderIntent
    from core.settings import Settings
    from trading.brokers.base import Broker
    from trading.brokers.base import Fence as Check

pytestmark = pytest.mark.integration
HASTY = Patience(deadline_seconds=0.0, first_wait_seconds=0.01, longest_wait_seconds=0.01)
PATIENT = Patience(deadline_seconds=10.0, first_wait_seconds=0.05, longest_wait_seconds=0.2)
ORDER = entry(10, stop_pct=5)
SENT, BUSY = 0, 3  # how an executor ends


class Venue:
    """A stand-in, and what an executor makes of its address."""

    def __init__(self, stand_in: TwsStandIn | AlpacaStandIn) -> None:
        self.stand_in = stand_in
        stand_in.exchange.is_open = False
        stand_in.exchange.list_asset("AAPL", "100")

    def broker(self) -> Broker:
        if isinstance(self.stand_in, TwsStandIn):
            return IBBroker(IBWire("127.0.0.1", self.stand_in.port, 7, timeout_seconds=2.0), {"AAPL": 100.0}.get)
        client = AlpacaClient(SecretStr(KEY), SecretStr(SECRET), url=self.stand_in.url, timeout_seconds=2.0)
        return AlpacaBroker(client, {"AAPL": 100.0}.get)

    def entries(self) -> list[str]:
        """Ids of the orders at the venue, children aside."""
        orders = self.stand_in.exchange.orders.values()
        return [ORDER.client_order_id for order in orders if order.parent is None]

    def drop_connections(self) -> None:
        """End every connection, as a TWS that starts anew does."""
        if isinstance(self.stand_in, TwsStandIn):
            for peer in list(self.stand_in._peers):
                peer.cut()


@contextmanager
def venue(name: str) -> Iterator[Venue]:
    with TwsStandIn() if name == "ib" else AlpacaStandIn() as stand_in:
        yield Venue(stand_in)


def freeze() -> None:
    """Stop this process, as a suspended machine does, until it is woken."""
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.1)  # the signal may reach another thread first


def before_the_check(check: Check) -> Check:
    """Freeze after the look-up, before the lock is asked for."""
    return lambda: (freeze(), check())  # type: ignore[return-value]


def after_the_check(check: Check) -> Check:
    """Freeze in the window that is left: the lock was still held, the wire is still silent."""
    return lambda: (check(), freeze())  # type: ignore[return-value]


_started: list[int] = []


@pytest.fixture(autouse=True)
def no_executor_is_left() -> Iterator[None]:
    """End what a failed test left frozen."""
    yield
    while _started:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child := _started.pop(), signal.SIGKILL)
            os.waitpid(child, 0)


def start(settings: Settings, make: Callable[[], Broker], frozen: Callable[[Check], Check]) -> int:
    """Run an executor in a process of its own until it is frozen; return its pid."""
    child = os.fork()
    if child == 0:
        assert settings.database.url is not None
        engine = sa.create_engine(settings.database.url.get_secret_value())
        code = 1
        try:
            with executor_lock(engine, "main") as lock:
                place(Ledger(engine), make(), [ORDER], fence=frozen(lock.require), patience=HASTY)
            code = SENT
        except ExecutorBusy:
            code = BUSY
        finally:
            os._exit(code)
    _started.append(child)
    _, status = os.waitpid(child, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    return child


def wake(child: int) -> int:
    """Let a frozen executor go on, and return how it ended."""
    os.kill(child, signal.SIGCONT)
    _, status = os.waitpid(child, 0)
    _started.remove(child)
    assert os.WIFEXITED(status)
    return os.WEXITSTATUS(status)


def take_the_lock(engine: sa.Engine) -> None:
    """End the frozen executor's connection to PostgreSQL, as a failover or a time-out does."""
    with engine.begin() as connection:
        ended = sa.text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name LIKE 'executor main%'"
        )
        assert connection.execute(ended).all()
    time.sleep(0.1)


def second(engine: sa.Engine, at: Venue, patience: Patience = PATIENT) -> OrderState:
    """Run another executor here, and return the state of the order."""
    broker = at.broker()
    try:
        with executor_lock(engine, "main") as lock:
            return place(Ledger(engine), broker, [ORDER], fence=lock.require, patience=patience)[ORDER.client_order_id]
    finally:
        if isinstance(broker, IBBroker):
            broker.wire.disconnect()


@pytest.fixture
def engine(database_settings: Settings) -> Iterator[sa.Engine]:
    engine = open_engine(database_settings)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("name", ["alpaca", "ib"])
def test_while_it_has_the_lock_no_other_works_and_it_sends_when_it_wakes(
    name: str, database_settings: Settings, engine: sa.Engine
) -> None:
    with venue(name) as at:
        frozen = start(database_settings, at.broker, before_the_check)

        with pytest.raises(ExecutorBusy):
            second(engine, at)

        assert wake(frozen) == SENT
        assert len(at.entries()) == 1


@pytest.mark.parametrize("name", ["alpaca", "ib"])
def test_one_that_was_overtaken_sends_nothing_when_it_wakes(name: str, database_settings: Settings, engine: sa.Engine) -> None:
    with venue(name) as at:
        frozen = start(database_settings, at.broker, before_the_check)
        take_the_lock(engine)
        at.drop_connections()

        assert second(engine, at) is OrderState.ACCEPTED
        assert len(at.entries()) == 1

        assert wake(frozen) == BUSY
        assert len(at.entries()) == 1
        found = Ledger(engine).order(ORDER.client_order_id)
        assert found is not None
        assert found[1] is OrderState.ACCEPTED, "the one that woke writes nothing over it"


def test_at_ib_the_other_is_turned_away_while_the_frozen_one_has_the_connection(
    database_settings: Settings, engine: sa.Engine
) -> None:
    with venue("ib") as at:
        assert isinstance(at.stand_in, TwsStandIn)
        frozen = start(database_settings, at.broker, before_the_check)
        take_the_lock(engine)

        with pytest.raises(RetryLater, match="client id is already in use"):
            second(engine, at, HASTY)

        assert at.stand_in.collisions >= 1
        assert wake(frozen) == BUSY
        assert at.entries() == []
        assert second(engine, at) is OrderState.ACCEPTED
        assert len(at.entries()) == 1


@pytest.mark.parametrize("name", ["alpaca", "ib"])
def test_in_the_window_after_the_check_the_venue_keeps_it_to_one_order(
    name: str, database_settings: Settings, engine: sa.Engine
) -> None:
    """At Alpaca by the client order id; at TWS the second got its connection because the first had lost its own."""
    with venue(name) as at:
        frozen = start(database_settings, at.broker, after_the_check)
        take_the_lock(engine)
        at.drop_connections()

        assert second(engine, at) is OrderState.ACCEPTED

        assert wake(frozen) == SENT, "it finds the other's answer in the ledger"
        time.sleep(0.2)
        assert len(at.entries()) == 1
        found = Ledger(engine).order(ORDER.client_order_id)
        assert found is not None
        assert found[1] is OrderState.ACCEPTED


def test_in_the_window_at_ib_the_connection_lets_one_of_the_two_send(database_settings: Settings, engine: sa.Engine) -> None:
    with venue("ib") as at:
        frozen = start(database_settings, at.broker, after_the_check)
        take_the_lock(engine)
        with pytest.raises(RetryLater):
            second(engine, at, HASTY)

        assert wake(frozen) == SENT

        assert len(at.entries()) == 1
        assert second(engine, at) is OrderState.ACCEPTED
        assert len(at.entries()) == 1


def test_the_daily_trade_sends_behind_its_locks_fence(database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Resources(database_settings)
    submit, order = desk.broker.submit, replace(ORDER, session=dt.date(2018, 12, 28), decision_session=dt.date(2018, 12, 27))

    def overtaken(order: OrderIntent, fence: Check) -> Answer:
        with desk.engine.begin() as connection:
            connection.execute(sa.text("UPDATE trading.executor_leases SET token = token + 1"))
        return submit(order, fence)

    monkeypatch.setattr(desk.broker, "submit", overtaken)
    with executor_lock(desk.engine, "main") as lock, pytest.raises(ExecutorBusy, match="another executor"):
        daily_trade._send(desk, lock, [order])

    found = desk.ledger.order(order.client_order_id)
    assert found is not None
    assert found[1] is OrderState.SUBMITTED, "its answer is the other's to find"
    desk.engine.dispose()
