"""The sessions of the Alpaca stand-in: its clock, and each day's bars as the trades of that day. Owns the hours and the path.

A day goes open, low, high, close, and stops on the way at every price that an order rests at, as a market does. That is the
pessimistic order of the fill rules for a long position: the stop comes first. Matching is the exchange's.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from core.sessions import close_of, open_of
from tests.standins.alpaca_orders import WORKING
from trading.brokers.alpaca.read import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.standins.alpaca_exchange import Exchange

EVENING = dt.time(17)  # New York, half days too


class Floor:
    """The market at the stand-in, moved by a test from day to day.

    Parameters
    ----------
    bars
        BARS of every symbol, prices in cents.
    """

    def __init__(self, exchange: Exchange, bars: pd.DataFrame) -> None:
        self.exchange = exchange
        self.bars = bars
        exchange.is_open = False
        for symbol, part in bars.groupby("symbol"):
            exchange.list_asset(str(symbol), f"{part['close'].iloc[0]:.2f}")

    def now(self) -> dt.datetime:
        """The venue's clock, which is the desk's as well; it runs on between two turns."""
        return self.exchange.now()

    def turn(self, moment: dt.datetime) -> None:
        """Put the clock at a moment."""
        self.exchange.clock_ahead = moment - dt.datetime.now(dt.UTC)

    def turn_to_evening(self, day: dt.date) -> None:
        """Put the clock at the hour of the daily run."""
        self.turn(dt.datetime.combine(day, EVENING, NEW_YORK))

    def open(self, day: dt.date, thin: Mapping[str, int] | None = None) -> None:
        """Ring the bell: what waited is filled at the open, of `thin` symbols so many shares at most."""
        self.turn(open_of(day))
        self.exchange.is_open = True
        for symbol, bar in self.of(day).items():
            shares = (thin or {}).get(symbol)
            self.exchange.trade(symbol, str(price_of(bar["open"])), None if shares is None else str(shares))

    def trade_through(self, day: dt.date) -> None:
        """Live the session: to its low, its high, and its close."""
        opened, length = open_of(day), close_of(day) - open_of(day)
        for place, name in enumerate(("low", "high", "close"), start=1):
            self.turn(opened + length * place / 4)
            for symbol, bar in self.of(day).items():
                self.go(symbol, price_of(bar[name]))

    def close(self, day: dt.date) -> None:
        """Ring the other bell: orders for the day expire."""
        self.turn(close_of(day))
        self.exchange.close_market()

    def go(self, symbol: str, price: Decimal) -> None:
        """Move a price there, with a trade at each price on the way at which an order rests."""
        with self.exchange.lock:
            while (level := self._next_level(symbol, price)) is not None:
                self.exchange.trade(symbol, str(level))
            self.exchange.trade(symbol, str(price))

    def of(self, day: dt.date) -> Mapping[str, Mapping[str, Any]]:
        """The day's bar of each symbol."""
        rows = self.bars[self.bars["session"] == pd.Timestamp(day)]
        return {str(row["symbol"]): row for row in rows.to_dict("records")}  # type: ignore[misc]

    def _next_level(self, symbol: str, price: Decimal) -> Decimal | None:
        now = self.exchange.assets[symbol].price
        resting = [
            order.stop_price or order.limit_price or now
            for order in self.exchange.orders.values()
            if order.symbol == symbol and order.status in WORKING
        ]
        ahead = [level for level in resting if now < level <= price or price <= level < now]
        return min(ahead, key=lambda level: abs(level - now), default=None)


def price_of(value: float) -> Decimal:
    """A price of a bar, in cents."""
    return Decimal(f"{value:.2f}")


def in_cents(bars: pd.DataFrame) -> pd.DataFrame:
    """Bars as an exchange prints them."""
    prices = ["open", "high", "low", "close", "adj_close"]
    return bars.assign(**{name: bars[name].round(2) for name in prices})
