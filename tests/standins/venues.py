"""Venues to run one test on: a broker, its book, and a market that the test moves. The daily loop's part is played here."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import SecretStr

from core.sessions import next_session
from tests.standins.alpaca import KEY, SECRET
from tests.standins.memory_book import MemoryBook
from trading.brokers.alpaca.broker import AlpacaBroker
from trading.brokers.alpaca.wire import AlpacaClient
from trading.brokers.ib.broker import IBBroker
from trading.brokers.ib.wire import IBWire
from trading.brokers.intake import collect
from trading.brokers.paper import PaperBroker, PaperRules
from trading.brokers.placing import Patience, place
from trading.costs import Costs
from trading.orders import entry_order

if TYPE_CHECKING:
    from core.models import OrderIntent, OrderState
    from tests.standins.alpaca import AlpacaStandIn
    from tests.standins.tws import TwsStandIn
    from trading.brokers.base import Broker

DECIDED = dt.date(2026, 11, 20)
SESSION = dt.date(2026, 11, 23)
LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
QUICK = Patience(deadline_seconds=2.0, first_wait_seconds=0.01, longest_wait_seconds=0.02)


class PaperVenue:
    """The paper broker and the sessions it lives through: one a price."""

    name = "paper"

    def __init__(self) -> None:
        self.book = MemoryBook()
        rules = PaperRules(volume_share=1.0, price_of=lambda symbol, _: {"AAPL": 100.0, "MSFT": 200.0}.get(symbol))
        self.broker: Broker = PaperBroker(self.book, Costs(commission_bps=0, slippage_bps=0), rules=rules)
        self.session = SESSION

    def trade(self, price: float, size: float = 1e9) -> None:
        """A session in which AAPL trades at one price, so many shares of it."""
        row = {"symbol": "AAPL", "session": pd.Timestamp(self.session), "volume": size}
        bars = pd.DataFrame([row | dict.fromkeys(("open", "high", "low", "close"), price)])
        assert isinstance(self.broker, PaperBroker)
        self.broker.advance(self.session, bars)
        self.session = next_session(self.session)

    def settle(self) -> None:
        """The book is the venue."""

    def lose(self, order: OrderIntent) -> bool:
        """The book is the venue: it loses nothing."""
        del order
        return False


class AlpacaVenue:
    """Alpaca's stand-in: orders wait for the bell, and the book learns by asking."""

    name = "alpaca"

    def __init__(self, stand_in: AlpacaStandIn, *, brackets: bool = True) -> None:
        self.book = MemoryBook()
        self.stand_in = stand_in
        self.exchange = stand_in.exchange
        self.exchange.is_open = False
        self.exchange.list_asset("AAPL", "100")
        self.exchange.list_asset("MSFT", "200")
        self.exchange.list_asset("BTC/USD", "50000")
        client = AlpacaClient(SecretStr(KEY), SecretStr(SECRET), url=stand_in.url, timeout_seconds=1.0)
        self.broker: Broker = AlpacaBroker(client, {"AAPL": 100.0, "MSFT": 200.0, "BTC-USD": 50_000.0}.get, brackets=brackets)
        self.session = SESSION

    def trade(self, price: float, size: float = 1e9) -> None:
        """Between two bells, AAPL trades at one price, so many shares of it."""
        self.exchange.is_open = True
        self.exchange.trade("AAPL", str(price), str(size))
        self.exchange.is_open = False
        self.settle()
        self.session = next_session(self.session)

    def settle(self) -> None:
        """What the venue did goes into the book, as the listener puts it there."""
        collect(self.book, self.broker, "main", LONG_AGO)

    def lose(self, order: OrderIntent) -> bool:
        """The venue has no such order any more."""
        return self.exchange.orders.pop(self.exchange.by_client_id(order.client_order_id).id, None) is not None


class IBVenue:
    """TWS's stand-in: the same exchange behind another wire."""

    name = "ib"

    def __init__(self, stand_in: TwsStandIn) -> None:
        self.book = MemoryBook()
        self.stand_in = stand_in
        self.exchange = stand_in.exchange
        self.exchange.is_open = False
        self.exchange.list_asset("AAPL", "100")
        self.exchange.list_asset("MSFT", "200")
        self.wire = IBWire("127.0.0.1", stand_in.port, client_id=7, timeout_seconds=1.0)
        self.broker: Broker = IBBroker(self.wire, {"AAPL": 100.0, "MSFT": 200.0}.get)
        self.session = SESSION

    def trade(self, price: float, size: float = 1e9) -> None:
        """Between two bells, AAPL trades at one price, so many shares of it."""
        self.exchange.is_open = True
        self.exchange.trade("AAPL", str(price), str(size))
        self.exchange.is_open = False
        self.settle()
        self.session = next_session(self.session)

    def settle(self) -> None:
        """What the venue did goes into the book."""
        collect(self.book, self.broker, "main", LONG_AGO)

    def lose(self, order: OrderIntent) -> bool:
        """TWS has no such order any more."""
        self.stand_in.forget(order.client_order_id)
        return True


Venue = PaperVenue | AlpacaVenue | IBVenue


def entry(
    quantity: float = 10, symbol: str = "AAPL", *, stop_pct: float = float("nan"), target_pct: float = float("nan")
) -> OrderIntent:
    return entry_order(
        "main", "bollinger", symbol, decision_session=DECIDED, session=SESSION, signed_quantity=quantity,
        stop_pct=stop_pct, target_pct=target_pct, max_sessions=5,
    )  # fmt: skip


def send(venue: Venue, order: OrderIntent) -> OrderState:
    return place(venue.book, venue.broker, [order], patience=QUICK)[order.client_order_id]


def state(venue: Venue, order: OrderIntent) -> OrderState:
    known = venue.book.order(order.client_order_id)
    assert known is not None
    return known[1]


def held(venue: Venue) -> Decimal:
    """Shares of AAPL, about which book and venue agree."""
    quantities = [
        sum((part.quantity for part in parts if part.symbol == "AAPL"), Decimal(0))
        for parts in (venue.book.positions("main"), venue.broker.positions())
    ]
    assert quantities[0] == quantities[1]
    return quantities[0]
