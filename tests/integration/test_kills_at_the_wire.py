"""A process that places and collects is killed at every named place, on real sockets: one order an intent, each fill once."""

from __future__ import annotations

import datetime as dt
import os
import signal
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from core.failpoints import VARIABLE
from core.models import OrderState
from pipeline.execution.position_watch import check_positions
from pipeline.resources import Resources
from storage.engine import open_engine
from storage.market.bars import BarStore
from storage.trading.ledger import Ledger
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn
from tests.standins.feed import walk
from tests.standins.tws import TwsStandIn
from tests.standins.venues import DECIDED, LONG_AGO, QUICK, SESSION, entry
from trading.brokers.alpaca.broker import AlpacaBroker
from trading.brokers.alpaca.wire import AlpacaClient
from trading.brokers.ib.broker import IBBroker
from trading.brokers.ib.wire import IBWire
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

    def work() -> None:
        assert settings.database.url is not None
        ledger, at = Ledger(sa.create_engine(settings.database.url.get_secret_value())), broker()
        place(ledger, at, intents, patience=QUICK)
        collect(ledger, at, intents[0].portfolio, LONG_AGO)

    return survived(work, failpoint)


def survived(work: Callable[[], object], failpoint: str = "") -> bool:
    """Do it in a process of its own; False when it was killed."""
    child = os.fork()
    if child == 0:
        os.environ[VARIABLE] = failpoint
        try:
            work()
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


def test_wherever_a_watch_over_stops_is_killed_its_exit_is_sent_once(database_settings: Settings) -> None:
    engine = open_engine(database_settings)
    bars = walk("AAPL", SESSION - dt.timedelta(days=30), DECIDED)
    bars.loc[bars.index[-1], ["open", "high", "low", "close", "adj_close"]] = 100.0
    BarStore(engine).write(bars, source="test", ingested_at=LONG_AGO, backfilled=True)
    lookups = [["send.claimed", name] for name in ("lookup.answered", "lookup.absent")]  # what arrived is collected first
    for number, failpoints in enumerate([[name] for name in (*FIRST, *COLLECTING)] + lookups):
        with AlpacaStandIn() as alpaca:
            exchange = alpaca.exchange
            exchange.list_asset("AAPL", "100")
            exchange.clock_ahead = dt.datetime(2026, 11, 23, 17, tzinfo=dt.UTC) - dt.datetime.now(dt.UTC)
            values = {
                "portfolio": f"watched-{number}",
                "provider": "yfinance",
                "venue__kind": "alpaca",
                "venue__alpaca__brackets": False,
            }
            keys = {
                "venue__alpaca__api_key": KEY,
                "venue__alpaca__secret_key": SECRET,
                "venue__alpaca__url": alpaca.url,
                "venue__alpaca__data_url": alpaca.url,
            }
            settings = database_settings.with_changes(**values | keys)
            desk = Resources(settings, clock=exchange.now)
            desk.__dict__["engine"] = engine
            order = replace(
                entry(2.5, stop_pct=5), portfolio=settings.portfolio, client_order_id=f"20261123-entry-AAPL-watched-{number}"
            )
            place(desk.ledger, desk.broker, [order], patience=QUICK)
            exchange.trade("AAPL", "94")

            def work(settings: Settings = settings, exchange: Exchange = exchange) -> None:
                check_positions(resources=Resources(settings, clock=exchange.now))

            for failpoint in failpoints:
                assert not survived(work, failpoint), f"{failpoint} was never reached"
            assert survived(work)
            assert survived(work), "and once more, when nothing is left"

            sales = [(each.qty, each.status) for each in exchange.orders.values() if each.side == "sell"]
            assert sales == [(Decimal("2.5"), "filled")], failpoints
            assert desk.ledger.positions(settings.portfolio) == []
            legs = [(fill_order.leg, fill.quantity) for fill_order, fill in desk.ledger.fills(settings.portfolio)]
            assert legs == [("entry", Decimal("2.5")), ("exit", Decimal("2.5"))], failpoints
    engine.dispose()
