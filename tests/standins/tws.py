"""A local server that speaks enough of the TWS socket protocol for the real ib_async to connect, place, fill and cancel.

Owns the wire, at server version 157; matching is `tests.standins.alpaca_exchange`, one exchange behind both stand-ins. Brackets
are orders with a parent, held until the last one says transmit, as TWS holds them. Fields nobody reads are empty.
"""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from contextlib import suppress
from decimal import Decimal
from typing import Any, Self

from tests.standins.alpaca_exchange import Exchange
from tests.standins.alpaca_orders import OPEN, Refusal, text
from tests.standins.tws_messages import ACCOUNT, TYPES, Sent, completed_order, conid, contract, open_order, status_of

VERSION = 157
WORDS = {
    "insufficient buying power": "YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH LOAN "
    "VALUE [100000.00 USD] MUST EXCEED THE INITIAL MARGIN [110000.00 USD]",
}


READ_ONLY = "Error validating request.-'bO' : cause - The API interface is currently in Read-Only mode."


class Turned(Exception):
    """An order that TWS turns down: code and words."""


class TwsStandIn:
    """One TWS, with one account.

    Attributes
    ----------
    faults
        Taken one an order: (performs, what): `cut` the connection, or be `silent`.
    refusals
        Taken one an order: the code and words with which it is refused. No status of the order is told.
    notices
        Code and words told about each order that is taken, before its first status, `pause_seconds` ahead of it, and after it.
    cancel_refusal
        Code and words with which every cancellation is refused; the order goes on working.
    read_only
        The setting "Read-Only API": orders and cancellations are refused with 321, and so are the lists of orders where
        `lists_orders` is False.
    word
        What an order is called until the exchange has confirmed it, where TWS says so: `PendingSubmit`.
    """

    def __init__(self) -> None:
        self.refusals: list[tuple[int, str]] = []
        self.notices: list[tuple[int, str]] = []
        self.pause_seconds = 0.0
        self.cancel_refusal: tuple[int, str] | None = None
        self.read_only = False
        self.lists_orders = True
        self.word = ""
        self.collisions = 0
        self.exchange = Exchange()
        self.exchange.listeners.append(self._on_event)
        self.sent: dict[tuple[int, int], Sent] = {}
        self.faults: list[tuple[bool, str]] = []
        self.placed = 0
        self._peers: list[_Peer] = []
        self._later: list[dict[str, Any]] | None = None
        self._executions: list[tuple[Sent, dict[str, Any]]] = []
        self._server = _Server(("127.0.0.1", 0), type("Peer", (_Peer,), {"tws": self}))
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        for peer in list(self._peers):
            peer.cut()
        self._server.shutdown()
        self._server.server_close()

    # What clients ask for.

    def place(self, peer: _Peer, fields: list[str]) -> None:
        """Take an order; a bracket is sent to the venue when its last order says transmit."""
        if self.read_only:
            peer.send(4, 2, int(fields[1]), 321, READ_ONLY)
            return
        order = Sent(
            client=peer.client,
            order_id=int(fields[1]),
            symbol=fields[3],
            action=fields[16],
            qty=fields[17],
            type=fields[18],
            limit=fields[19],
            stop=fields[20],
            tif=fields[21],
            ref=fields[26],
            parent=int(fields[28] or 0),
            word=self.word,
        )
        known = self.sent.get((order.client, order.order_id))
        if known is not None and known.venue is not None:
            self._change(known, order)
            return
        self.sent[order.client, order.order_id] = order
        if fields[27] == "1":
            self._transmit(peer, order)

    def cancel(self, peer: _Peer, order_id: int) -> None:
        """Cancel an order, or say that there is none."""
        refusal = (321, READ_ONLY) if self.read_only else self.cancel_refusal
        if refusal is not None:
            peer.send(4, 2, order_id, *refusal)
            return
        order = self.sent.get((peer.client, order_id))
        if order is None or order.venue is None:
            peer.send(4, 2, order_id, 10147, f"OrderId {order_id} that needs to be cancelled is not found.")
            return
        try:
            self.exchange.cancel(order.venue.id)
        except Refusal:
            peer.send(4, 2, order_id, 10148, f"OrderId {order_id} that needs to be cancelled cannot be cancelled.")

    def _transmit(self, peer: _Peer, last: Sent) -> None:
        performs, what = self.faults.pop(0) if self.faults else (True, "")
        family = [order for key, order in self.sent.items() if key[0] == last.client and last.parent in {key[1], order.parent}]
        parent = next((order for order in family if order.order_id == last.parent), last)
        children = [order for order in family if order is not parent] if last.parent else []
        self.placed += 1
        peer.mute = bool(what)
        try:
            if self.refusals:
                raise Turned(*self.refusals.pop(0))
            if performs:
                self._submit(peer, parent, children)
        except (Refusal, Turned) as refusal:
            code, words = (
                refusal.args
                if isinstance(refusal, Turned)
                else (201, f"Order rejected - reason:{WORDS.get(str(refusal), str(refusal))}")
            )
            for order in (parent, *children):
                del self.sent[order.client, order.order_id]
                peer.send(4, 2, order.order_id, code, words)
            performs = True
        if not performs:
            for order in (parent, *children):
                del self.sent[order.client, order.order_id]
        if what == "cut":
            peer.cut()

    def forget(self, ref: str) -> None:
        """Lose an order and its children, as if they had never come."""
        for key, order in list(self.sent.items()):
            if order.ref == ref or order.ref.startswith(f"{ref}."):
                assert order.venue is not None
                self.exchange.orders.pop(order.venue.id, None)
                del self.sent[key]

    def _submit(self, peer: _Peer, parent: Sent, children: list[Sent]) -> None:
        body: dict[str, Any] = {
            "symbol": parent.symbol,
            "side": parent.action.lower(),
            "qty": parent.qty,
            "type": TYPES[parent.type],
            "time_in_force": parent.tif.lower(),
            **({"limit_price": parent.limit} if parent.type == "LMT" else {}),
            **({"stop_price": parent.stop} if parent.type == "STP" else {}),
        }
        for child in children:
            body |= (
                {"take_profit": {"limit_price": child.limit}}
                if child.type == "LMT"
                else {"stop_loss": {"stop_price": child.stop}}
            )
        body |= {"order_class": "bracket" if len(children) == 2 else "oto"} if children else {}
        with self.exchange.lock:
            self._later = []
            try:
                parent.venue = self.exchange.submit(body)
            finally:
                events, self._later = self._later, None
            for child in children:
                child.venue = next(leg for leg in parent.venue.legs if leg.type == TYPES[child.type])
            self._tell_notices(peer, parent)
            time.sleep(self.pause_seconds)
            for event in events:
                self._on_event(event)
            self._tell_notices(peer, parent)

    def _tell_notices(self, peer: _Peer, order: Sent) -> None:
        for code, words in self.notices:
            peer.send(4, 2, order.order_id, code, words)

    def _change(self, known: Sent, order: Sent) -> None:
        assert known.venue is not None
        if known.type == "LMT":
            known.limit, known.venue.limit_price = order.limit, Decimal(order.limit)
        if known.type == "STP":
            known.stop, known.venue.stop_price = order.stop, Decimal(order.stop)
        self._tell_status(known)

    # What clients are told.

    def _on_event(self, event: dict[str, Any]) -> None:
        if self._later is not None:
            self._later.append(event)
            return
        order = next((each for each in self.sent.values() if each.venue and each.venue.id == event["order"]["id"]), None)
        if order is None:
            return
        if event["event"] in {"fill", "partial_fill"}:
            self._executions.append((order, event))
            for peer in self._peers_of(order):
                peer.tell_execution(-1, order, event)
        self._tell_status(order)

    def _tell_status(self, order: Sent) -> None:
        for peer in self._peers_of(order):
            peer.send(*open_order(order))
            peer.tell_status(order)
            if status_of(order) == "Cancelled":
                peer.send(4, 2, order.order_id, 202, "Order Canceled - reason:")
            if status_of(order) == "Inactive":
                peer.send(4, 2, order.order_id, 201, "Order rejected - reason:The exchange turned it down.")

    def _peers_of(self, order: Sent) -> list[_Peer]:
        return [peer for peer in self._peers if peer.client == order.client]

    def executions(self) -> list[tuple[Sent, dict[str, Any]]]:
        """Every execution of the day, oldest first."""
        return list(self._executions)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Peer(socketserver.BaseRequestHandler):
    """One client's connection."""

    tws: TwsStandIn
    client = -1
    mute = False

    def handle(self) -> None:
        with suppress(OSError, EOFError):
            assert self._read(4) == b"API\0"
            self._message()  # the versions the client speaks
            self.send(VERSION, "20261123 09:00:00 UTC")
            while True:
                self._answer(self._message())
        with suppress(ValueError):
            self.tws._peers.remove(self)

    def cut(self) -> None:
        with suppress(ValueError):
            self.tws._peers.remove(self)
        with suppress(OSError):
            self.request.shutdown(socket.SHUT_RDWR)

    def send(self, *fields: object) -> None:
        if self.mute:
            return
        payload = "".join(f"{'' if field is None else field}\0" for field in fields).encode()
        with suppress(OSError):
            self.request.sendall(struct.pack(">I", len(payload)) + payload)

    def _read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self.request.recv(count - len(found))
            if not part:
                raise EOFError
            found += part
        return found

    def _message(self) -> list[str]:
        (length,) = struct.unpack(">I", self._read(4))
        return self._read(length).decode().split("\0")

    def _answer(self, fields: list[str]) -> None:
        handlers = {
            "3": lambda: self.tws.place(self, fields),
            "4": lambda: self.tws.cancel(self, int(fields[2])),
            "5": self._open_orders,
            "6": self._account,
            "7": lambda: self._executions(int(fields[2])),
            "9": lambda: self._contract(int(fields[2]), fields[4], fields[5]),
            "16": self._open_orders,
            "61": self._positions,
            "71": lambda: self._start(int(fields[2])),
            "76": lambda: self.send(74, 1, fields[2]),
            "99": self._completed,
        }
        if fields[0] in handlers:
            handlers[fields[0]]()

    def _start(self, client: int) -> None:
        if any(peer.client == client for peer in self.tws._peers):
            self.tws.collisions += 1
            self.send(4, 2, -1, 326, "Unable to connect as the client id is already in use. Retry with a unique client id.")
            raise EOFError
        self.client = client
        used = [order_id for owner, order_id in self.tws.sent if owner == client]
        self.tws._peers.append(self)
        self.send(15, 1, ACCOUNT)
        self.send(9, 1, max(used, default=0) + 1)

    def _refuses_lists(self) -> bool:
        if self.tws.read_only and not self.tws.lists_orders:
            self.send(4, 2, -1, 321, READ_ONLY)
            return True
        return False

    def _open_orders(self) -> None:
        if self._refuses_lists():
            return
        for order in list(self.tws.sent.values()):
            if order.venue is not None and order.venue.status in OPEN:
                self.send(*open_order(order))
                self.tell_status(order)
        self.send(53, 1)

    def _completed(self) -> None:
        if self._refuses_lists():
            return
        for order in list(self.tws.sent.values()):
            if order.venue is not None and order.venue.status not in OPEN:
                self.send(*completed_order(order))
        self.send(102)

    def _executions(self, request: int) -> None:
        for order, event in self.tws.executions():
            self.tell_execution(request, order, event)
        self.send(55, 1, request)

    def _contract(self, request: int, symbol: str, kind: str) -> None:
        asset = self.tws.exchange.assets.get(symbol)
        if asset is None or not asset.tradable:
            self.send(4, 2, request, 200, "No security definition has been found for the request")
            return
        head = (symbol, kind, "", 0, "", "SMART", "USD", symbol, "NMS", symbol, conid(symbol), 0.01, "")
        tail = ("", "LMT,MKT,STP", "SMART", 1, 0, symbol, "NASDAQ", "", "", "", "", "US/Eastern", "", "", "", 0, 0)
        self.send(10, 8, request, *head, *tail, 1, "", "", 26, "", "COMMON")
        self.send(52, 1, request)

    def _positions(self) -> None:
        for symbol, (quantity, average) in sorted(self.tws.exchange.held.items()):
            self.send(61, 3, ACCOUNT, *contract(symbol), text(quantity), text(average))
        self.send(62, 1)

    def _account(self) -> None:
        exchange = self.tws.exchange
        worth = [quantity * exchange.assets[symbol].price for symbol, (quantity, _) in exchange.held.items()]
        values = {
            "TotalCashValue": exchange.cash,
            "NetLiquidation": exchange.cash + sum(worth),
            "GrossPositionValue": sum(map(abs, worth)),
        }
        for tag, value in values.items():
            self.send(6, 2, tag, text(Decimal(value)), "USD", ACCOUNT)
        self.send(54, 1, ACCOUNT)

    def tell_status(self, order: Sent) -> None:
        venue = order.venue
        assert venue is not None
        average = venue.paid / venue.filled_qty if venue.filled_qty else 0
        amounts = (text(venue.filled_qty), text(venue.leaves), text(Decimal(average)))
        self.send(3, order.order_id, status_of(order), *amounts, order.perm, order.parent, 0, order.client, "", 0)

    def tell_execution(self, request: int, order: Sent, event: dict[str, Any]) -> None:
        at = event["timestamp"].replace("-", "").replace("T", " ").partition(".")[0]
        side = "BOT" if order.action == "BUY" else "SLD"
        execution = (event["execution_id"], f"{at} UTC", ACCOUNT, "SMART", side, event["qty"], event["price"])
        ids = (order.perm, order.client, 0, event["order"]["filled_qty"], event["price"], order.ref, "", "", "", 1)
        self.send(11, request, order.order_id, *contract(order.symbol), *execution, *ids)
        self.send(59, 1, event["execution_id"], "1.00", "USD", 0, 0, 0)
