"""A local server that speaks Alpaca's trading API, market data and trade-update stream: the real alpaca-py without a network.

Owns the wire (REST over HTTP, the stream over a websocket with binary frames) and faults on demand; matching is
`tests.standins.alpaca_exchange`, quotes are `tests.standins.alpaca_data`.

with AlpacaStandIn() as alpaca:
    alpaca.exchange.list_asset("AAPL", "150")
    alpaca.fail("POST", "/v2/orders", Fault.no_answer())
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from core.sessions import calendar
from tests.standins.alpaca_data import Tape
from tests.standins.alpaca_exchange import Exchange
from tests.standins.alpaca_orders import Refusal
from tests.standins.alpaca_pages import (
    account_json,
    activities,
    asset_json,
    calendar_json,
    clock_json,
    listed,
    position_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable

KEY, SECRET = "PKSTANDIN00000000000", "stand-in-secret-8f14e45fceea167a5a36dedd4bea2543"
ALWAYS = 10**6


@dataclass(frozen=True)
class Fault:
    """One wrong answer. `performs` says whether the request takes effect before it goes wrong."""

    performs: bool = False
    status: int | None = None
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    hold: bool = False

    @classmethod
    def no_answer(cls, *, performs: bool = True) -> Fault:
        """The request is taken and never answered: the client times out."""
        return cls(performs=performs, hold=True)

    @classmethod
    def dropped(cls, *, performs: bool) -> Fault:
        """The connection is cut without an answer."""
        return cls(performs=performs)

    @classmethod
    def too_many(cls, seconds: float = 0.01) -> Fault:
        """429 with Retry-After; nothing happened."""
        body = json.dumps({"code": 42910000, "message": "rate limit exceeded"})
        return cls(status=429, body=body, headers={"Retry-After": str(seconds)})

    @classmethod
    def broken(cls, status: int = 500, *, performs: bool = False) -> Fault:
        """A server error, before or after the request took effect."""
        return cls(performs=performs, status=status, body="<html>Bad Gateway</html>")

    @classmethod
    def garbage(cls, body: str = "<html>maintenance</html>", *, performs: bool = True) -> Fault:
        """200 with something that is no answer."""
        return cls(performs=performs, status=200, body=body)


class AlpacaStandIn:
    """REST at `url`, market data too, the stream at `stream_url`, both on loopback.

    `requests` lists (method, path) as they came. The stream's own faults: `repeat` sends each event that many times,
    `hold_events` keeps them back until `release_events` sends them, in whatever order; `drop_streams` cuts the connections.
    """

    def __init__(self) -> None:
        calendar()  # built now, or the first request for the clock would be slower than its client is patient
        self.exchange = Exchange()
        self.exchange.listeners.append(self._publish)
        self.tape = Tape(self.exchange)
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.repeat = 1
        self.hold_events = False
        self.held_events: list[dict[str, Any]] = []
        self.refuse_streams = False
        self.streams_opened = 0
        self.faults_served = 0
        self._faults: list[tuple[str, str, Fault, int]] = []
        self._streams: list[ServerConnection] = []
        self._lock = threading.Lock()
        self.over = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stand_in": self}))
        self._ws: Server = serve(self._stream, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.stream_url = f"ws://127.0.0.1:{self._ws.socket.getsockname()[1]}/stream"

    def fail(self, method: str, path: str, fault: Fault, times: int = 1) -> None:
        """Answer the next requests of the method and path prefix, or of a whole path before a `$`, with the fault."""
        self._faults.append((method, path, fault, times))

    def recover(self) -> None:
        """Forget the faults that are still to come."""
        with self._lock:
            self._faults.clear()

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        threading.Thread(target=self._ws.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.over.set()
        self.drop_streams()
        self._ws.shutdown()
        self._http.shutdown()
        self._http.server_close()

    # The stream.

    def drop_streams(self) -> None:
        """Cut every stream, as a network does: no closing handshake."""
        with self._lock:
            streams, self._streams = self._streams, []
        for stream in streams:
            with suppress(OSError):
                stream.socket.shutdown(2)

    def release_events(self, order: list[int] | None = None) -> None:
        """Send what was held back: in the order given by indices, else as it happened."""
        self.hold_events = False
        events, self.held_events = self.held_events, []
        for index in order if order is not None else range(len(events)):
            self._publish(events[index])

    def send_raw(self, message: bytes) -> None:
        """Send bytes that may be anything to every listener."""
        for stream in self._streams:
            stream.send(message)

    def wait_for_listener(self, seconds: float = 30.0) -> None:
        """Return once a client listens."""
        until = time.monotonic() + seconds
        while not self._streams:
            assert time.monotonic() < until, "no client listened in time"
            time.sleep(0.01)

    def _publish(self, event: dict[str, Any]) -> None:
        if self.hold_events:
            self.held_events.append(event)
            return
        message = json.dumps({"stream": "trade_updates", "data": event}).encode()
        for stream in list(self._streams):
            with suppress(ConnectionClosed, OSError):
                for _ in range(self.repeat):
                    stream.send(message)

    def _stream(self, connection: ServerConnection) -> None:
        """One connection: authenticate, listen, then wait until it ends."""
        if self.refuse_streams:
            connection.close(1013, "try again later")
            return
        self.streams_opened += 1
        with suppress(ConnectionClosed, OSError):
            for text in connection:
                self._said(connection, json.loads(text))
        with self._lock:
            self._streams = [stream for stream in self._streams if stream is not connection]

    def _said(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        action, data = message["action"], message.get("data", message)
        if action in {"auth", "authenticate"}:
            keys = (data.get("key_id", data.get("key")), data.get("secret_key", data.get("secret")))
            status = "authorized" if keys == (KEY, SECRET) else "unauthorized"
            _send(connection, "authorization", {"status": status, "action": action})
        elif action == "listen":
            _send(connection, "listening", {"streams": data["streams"]})
            with self._lock:
                self._streams.append(connection)

    # REST.

    def fault_for(self, method: str, path: str) -> Fault | None:
        """Take the next fault that is due for a request."""
        with self._lock:
            for index, (wanted, prefix, fault, times) in enumerate(self._faults):
                if wanted == method and (path == prefix[:-1] if prefix.endswith("$") else path.startswith(prefix)):
                    self.faults_served += 1
                    self._faults[index : index + 1] = [(wanted, prefix, fault, times - 1)] if times > 1 else []
                    return fault
        return None

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        """Status and JSON of a request that reached the venue."""
        with self.exchange.lock:
            if path in self.tape.pages:
                return self.tape.answer(path, query)
            try:
                return self._route(method, path.removeprefix("/v2/"), query, body)
            except Refusal as refusal:
                return refusal.status, refusal.body

    def _route(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        exchange, (noun, _, key) = self.exchange, path.partition("/")
        if noun == "orders":
            return self._orders(method, key, query, body)
        pages: dict[str, Callable[[], Any]] = {
            "orders:by_client_order_id": lambda: exchange.by_client_id(query["client_order_id"]).json(),
            "assets": lambda: asset_json(exchange, unquote(key)),
            "positions": lambda: [position_json(exchange, name) for name in sorted(exchange.held)] + exchange.other_positions,
            "account": lambda: activities(exchange, query) if key.startswith("activities") else account_json(exchange),
            "clock": lambda: clock_json(exchange),
            "calendar": lambda: calendar_json(exchange, query["start"], query["end"]),
        }
        return (200, pages[noun]()) if noun in pages else (404, {"code": 40410000, "message": "endpoint not found"})

    def _orders(self, method: str, key: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        exchange = self.exchange
        if method == "POST":
            self.bodies.append(body)
            return 200, exchange.submit(body).json()
        if method == "DELETE" and key:
            exchange.cancel(key)
            return 204, None
        if method == "PATCH":
            return 200, exchange.replace(key, body).json()
        return (200, exchange.by_id(key).json()) if key else (200, listed(exchange, query))


def _send(connection: ServerConnection, stream: str, data: dict[str, Any]) -> None:
    connection.send(json.dumps({"stream": stream, "data": data}).encode())


class _Handler(BaseHTTPRequestHandler):
    """One HTTP request; `stand_in` is set on the subclass that a server gets."""

    stand_in: AlpacaStandIn
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # 40 ms an answer otherwise

    def do_GET(self) -> None:
        self.handle_request()

    def do_POST(self) -> None:
        self.handle_request()

    def do_PATCH(self) -> None:
        self.handle_request()

    def do_DELETE(self) -> None:
        self.handle_request()

    def handle_request(self) -> None:
        url = urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.stand_in.requests.append((self.command, url.path))
        fault = self.stand_in.fault_for(self.command, url.path)
        if fault is None:
            self.reply(*self.served(url.path, query, body))
        else:
            self.go_wrong(fault, lambda: self.served(url.path, query, body))

    def go_wrong(self, fault: Fault, serve_it: Callable[[], object]) -> None:
        if fault.performs:
            serve_it()
        if fault.hold:
            self.stand_in.over.wait(10)
        if fault.status is None:
            self.close_connection = True
        else:
            self.reply(fault.status, fault.body, fault.headers)

    def served(self, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        if (self.headers.get("APCA-API-KEY-ID"), self.headers.get("APCA-API-SECRET-KEY")) != (KEY, SECRET):
            return 401, {"message": "unauthorized."}
        return self.stand_in.answer(self.command, path, query, body)

    def reply(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        payload = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(payload)

    def log_message(self, *_args: object) -> None:
        """Keep the test output quiet."""
