"""Listen to the venue: what it does with the desk's orders comes into the ledger as it happens. It decides and sends nothing.

It may run beside the daily trade: a fill is known by its id, and an event told twice is no news.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import structlog

from core.errors import ConfigError, StopTrading
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from types import FrameType

log = structlog.get_logger()


def listen(*, poll_seconds: float = 60.0, stop: threading.Event | None = None, resources: Resources | None = None) -> None:
    """Listen until `stop` is set, or the process is told to end (SIGTERM, Ctrl-C).

    What contradicts the ledger halts the desk: the operator gets a mail, and nothing is opened until a person has looked.

    Raises
    ------
    core.errors.StopTrading
        When the venue's word and the ledger cannot both be right.
    core.errors.ConfigError
        When the broker has no stream, or its keys are not accepted.
    """
    from pipeline import kill_switch
    from trading.brokers.alpaca_stream import OrderListener

    found = resources or live()
    if found.settings.broker != "alpaca":
        raise ConfigError(f"BROKER={found.settings.broker} tells nothing by itself; expected BROKER=alpaca to listen to.")
    portfolio = found.settings.portfolio
    listener = OrderListener(
        found.alpaca,
        found.ledger,
        portfolio,
        found.alpaca_stream(),
        clock=found.clock,
        alarm=lambda words: found.alerts.send(f"A position of {portfolio} has no stop", words, "critical"),
        poll_seconds=poll_seconds,
    )
    log.info("listener_started", portfolio=portfolio, live=found.settings.broker_live)
    try:
        listener.run(stop or _end_of_process())
    except StopTrading as error:
        kill_switch.halt(str(error), kill_switch.ORDER_LISTENER, resources=found)
        raise
    log.info("listener_stopped", portfolio=portfolio)


def _end_of_process() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set, so that the stream is closed and the last event is in the ledger."""
    over = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        over.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return over
