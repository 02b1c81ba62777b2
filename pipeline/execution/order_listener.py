"""Listen to the venue: what it does with the desk's orders comes into the ledger as it happens. It decides and sends nothing.

It may run beside the daily trade: a fill is known by its id, and an event told twice is no news. A supervisor may start it
again and again: once it has halted the desk, it waits until a person has resumed before it listens.
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
from pipeline.resources import Resources, live
from pipeline.risk import kill_switch

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from storage.trading.halts import Halt

log = structlog.get_logger()
LOOK_FOR_A_PERSON_SECONDS = 5.0


@dataclass(frozen=True)
class Beat:
    """The listener's sign of life: when it last had everything from the venue, how often it asks, how often it connected."""

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
    """Listen until `stop` is set, or the process is told to end (SIGTERM, Ctrl-C).

    What contradicts the ledger halts the desk: the operator gets a mail, and nothing is opened until a person has looked.

    Parameters
    ----------
    when_needed
        With a broker that has no stream do nothing until told to end, for a supervisor that starts the listener always.

    Raises
    ------
    core.errors.StopTrading
        When the venue's word and the ledger cannot both be right.
    core.errors.ConfigError
        When the broker has no stream, or its keys are not accepted.
    """
    resources = resources or live()
    needed = resources.settings.broker == "alpaca"
    if not needed and not when_needed:
        raise ConfigError(f"BROKER={resources.settings.broker} tells nothing by itself; expected BROKER=alpaca to listen to.")
    over = stop or _end_of_process()
    if not needed:
        log.info("nothing_to_listen_to", broker=resources.settings.broker)
        over.wait()
        return
    _await_person(resources, over)
    try:
        _listen(resources, over, poll_seconds)
    except StopTrading as error:
        kill_switch.halt(str(error), kill_switch.ORDER_LISTENER, resources=resources)
        raise
    log.info("listener_stopped", portfolio=resources.settings.portfolio)


def halted_by_listener(resources: Resources) -> Halt | None:
    """The halt that a listener has put on the desk and no person has lifted."""
    last = resources.halts.current(resources.settings.portfolio)
    return last if last is not None and last.halted and last.author == kill_switch.ORDER_LISTENER else None


def last_beat(resources: Resources) -> Beat | None:
    """The newest sign of life of the portfolio's listener on this data folder; None before the first."""
    path = _beat_file(resources)
    if not path.exists():
        return None
    told = json.loads(path.read_text())
    return Beat(dt.datetime.fromisoformat(told["at"]), float(told["poll_seconds"]), int(told["connections"]))


def _listen(resources: Resources, over: threading.Event, poll_seconds: float) -> None:
    from trading.brokers.alpaca_stream import OrderListener

    portfolio = resources.settings.portfolio
    listener = OrderListener(
        resources.alpaca,
        resources.ledger,
        portfolio,
        resources.alpaca_stream(),
        clock=resources.clock,
        alarm=lambda words: resources.alerts.send(f"A position of {portfolio} has no stop", words, "critical"),
        beat=lambda: _beat(resources, Beat(resources.clock(), poll_seconds, listener.connections)),
        poll_seconds=poll_seconds,
    )
    log.info("listener_started", portfolio=portfolio, live=resources.settings.broker_live)
    listener.run(over)


def _await_person(resources: Resources, over: threading.Event) -> None:
    """Wait while the desk stands halted by a listener: one that listened again would find the same, and halt and mail anew."""
    halt = halted_by_listener(resources)
    if halt is not None:
        log.warning("listener_waits", reason=halt.reason, remedy="cli resume --reason ...")
    while halt is not None and not over.wait(LOOK_FOR_A_PERSON_SECONDS):
        halt = halted_by_listener(resources)


def _beat(resources: Resources, beat: Beat) -> None:
    """Write the sign of life; whoever reads meanwhile sees the one before."""
    path = _beat_file(resources)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(asdict(beat) | {"at": beat.at.isoformat()}))
    draft.replace(path)


def _beat_file(resources: Resources) -> Path:
    return resources.data_dir / f"order-listener-{resources.settings.portfolio}.json"


def _end_of_process() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set, so that the stream is closed and the last event is in the ledger."""
    over = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        over.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return over
