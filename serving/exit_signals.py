"""Acts on SIGTERM and SIGINT before the server does.

uvicorn waits for every open answer before it ends the application, and a stream of events ends only when it is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def on_exit_signal(act: Callable[[], None]) -> Iterator[None]:
    """Call a function on the event loop when the process is told to end, then the handler that was installed before.

    Without a handler, or in another thread than the main one, no signal reaches the application, and nothing is installed.
    """
    former: dict[int, Any] = {}
    loop = asyncio.get_running_loop()

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(act)
        former[number](number, frame)

    if threading.current_thread() is threading.main_thread():
        former = {number: handler for number in SIGNALS if callable(handler := signal.getsignal(number))}
        for number in former:
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in former.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, handler)
