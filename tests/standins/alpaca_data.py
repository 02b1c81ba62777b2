"""Market data of the Alpaca stand-in: newest quotes and trades of shares and crypto pairs, as its API writes them. No sockets.

An asset nobody has quoted otherwise is quoted a cent either side of its price, at this moment.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.standins.alpaca_exchange import Exchange
    from tests.standins.alpaca_orders import Asset

FEEDS = {"iex", "sip", "delayed_sip", "otc", "boats", "overnight"}
SYMBOL = {"us_equity": re.compile(r"[A-Z]+(\.[A-Z]+)?"), "crypto": re.compile(r"[A-Z]+/[A-Z]+")}


@dataclass(frozen=True)
class Said:
    """What somebody quoted: prices as JSON has them, and when."""

    bid: Any
    ask: Any
    at: dt.datetime


class Tape:
    """Quotes and trades of the exchange's assets. `subscribed` says whether the account has bought the feed `sip`."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.subscribed = False
        self.pages: dict[str, tuple[str, str, Callable[[Asset], Any]]] = {
            "/v2/stocks/quotes/latest": ("us_equity", "quotes", self._quote_json),
            "/v2/stocks/trades/latest": ("us_equity", "trades", self._trade_json),
            "/v1beta3/crypto/us/latest/quotes": ("crypto", "quotes", self._quote_json),
            "/v1beta3/crypto/us/latest/trades": ("crypto", "trades", self._trade_json),
        }
        self._said: dict[str, Said | None] = {}

    def quote(self, symbol: str, bid: Any, ask: Any, *, age_seconds: float = 0.0) -> None:
        """Quote an asset; prices may be anything, and the quote of any age."""
        self._said[symbol] = Said(bid, ask, self.exchange.now() - dt.timedelta(seconds=age_seconds))

    def silence(self, symbol: str) -> None:
        """Have no quote of an asset."""
        self._said[symbol] = None

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Status and JSON of a request for one of the `pages`; the errors of market data have no code."""
        kind, noun, page = self.pages[path]
        strange = set(query) - {"symbols", "currency", *(("feed",) if kind == "us_equity" else ())}
        if strange:
            return 400, {"message": f"unexpected query parameter(s): {', '.join(sorted(strange))}"}
        refused = self._refusal(kind, query)
        if refused is not None:
            return refused
        assets = [self.exchange.assets.get(name) for name in query["symbols"].split(",")]
        rows = {asset.symbol: page(asset) for asset in assets if asset is not None and asset.kind == kind}
        return 200, {noun: {symbol: row for symbol, row in rows.items() if row is not None}}

    def _refusal(self, kind: str, query: dict[str, str]) -> tuple[int, Any] | None:
        feed = query.get("feed", "iex")
        if feed not in FEEDS:
            return 400, {"message": f"invalid feed: {feed}"}
        if feed == "sip" and not self.subscribed:
            return 403, {"message": "subscription does not permit querying recent SIP data"}
        wrong = [name for name in query.get("symbols", "").split(",") if not SYMBOL[kind].fullmatch(name)]
        return (400, {"message": f"invalid symbol: {wrong[0]}"}) if wrong else None

    def _quote_json(self, asset: Asset) -> dict[str, Any] | None:
        cent = 0.01
        default = Said(float(asset.price) - cent, float(asset.price) + cent, self.exchange.now())
        said = self._said.get(asset.symbol, default)
        if said is None:
            return None
        row = {"ap": said.ask, "as": 2, "bp": said.bid, "bs": 3, "t": nanoseconds(said.at)}
        return row if asset.kind == "crypto" else row | {"ax": "V", "bx": "V", "c": ["R"], "z": "C"}

    def _trade_json(self, asset: Asset) -> dict[str, Any] | None:
        if asset.symbol not in self.exchange.tape:
            return None
        price, at = self.exchange.tape[asset.symbol]
        row = {"i": 52983525, "p": float(price), "s": 100, "t": nanoseconds(at)}
        return row | ({"tks": "B"} if asset.kind == "crypto" else {"c": ["@"], "x": "V", "z": "C"})


def nanoseconds(moment: dt.datetime) -> str:
    """RFC 3339 with nine decimals, as market data writes its times."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%f}123Z"
