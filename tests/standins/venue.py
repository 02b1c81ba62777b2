"""A venue in a process of its own, over a real socket, that fails on demand: dropped connections, lost answers, late arrivals.

Each run of a test has its own orders and faults under `/RUN/`. It can also kill the client in the middle of a request, right
before or right after it has taken the order. Run it: `python -m tests.standins.venue`; it prints its port.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import signal
import socket
import threading
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from core.sessions import close_of

PRICE = Decimal(100)
LATE_SECONDS = 0.03
SUBMIT_FAULTS = (
    "drop_before", "drop_after", "503_before", "503_after", "429", "garbled_after", "kill_before", "kill_after", "late",
)  # fmt: skip
OTHER_FAULTS = ("drop_before", "drop_after", "503_before", "503_after", "garbled_after")


@dataclass
class Run:
    """The venue as one run sees it.

    `unique` refuses a second order under a known id, as most venues do. `refusals` is the part of the orders that it turns
    down; `split` multiplies what was held before the day. `movements` are cash that no order moved.
    """

    seed: int
    faults: int = 0
    unique: bool = True
    refusals: float = 0.0
    split: int = 1
    movements: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    refused_twice: int = 0
    kills: int = 0
    orders: list[dict[str, Any]] = field(default_factory=list)
    fills: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311  # a schedule, not a secret

    def fault(self, kinds: tuple[str, ...]) -> str:
        """What goes wrong with this request, if anything; after so many faults the venue is well."""
        with self.lock:
            self.asked += 1
            if self.faults <= 0 or self.dice.random() > 0.35:
                return ""
            self.faults -= 1
            return self.dice.choice([kind for kind in kinds if self.unique or kind != "late"])

    def find(self, client_order_id: str) -> dict[str, Any] | None:
        """The first order of an id."""
        return next((order for order in self.orders if order["client_order_id"] == client_order_id), None)

    def take(self, order: dict[str, Any]) -> dict[str, Any]:
        """Take an order, or show the one that is there."""
        with self.lock:
            known = self.find(order["client_order_id"])
            if known is not None and self.unique:
                self.refused_twice += 1
                return known
            refused = random.Random(f"{self.seed} {order['symbol']}").random() < self.refusals  # noqa: S311
            self.orders.append(order | {"state": "rejected" if refused else "accepted", "filled": "0"})
            return self.orders[-1]

    def cancel(self, client_order_id: str) -> dict[str, Any] | None:
        """Cancel what is not filled."""
        with self.lock:
            order = self.find(client_order_id)
            if order is not None and order["state"] == "accepted":
                order["state"] = "cancelled"
            return order

    def withdraw(self, movement: dict[str, Any]) -> None:
        """Take cash out of the account, once for each id."""
        with self.lock:
            if movement["id"] not in {known["id"] for known in self.movements}:
                self.movements.append(movement)

    def trade(self) -> None:
        """Fill every order that works, in one to three parts."""
        with self.lock:
            for order in self.orders:
                if order["state"] == "accepted":
                    self._fill(order, self.dice.choice((1, 2, 3)))

    def _fill(self, order: dict[str, Any], parts: int) -> None:
        whole = Decimal(order["quantity"])
        piece = (whole / parts).quantize(Decimal("0.000001"))
        for part in range(parts):
            quantity = piece if part < parts - 1 else whole - piece * (parts - 1)
            fill_id = f"venue-{len(self.fills)}-{order['client_order_id']}"
            self.fills.append(
                {"fill_id": fill_id, "quantity": str(quantity), "price": str(PRICE), "number": len(self.fills)}
                | {name: order[name] for name in ("client_order_id", "symbol", "side")}
            )
        order |= {"state": "filled", "filled": str(whole)}

    def told(self) -> list[dict[str, Any]]:
        """The fills as a bad stream tells them: some twice, in any order."""
        with self.lock:
            twice = [fill for fill in self.fills if self.dice.random() < 0.3]
            return self.dice.sample(self.fills + twice, len(self.fills) + len(twice))

    def audit(self) -> dict[str, Any]:
        """Everything, for whoever checks."""
        with self.lock:
            return {
                "orders": self.orders,
                "fills": self.fills,
                "refused_twice": self.refused_twice,
                "kills": self.kills,
                "asked": self.asked,
                "movements": self.movements,
                "split": self.split,
            }


class Venue(ThreadingHTTPServer):
    """All runs."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.runs: dict[str, Run] = {}


