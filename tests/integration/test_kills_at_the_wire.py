"""A process that places and collects is killed at every named place, on real sockets: one order an intent, each fill once."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from core.failpoints import VARIABLE
from core.models import OrderState
from storage.engine import open_engine
from storage.ledger import Ledger
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn
from tests.standins.tws import TwsStandIn
from tests.standins.venues import LONG_AGO, QUICK, entry
from trading.brokers.alpaca import AlpacaBroker
from trading.brokers.alpaca_wire import AlpacaClient
from trading.brokers.ib import IBBroker
from trading.brokers.ib_wire import IBWire
from trading.brokers.intake import collect
from trading.brokers.placing import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.models import OrderIntent
    from core.settings import Settings
    from tests.standins.alpaca_exchange import Exchange
    from trading.brokers.base import Broker

pytestmark = pytest.mark.integration
FIRST = ("ledger.intent_halfway", "place.written", "send.allowed", "send.claimed", "send.answered", "send.recorded")
COLLECTING = ("collect.read", "ledger.fill_halfway", "collect.taken")
EACH_ORDER = {"ledger.intent_halfway", "send.allowed", "send.claimed", "send.answered", "send.recorded", "collect.taken"}
PRICES = {"AAPL": 100.0, "MSFT": 200.0}
INTENTS = [entry(10, stop_pct=5, target_pct=10), entry(5, "MSFT", stop_pct=5), entry(-3, "TSLA")]


@contextmanager
def venue(name: str) -> Iterator[tuple[Exchange, Callable[[], Broker]]]:
    """An exchange, and what a process makes of its address."""
    if name == "alpaca":
        with AlpacaStandIn() as alpaca:
            yield (
                alpaca.exchange,
                lambda: AlpacaBroker(AlpacaClient(SecretStr(KEY), SecretStr(SECRET), url=alpaca.url), PRICES.get),
            )
    else:
        with TwsStandIn() as tws:
            yield tws.exchange, lambda: IBBroker(IBWire("127.0.0.1", tws.port, 7, timeout_seconds=2.0), PRICES.get)


def attempt(settings: Settings, broker: Callable[[], Broker], intents: list[OrderIntent], failpoint: str = "") -> bool:
    """Place and collect in a process of its own; False when it was killed."""
    child = os.fork()
    if child == 0:
        os.environ[VARIABLE] = failpoint
        try:
            assert settings.database_url is not None
            ledger, at = Ledger(sa.create_engine(settings.database_url.get_secret_value())), broker()
            place(ledger, at, intents, patience=QUICK)
            collect(ledger, at, intents[0].portfolio, LONG_AGO)
            os._exit(0)
        except BaseException:  # noqa: BLE001  # the parent sees the code
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def schedules() -> list[list[str]]:
    """Each place alone, at the second order where there is one; a look-up needs a sending without an end before it."""
    alone = [[f"{name}:2" if name in EACH_ORDER else name] for name in (*FIRST, *COLLECTING)]
    return alone + [
        [before, name] for name, before in (("lookup.answered", "send.answered"), ("lookup.absent", "send.claimed"))
    ]


@pytest.mark.parametrize("name", ["alpaca", "ib"])
def test_wherever_it_is_killed_each_intent_is_one_order_and_each_fill_counts_once(
    name: str, database_settings: Settings
) -> None:
    ledger = Ledger(engine := open_engine(database_settings))
    for number, failpoints in enumerate(schedules()):
        book = f"book-{number}"
        intents = [replace(each, portfolio=book, client_order_id=f"{number}-{each.client_order_id}") for each in INTENTS]
        with venue(name) as (exchange, broker):
            for symbol, price in {**PRICES, "TSLA": 50.0}.items():
                exchange.list_asset(symbol, str(price))

            for failpoint in failpoints:
                assert not attempt(database_settings, broker, intents, failpoint), f"{failpoint} was never reached"
            assert attempt(database_settings, broker, intents)

            entries = [order for order in exchange.orders.values() if order.parent is None]
            assert sorted((order.symbol, order.qty) for order in entries) == [("AAPL", 10), ("MSFT", 5), ("TSLA", 3)], (
                failpoints
            )
            states = [found[1] for order in intents if (found := ledger.order(order.client_order_id))]
            assert states == [OrderState.FILLED] * 3, failpoints
            assert len(ledger.fills(book)) == 3, failpoints
            assert {held.symbol: held.quantity for held in ledger.positions(book)} == {"AAPL": 10, "MSFT": 5, "TSLA": -3}
    engine.dispose()
