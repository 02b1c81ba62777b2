"""The order listener: brings the venue's events on the desk's orders into the ledger as they happen.

It decides no order. It keeps stops over what is held, and gives up the rest of an entry that fills in part.

It may run beside the daily trade: a fill has an id, and an event received twice changes nothing. A supervisor may restart it
at any time: once it has halted the desk, it waits until a person has resumed before it listens.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import structlog

from core.errors import ConfigError, StopTrading
from pipeline.accounts.corporate_actions import apply_corporate_actions
from pipeline.accounts.shared_books import books_of_account
from pipeline.resources import Resources, live
from pipeline.risk import kill_switch
from pipeline.risk.exit_orders import ExitOrders

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from storage.trading.halts import Halt, Halts

log = structlog.get_logger()
RESUME_POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Beat:
    """The listener's sign of life.

    Attributes
    ----------
    at
        When it last had everything from the venue.
    poll_seconds
        Pause between two queries of what the stream may have lost.
    connections
        Number of times it has connected.
    """

    at: dt.datetime
    poll_seconds: float
    connections: int


def listen(
    *,
    poll_seconds: float = 60.0,
    when_needed: bool = False,
    stop: threading.Event | None = None,
    resources: Resources | None = None,
) -> None:
    """Listen until `stop` is set, or the process gets SIGTERM or Ctrl-C.

    An event that contradicts the ledger halts the desk: the operator gets a mail, and nothing is opened until a person resumes.

    Parameters
    ----------
    when_needed
        With a broker that has no stream wait until the end, for a supervisor that always starts the listener.

    Raises
    ------
    core.errors.StopTrading
        When an event of the venue contradicts the ledger.
    core.errors.ConfigError
        When the broker has no stream, or its keys are not accepted.
    """
    resources = resources or live()
    needed = resources.settings.venue.kind == "alpaca"
    if not needed and not when_needed:
        raise ConfigError(f"VENUE__KIND={resources.settings.venue.kind} has no event stream; set VENUE__KIND=alpaca.")
    over = stop or _end_of_process()
    if not needed:
        log.info("nothing_to_listen_to", broker=resources.settings.venue.kind)
        over.wait()
        return
    _await_resume(resources.halts, resources.settings.portfolio, over)
    try:
        _listen(resources, over, poll_seconds)
    except StopTrading as error:
        kill_switch.halt_desk(str(error), kill_switch.ORDER_LISTENER, resources=resources)  # it listens for every book
        raise
    log.info("listener_stopped", portfolio=resources.settings.portfolio)


def halted_by_listener(halts: Halts, portfolio: str) -> Halt | None:
    """Return the halt that a listener has put on the portfolio and no person has lifted."""
    last = halts.current(portfolio)
    return last if last is not None and last.halted and last.author == kill_switch.ORDER_LISTENER else None


def last_beat(data_dir: Path, portfolio: str) -> Beat | None:
    """Return the newest sign of life of the portfolio's listener on this data folder; None before the first."""
    path = _beat_file(data_dir, portfolio)
    if not path.exists():
        return None
    row = json.loads(path.read_text())
    return Beat(dt.datetime.fromisoformat(row["at"]), float(row["poll_seconds"]), int(row["connections"]))


def write_beat(data_dir: Path, portfolio: str, beat: Beat) -> None:
    """Write the sign of life; a reader meanwhile gets the one before."""
    path = _beat_file(data_dir, portfolio)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(asdict(beat) | {"at": beat.at.isoformat()}))
    draft.replace(path)


def _listen(resources: Resources, over: threading.Event, poll_seconds: float) -> None:
    from trading.brokers.alpaca.stream import OrderListener

    portfolio = resources.settings.portfolio

    def others() -> list[str]:
        books = books_of_account(
            resources.deployments, portfolio, resources.settings.venue.kind, live=resources.settings.venue.live
        )
        return [name for name in books if name != portfolio]

    def follow_splits() -> None:
        for name in (portfolio, *others()):
            apply_corporate_actions(resources.for_portfolio(name).account, ExitOrders.of(resources).today())

    listener = OrderListener(
        resources.alpaca,
        resources.ledger,
        portfolio,
        resources.alpaca_stream(),
        clock=resources.clock,
        follow=follow_splits,
        alarm=lambda words: resources.alerts.send(f"A position of {portfolio} has no stop", words, "critical"),
        beat=lambda: write_beat(resources.data_dir, portfolio, Beat(resources.clock(), poll_seconds, listener.connections)),
        poll_seconds=poll_seconds,
        partial_seconds=resources.settings.position_watch.partial_entry_seconds,
        others=others,
    )
    log.info("listener_started", portfolio=portfolio, live=resources.settings.venue.live)
    listener.run(over)


def _await_resume(halts: Halts, portfolio: str, over: threading.Event) -> None:
    """Wait while a listener's halt stands: to listen again would find the same, and halt and mail anew."""
    halt = halted_by_listener(halts, portfolio)
    if halt is not None:
        log.warning("listener_waits", reason=halt.reason, remedy="desk resume --reason ...")
    while halt is not None and not over.wait(RESUME_POLL_SECONDS):
        halt = halted_by_listener(halts, portfolio)


def _beat_file(data_dir: Path, portfolio: str) -> Path:
    return data_dir / f"order-listener-{portfolio}.json"


def _end_of_process() -> threading.Event:
    """Return an event that SIGTERM and Ctrl-C set, so that the stream is closed and the last event is in the ledger."""
    over = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        over.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return over