class Handler(BaseHTTPRequestHandler):
    """One request; the first part of the path names the run."""

    server: Venue
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_PUT(self) -> None:
        self.server.runs[self._parts()[0]] = Run(**self._body())
        self._say(200, {})

    def do_POST(self) -> None:
        parts, body = self._parts(), self._body()
        if parts[0] == "predict-entry":
            self._say(200, prediction(body["symbol"], self.headers.get("X-Session", os.environ.get("VENUE_SESSION", ""))))
            return
        run = self.server.runs[parts[0]]
        if parts[1] == "trade":
            run.trade()
            self._say(200, {})
            return
        if parts[1] == "withdraw":
            run.withdraw(body)
            self._say(200, {})
            return
        pid = body.pop("pid")
        self._with_fault(run, SUBMIT_FAULTS, lambda: run.take(body), pid)

    def do_DELETE(self) -> None:
        name, _, order_id = self._parts()
        run = self.server.runs[name]
        self._with_fault(run, OTHER_FAULTS, lambda: run.cancel(order_id), 0)

    def do_GET(self) -> None:
        name, what, *rest = self._parts()
        run = self.server.runs[name]
        if what == "audit":
            self._say(200, run.audit())
        elif what == "movements":
            self._with_fault(run, OTHER_FAULTS, lambda: run.movements, 0)
        elif what == "split":
            self._say(200, {"split": run.split})
        elif what == "fills":
            self._with_fault(run, OTHER_FAULTS, run.told, 0)
        elif rest:
            self._with_fault(run, OTHER_FAULTS, lambda: run.find(rest[0]), 0)
        else:
            self._say(200, [order for order in run.orders if order["state"] == "accepted"])

    def _with_fault(self, run: Run, kinds: tuple[str, ...], act: Any, pid: int) -> None:
        fault = run.fault(kinds)
        what, _, when = fault.partition("_")
        if what == "429":
            self._say(429, {}, retry_after="0")
        elif what == "late":
            threading.Timer(LATE_SECONDS, act).start()
            self._drop()
        else:
            answer = None if when == "before" else act()
            run.kills += what == "kill"
            self._answer(what, answer, pid)

    def _answer(self, what: str, answer: Any, pid: int) -> None:
        if what == "kill" and pid:
            os.kill(pid, signal.SIGKILL)
        if what in {"drop", "kill"}:
            self._drop()
        elif what == "503":
            self._say(503, {})
        elif what == "garbled":
            self._say(200, None, raw=b'{"state": "acc')
        else:
            self._say(404 if answer is None else 200, answer)

    def _drop(self) -> None:
        """Close the connection without a word."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _say(self, status: int, value: Any, *, raw: bytes | None = None, retry_after: str = "") -> None:
        data = raw if raw is not None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(data)

    def _parts(self) -> list[str]:
        return self.path.strip("/").split("/")

    def _body(self) -> dict[str, Any]:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")  # type: ignore[no-any-return]


def prediction(symbol: str, session: str) -> dict[str, Any]:
    """The prediction API's answer: enter."""
    return {
        "symbol": symbol,
        "session": session,
        "model_version": "1",
        "model_name": "entry-filter",
        "probability": 0.6,
        "predicted_return": 0.001,
        "signal": "enter",
        "feature_timestamp": close_of(dt.date.fromisoformat(session)).isoformat(),
    }


if __name__ == "__main__":
    venue = Venue()
    print(venue.server_address[1], flush=True)  # noqa: T201  # the one thing its parent reads
    venue.serve_forever()
