"""A local server that speaks Yahoo's chart API and shows its earnings page, so that the real yfinance runs without a network.

Owns faults on demand:

with YahooStandIn({"AAPL": bars}) as yahoo:
    yahoo.install(monkeypatch)
    yahoo.fail("AAPL", 429, times=2)
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import pandas as pd

if TYPE_CHECKING:
    import pytest

NEW_YORK = "America/New_York"
NOT_FOUND = {"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"}}}
WEBSITE = "https://finance.yahoo.com"
ALWAYS = 10**6


class YahooStandIn:
    """Serves `bars`: symbol -> frame indexed by date (open, high, low, close, adj_close, volume, optional split and dividend).

    A symbol it does not hold is answered 404, like a delisted one; an empty frame like a listed symbol without data.
    `earnings` holds the dates of each symbol's earnings page as they are written there ("May 2, 2024 at 4 PM EDT").
    """

    def __init__(self, bars: dict[str, pd.DataFrame]) -> None:
        self.bars = bars
        self.earnings: dict[str, list[str]] = {}
        self.requests: Counter[str] = Counter()
        self._faults: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(self, symbol: str, status: int, times: int = ALWAYS) -> None:
        """Answer the next `times` requests for the symbol with the HTTP status."""
        self._faults[symbol] = (status, times)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Point yfinance here; the cookie and crumb of the public site are left out."""
        from curl_cffi.requests import Session
        from yfinance.data import YfData

        ask = Session.request

        def ask_here(session: Session, method: Any, url: str, *args: Any, **kwargs: Any) -> Any:
            return ask(session, method, url.replace(WEBSITE, self.url), *args, **kwargs)  # yfinance has no setting for it

        monkeypatch.setattr(Session, "request", ask_here)

        for module in ("yfinance.const", "yfinance.base", "yfinance.scrapers.history", "yfinance.scrapers.quote"):
            monkeypatch.setattr(f"{module}._BASE_URL_", self.url)
        for module in ("yfinance.const", "yfinance.base", "yfinance.scrapers.quote"):
            monkeypatch.setattr(f"{module}._QUERY1_URL_", self.url)
        monkeypatch.setattr("yfinance.scrapers.quote._QUOTE_SUMMARY_URL_", f"{self.url}/v10/finance/quoteSummary")
        monkeypatch.setattr(YfData, "_get_cookie_and_crumb", lambda *_args, **_kwargs: (None, "basic"))

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        """Status and JSON body (or text) for one request."""
        page = path == "/calendar/earnings"
        if not page and not path.startswith("/v8/finance/chart/"):
            return 404, {"finance": {"result": None, "error": {"code": "Not Found", "description": path}}}
        symbol = query["symbol"][0] if page else unquote(path.rsplit("/", 1)[1])
        with self._lock:
            self.requests[symbol] += 1
            status, left = self._faults.get(symbol, (0, 0))
            if left:
                self._faults[symbol] = (status, left - 1)
                return status, "Too Many Requests" if status == 429 else "<html>Internal Server Error</html>"
        if page:
            return 200, earnings_page(symbol, self.earnings.get(symbol, [])[: int(query["size"][0])])
        if symbol not in self.bars:
            return 404, NOT_FOUND
        bars = self.bars[symbol]
        if "period1" in query and not bars.empty:
            opens = _opens(bars.index)
            bars = bars[(opens >= int(query["period1"][0])) & (opens < int(query["period2"][0]))]
        return 200, chart(symbol, bars)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                status, body = stand_in.answer(url.path, parse_qs(url.query))
                payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_args: object) -> None:
                """Keep the test output quiet."""

        return Handler


def chart(symbol: str, bars: pd.DataFrame) -> dict[str, Any]:
    """The body of `/v8/finance/chart/SYMBOL`; missing values are null."""
    meta = {
        "currency": "USD",
        "symbol": symbol,
        "instrumentType": "INDEX" if symbol.startswith("^") else "EQUITY",
        "exchangeName": "SNP" if symbol.startswith("^") else "NMS",
        "exchangeTimezoneName": NEW_YORK,
        "timezone": "EST",
        "gmtoffset": -18000,
        "priceHint": 2,
        "dataGranularity": "1d",
        "range": "",
        "validRanges": ["1d", "5d", "1mo", "max"],
        "currentTradingPeriod": {},
    }
    if bars.empty:
        return _result({"meta": meta, "indicators": {"quote": [{}], "adjclose": [{}]}})
    stamps = _opens(bars.index).tolist()
    quote = {column: _nulls(bars[column]) for column in ("open", "high", "low", "close", "volume")}
    indicators = {"quote": [quote], "adjclose": [{"adjclose": _nulls(bars["adj_close"])}]}
    return _result({"meta": meta, "timestamp": stamps, "events": _events(bars, stamps), "indicators": indicators})


def earnings_page(symbol: str, dates: list[str]) -> str:
    """The part of Yahoo's earnings page that yfinance reads; without dates it has no table."""
    columns = ("Symbol", "Company", "Earnings Date", "EPS Estimate", "Reported EPS", "Surprise (%)")
    header = "".join(f"<th>{name}</th>" for name in columns)
    rows = "".join(
        f"<tr><td>{symbol}</td><td>Company</td><td>{date}</td><td>1.50</td><td>-</td><td>-</td></tr>" for date in dates
    )
    return f"<html><body>{f'<table><tr>{header}</tr>{rows}</table>' if dates else 'No results'}</body></html>"


def _result(result: dict[str, Any]) -> dict[str, Any]:
    return {"chart": {"result": [result], "error": None}}


def _opens(dates: pd.Index) -> pd.Index:
    """Seconds since 1970 of 09:30 New York, Yahoo's stamp of a daily bar: 14:30 UTC in winter, 13:30 in summer."""
    opens = (pd.DatetimeIndex(dates) + pd.Timedelta(hours=9, minutes=30)).tz_localize(NEW_YORK).tz_convert("UTC")
    return (opens - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(seconds=1)


def _nulls(values: pd.Series) -> list[float | None]:
    return [None if pd.isna(value) else float(value) for value in values]


def _events(bars: pd.DataFrame, stamps: list[int]) -> dict[str, Any]:
    events: dict[str, Any] = {}
    for stamp, (_, bar) in zip(stamps, bars.iterrows(), strict=True):
        if bar.get("dividend", 0) > 0:
            events.setdefault("dividends", {})[str(stamp)] = {"amount": bar["dividend"], "date": stamp}
        if bar.get("split", 0) > 0:
            split = {"date": stamp, "numerator": bar["split"], "denominator": 1, "splitRatio": f"{bar['split']:g}:1"}
            events.setdefault("splits", {})[str(stamp)] = split
    return events
