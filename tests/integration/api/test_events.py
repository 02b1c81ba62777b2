"""The stream of changes over real sockets: what comes, in which order, after what was missed, and when it ends."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import sqlalchemy as sa
import uvicorn

from core.deployments import Deployment, Sleeve, Stage, State
from serving import change_feed
from serving.app import create_app
from serving.routers import events as events_route
from storage.alerts.alert_log import NewAlert
from storage.trading.evening_steps import EveningSteps, Outcome
from storage.trading.heartbeats import Heartbeat, Heartbeats
from storage.trading.ledger import Ledger
from storage.trading.tables import fills, order_events
from storage.views.changes import KINDS
from tests.standins.api_desk import READ_KEY, wait_for
from trading.orders import entry_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.standins.api_desk import Desk

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[3]
DAY, NEXT = dt.date(2018, 12, 28), dt.date(2018, 12, 31)
API = """
import sys
from pathlib import Path
import sqlalchemy
import uvicorn
from core.settings import Settings
from serving.app import create_app
from tests.standins.api_desk import Desk
desk = Desk(Settings.of(), sqlalchemy.create_engine(sys.argv[1]), Path(sys.argv[2]))
uvicorn.run(create_app(desk), port=int(sys.argv[3]), log_level="warning")
"""
NOW = dt.datetime(2018, 12, 28, 22, tzinfo=dt.UTC)


@dataclass
class Server:
    """The API on a socket."""

    app: Any
    url: str

    @property
    def feed(self) -> change_feed.ChangeFeed:
        feed: change_feed.ChangeFeed = self.app.state.desk.feed
        return feed


@contextlib.contextmanager
def serve(desk: Desk, poll_seconds: float = 0.05) -> Iterator[Server]:
    app = create_app(desk)  # type: ignore[arg-type]
    app.state.desk.feed._poll_seconds = poll_seconds
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, seconds=20)
    yield Server(app, f"http://127.0.0.1:{port}")
    server.should_exit = True
    thread.join(timeout=20)
    assert not thread.is_alive()


@pytest.fixture
def server(desk: Desk) -> Iterator[Server]:
    with serve(desk) as made:
        yield made


@dataclass
class Event:
    """One block of the stream."""

    name: str | None = None
    data: Any = None
    id: str | None = None
    comment: str | None = None
    retry: str | None = None


@dataclass
class Stream:
    """The events that a listener has got so far; a thread reads them."""

    response: httpx.Response
    blocks: queue.Queue[Event | None] = field(default_factory=queue.Queue)
    last_id: str | None = None

    def read(self) -> None:
        block = Event()
        with contextlib.suppress(httpx.HTTPError, httpx.StreamError):
            for line in self.response.iter_lines():
                if not line:
                    self.blocks.put(block)
                    block = Event()
                    continue
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                match name:
                    case "":
                        block.comment = value
                    case "data":
                        block.data = json.loads(value)
                    case "event":
                        block.name = value
                    case "id":
                        block.id = value
                    case "retry":
                        block.retry = value
        self.blocks.put(None)

    def next(self, seconds: float = 5.0) -> Event | None:
        block = self.blocks.get(timeout=seconds)
        if block is not None and block.id is not None:
            self.last_id = block.id
        return block

    def event(self, *names: str, seconds: float = 5.0) -> Event:
        """The next event, of one of the names where some are given; comments and bare ids are passed over."""
        deadline = time.monotonic() + seconds
        while True:
            block = self.next(max(deadline - time.monotonic(), 0.01))
            assert block is not None, "the stream has ended"
            if block.name is not None and (not names or block.name in names):
                return block

    def quiet(self, seconds: float = 0.4) -> bool:
        """No event comes for a while."""
        with pytest.raises(queue.Empty):
            self.event(seconds=seconds)
        return True


@contextlib.contextmanager
def listening(server: Server, last_id: str | None = None, **headers: str) -> Iterator[Stream]:
    given = headers | ({"Last-Event-ID": last_id} if last_id else {})
    with (
        httpx.Client(timeout=httpx.Timeout(5, read=30)) as client,
        client.stream("GET", f"{server.url}/events", headers=given) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        stream = Stream(answer)
        threading.Thread(target=stream.read, daemon=True).start()
        try:
            yield stream
        finally:  # a thread that waits for more would hold the connection open
            with contextlib.suppress(OSError):
                answer.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def order(desk: Desk, symbol: str) -> str:
    """Write an order down; return its id."""
    intent = entry_order(
        "main", "bollinger", symbol, decision_session=DAY, session=NEXT, signed_quantity=10.0, stop_pct=5.0, target_pct=10.0,
        max_sessions=None,
    )  # fmt: skip
    Ledger(desk.engine).record_intents([intent])
    return intent.client_order_id


def halt(desk: Desk, reason: str) -> None:
    desk.halts.halt("main", reason=reason, author="ana")


def test_a_stream_begins_at_the_present_and_brings_what_comes(desk: Desk, server: Server) -> None:
    halt(desk, "before")
    with listening(server) as stream:
        first = stream.next()
        assert first is not None
        assert (first.comment, first.retry, first.name) == ("listening", "2000", None)
        assert first.id

        halt(desk, "odd prices")

        event = stream.event()
        assert event.name == "halt"
        assert event.id not in {None, first.id}
        assert {name: event.data[name] for name in ("book", "halted", "reason", "author")} == {
            "book": "main", "halted": True, "reason": "odd prices", "author": "ana",
        }  # fmt: skip
        assert dt.datetime.fromisoformat(event.data["at"]).utcoffset() == dt.timedelta(0)
        assert stream.quiet()


def test_every_kind_of_change_comes_as_a_small_row(desk: Desk, server: Server, engine: sa.Engine) -> None:
    with listening(server) as stream:
        stream.next()
        client_order_id = order(desk, "EVERY")
        fill = {
            "fill_id": "every-1",
            "client_order_id": client_order_id, "symbol": "EVERY", "side": "buy", "quantity": 10, "price": "10.5",
            "raw_price": 10, "commission_usd": 0.5, "session": NEXT, "filled_at": NOW, "reason": "entry",
        }  # fmt: skip
        with engine.begin() as connection:
            connection.execute(sa.insert(fills).values(fill))
        desk.alert_log.raise_alert(NewAlert("health:every", "health", "", "warning", "Disk", "full", {}), NOW)
        halt(desk, "every")
        sleeve = Sleeve("every/rsi", "rsi", ("A",), 1.0)
        desk.deployments.add(
            Deployment(
                "every",
                1,
                Stage.PAPER,
                State.ACTIVE,
                (sleeve,),
                1.0,
                "desk",
                None,
                {},
                author="ana",
                reason="first",
                venue="paper",
            )
        )
        desk.parameters.set("bollinger", {"stop_pct": 4.0}, author="ana", reason="tighter")
        Heartbeats(engine).add(
            Heartbeat("main", NOW, "log", "ok", 1e5, 1e5, 0.0, 0.0, 0.0, None, None, 0, {"drawdown": {"limit": 1.0}})
        )
        steps = EveningSteps(engine)
        row = steps.start(book="main", session=DAY, step="settle", at=NOW)
        Ledger(engine).save_equity(
            {
                "portfolio": "main",
                "session": DAY,
                "cash_usd": 1.0,
                "equity_usd": float("nan"),
                "exposure_usd": 0.0,
                "positions": 0,
            }
        )
        got: dict[str, Any] = {}
        while set(got) != set(KINDS):
            event = stream.event()
            got[str(event.name)] = event.data
        assert (got["step"]["outcome"], got["step"]["ended_at"]) == ("running", None)
        steps.end(row, Outcome.DONE, {}, at=NOW)
        assert stream.event("step").data["outcome"] == "done"

    assert got["order"]["client_order_id"] == got["fill"]["client_order_id"] == client_order_id
    assert (got["order"]["book"], got["order"]["sleeve"], got["order"]["symbol"], got["order"]["quantity"]) == (
        "main", "bollinger", "EVERY", 10.0,
    )  # fmt: skip
    assert (got["fill"]["price"], got["fill"]["session"], got["fill"]["at"]) == (10.5, "2018-12-31", "2018-12-28T22:00:00Z")
    assert (got["alert"]["event"], got["alert"]["subject"], got["alert"]["state"]) == ("raised", "Disk", "raised")
    assert (got["deployment"]["book"], got["deployment"]["version"], got["deployment"]["state"]) == ("every", 1, "active")
    assert (got["parameters"]["strategy"], got["parameters"]["symbol"], got["parameters"]["version"]) == ("bollinger", None, 1)
    assert (got["heartbeat"]["level"], got["heartbeat"]["breaches"]) == ("ok", ["drawdown"])
    assert (got["equity"]["book"], got["equity"]["session"], got["equity"]["equity_usd"]) == ("main", "2018-12-28", None)
    assert all(len(json.dumps(data)) < 1_000 for data in got.values())


def test_a_listener_that_comes_back_gets_exactly_what_it_missed(desk: Desk, server: Server) -> None:
    with listening(server) as stream:
        stream.next()
        for reason in ("one", "two"):
            halt(desk, reason)
        assert [stream.event().data["reason"] for _ in range(2)] == ["one", "two"]
        last_id = stream.last_id
    with listening(server) as other:
        other.next()
        halt(desk, "three")
        assert other.event().data["reason"] == "three"
        halt(desk, "four")
        other.event()
    with listening(server, last_id) as again:
        assert [again.event().data["reason"] for _ in range(2)] == ["three", "four"]
        halt(desk, "five")
        assert again.event().data["reason"] == "five"
        assert again.quiet()


def test_one_that_left_before_any_event_came_misses_nothing_either(desk: Desk, server: Server) -> None:
    with listening(server) as stream:
        stream.next()
        last_id = stream.last_id
    halt(desk, "meanwhile")

    with listening(server, last_id) as again:
        assert again.event().data["reason"] == "meanwhile"


def test_after_a_restart_of_the_api_what_was_missed_comes_from_the_database(desk: Desk) -> None:
    with serve(desk) as first, listening(first) as stream:
        stream.next()
        halt(desk, "seen")
        last_id = stream.event().id
    halt(desk, "missed")
    with serve(desk) as second:
        with listening(second, last_id) as again:
            reasons: list[str] = []
            while "missed" not in reasons:
                reasons.append(again.event("halt").data["reason"])
            halt(desk, "afterwards")
            assert again.event("halt").data["reason"] == "afterwards"
            newest = again.last_id
        with listening(second, newest) as third:
            assert third.quiet(), "the id of a live event is exact again"


def test_who_missed_too_much_is_told_to_start_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(desk) as first, listening(first) as stream:
        stream.next()
        last_id = stream.last_id
    for number in range(8):
        halt(desk, str(number))
    with serve(desk) as second:
        monkeypatch.setattr(change_feed, "MOST_ROWS", 5)
        with listening(second, last_id) as again:
            assert again.event().name == "reset"
            halt(desk, "after the reset")
            assert again.event().data["reason"] == "after the reset"


@pytest.mark.parametrize(
    "last_id", ["nonsense", "a-b-c", "1-" * 9 + "1", "x-1" + "-999999999999999999" * len(KINDS), "x" * 5_000]
)
def test_an_id_that_is_none_of_the_stream_is_answered_with_a_stream_all_the_same(
    desk: Desk, server: Server, last_id: str
) -> None:
    with listening(server, last_id) as stream:
        halt(desk, "on it goes")
        assert stream.event("halt").data["reason"] == "on it goes"


def test_a_row_that_commits_after_a_later_one_is_not_lost(desk: Desk, server: Server, engine: sa.Engine) -> None:
    client_order_id = order(desk, "LATE")
    row = {"client_order_id": client_order_id, "state": "accepted"}
    with listening(server) as stream:
        stream.next()
        with engine.connect() as slow, slow.begin() as transaction:
            slow.execute(sa.insert(order_events).values(row | {"reason": "lower id"}))
            with engine.begin() as quick:
                quick.execute(sa.insert(order_events).values(row | {"reason": "higher id"}))
            assert stream.event().data["reason"] == "higher id"
            assert stream.quiet(0.3)
            transaction.commit()
        assert stream.event().data["reason"] == "lower id"
        assert stream.quiet(0.3), "once each"


def test_there_are_only_so_many_listeners_at_once(desk: Desk) -> None:
    desk.settings = desk.settings.with_changes(api__event_listeners=2)
    with serve(desk) as server:
        with listening(server) as one, listening(server) as two:
            for stream in (one, two):
                stream.next()
            answer = httpx.get(f"{server.url}/events", timeout=5)
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert "API__EVENT_LISTENERS" in answer.json()["remedy"]
            assert "desk_event_listeners 2.0" in httpx.get(f"{server.url}/metrics").text
        wait_for(lambda: server.feed.listening == 0, seconds=5)
        with listening(server) as again:
            assert again.next()


def test_a_silent_stream_shows_that_it_lives(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_route, "SILENT_SECONDS", 0.1)
    with listening(server) as stream:
        stream.next()
        blocks = [stream.next() for _ in range(3)]

    assert [block.comment for block in blocks if block] == ["alive"] * 3


def test_a_database_that_goes_is_announced_and_what_came_meanwhile_follows(
    desk: Desk, server: Server, engine: sa.Engine
) -> None:
    away = sa.create_engine("postgresql+psycopg2://nobody@127.0.0.1:9/none", connect_args={"connect_timeout": 1})
    with listening(server) as stream:
        stream.next()
        desk.engine = away
        assert stream.event().data == {"answers": False, "reason": "The database does not answer."}
        with listening(server) as late:
            assert late.event().data["answers"] is False, "who comes meanwhile learns it at once"
            with engine.begin() as connection:
                connection.execute(
                    sa.text(
                        "INSERT INTO trading.halts (portfolio, halted, reason, author) VALUES ('main', true, 'away', 'ana')"
                    )
                )
            desk.engine = engine
            for each in (stream, late):
                assert {each.event().name for _ in range(2)} == {"database", "halt"}
            assert stream.quiet(0.2)


def test_a_database_that_is_away_from_the_start_keeps_nobody_out(desk: Desk, engine: sa.Engine) -> None:
    desk.engine = sa.create_engine("postgresql+psycopg2://nobody@127.0.0.1:9/none", connect_args={"connect_timeout": 1})
    with serve(desk) as server, listening(server) as stream:
        assert stream.event().data["answers"] is False
        desk.engine = engine
        assert stream.event().data["answers"] is True
        halt(desk, "back")
        assert stream.event().data["reason"] == "back"


def test_a_listener_that_reads_too_slowly_is_dropped_and_stops_nobody(
    desk: Desk, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_feed, "MOST_WAITING_BYTES", 200_000)
    with socket.socket() as slow, listening(server) as stream:
        stream.next()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.connect(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
        slow.sendall(b"GET /events HTTP/1.1\r\nHost: desk\r\n\r\n")
        wait_for(lambda: server.feed.listening == 2, seconds=5)
        deadline = time.monotonic() + 20
        while server.feed.listening == 2 and time.monotonic() < deadline:
            for listener in list(server.feed._listeners):
                loop = server.feed._poller.get_loop()  # type: ignore[union-attr]
                loop.call_soon_threadsafe(listener.put, b": " + b"x" * 50_000 + b"\n\n")
            time.sleep(0.02)
        assert server.feed.listening == 1
        halt(desk, "still there")
        assert stream.event(seconds=10).data["reason"] == "still there"


def test_without_a_listener_the_database_is_left_alone(desk: Desk, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_feed, "QUIET_SECONDS", 0.1)
    with listening(server) as stream:
        stream.next()
        last_id = stream.last_id
    wait_for(lambda: not server.feed._positions, seconds=5)
    halt(desk, "while nobody listened")
    reads: list[Any] = []
    monkeypatch.setattr(change_feed.ChangeFeed, "_read", lambda *_: reads.append(1) or [])
    time.sleep(0.3)
    assert reads == []
    monkeypatch.undo()

    with listening(server) as fresh:
        assert fresh.quiet(0.3), "who comes without an id gets what comes from now on"
    with listening(server, last_id) as back:
        assert back.event("halt").data["reason"] == "while nobody listened"


def test_a_stream_takes_a_read_key_and_counts_as_one_request(desk: Desk) -> None:
    desk.settings = desk.settings.with_changes(api__read_keys=READ_KEY, api__reads_per_second=0.5)
    with serve(desk) as server:
        assert httpx.get(f"{server.url}/events", timeout=5).status_code == 401
        with listening(server, **{"X-API-Key": READ_KEY}) as stream:
            assert stream.next()
            answer = httpx.get(f"{server.url}/events", headers={"X-API-Key": READ_KEY}, timeout=5)
            assert answer.status_code == 429


def test_the_document_describes_the_stream(server: Server) -> None:
    operation = httpx.get(f"{server.url}/openapi.json").json()["paths"]["/events"]["get"]

    assert list(operation["responses"]["200"]["content"]) == ["text/event-stream"]
    assert {"401", "429", "503"} <= set(operation["responses"])
    assert [each["name"] for each in operation["parameters"]] == ["last-event-id"]
    assert all(f"`{kind}`" in operation["description"] for kind in (*KINDS, "database", "reset"))


def test_the_end_of_the_server_ends_a_stream_at_once(engine: sa.Engine, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", API, address, str(tmp_path), str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        server = Server(None, f"http://127.0.0.1:{port}")
        wait_for(lambda: answers(server.url), seconds=60)
        with listening(server) as stream:
            stream.next()
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            while stream.next(10) is not None:
                pass
            _, errors = process.communicate(timeout=20)
        assert time.monotonic() - started < 3
    assert "Exception" not in errors
    assert "without completing" not in errors


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=1).status_code == 200
    except httpx.TransportError:
        return False
