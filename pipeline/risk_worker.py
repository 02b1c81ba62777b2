"""The risk worker: a process of its own that looks at the portfolio again and again. Owns the loop; `risk_watch` looks.

A look that fails is logged, mailed once and tried again; `HEARTBEAT_MAX_AGE_SECONDS` holds entries back meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core.errors import DeskError
from pipeline.resources import Resources, live
from pipeline.risk_watch import look

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from storage.trading.risk import Heartbeat

log = structlog.get_logger()


def run(
    stop: threading.Event,
    *,
    mode: str | None = None,
    interval_seconds: float | None = None,
    on_look: Callable[[Heartbeat], None] = lambda _: None,
    resources: Resources | None = None,
) -> int:
    """Look until `stop` is set; returns how many looks succeeded."""
    from sqlalchemy.exc import SQLAlchemyError

    found = resources or live()
    pause = interval_seconds or found.settings.risk_interval_seconds
    looks, failed = 0, ""
    while not stop.is_set():
        try:
            heartbeat, _ = look(mode=mode, resources=found)
        except (DeskError, SQLAlchemyError, OSError) as error:
            failed = _failed(found, error, failed)
        else:
            looks, failed = looks + 1, ""
            on_look(heartbeat)
        stop.wait(pause)
    return looks


def _failed(found: Resources, error: Exception, before: str) -> str:
    """Log a failed look; mail it unless the one before failed in the same way."""
    kind = type(error).__name__
    log.error("risk_look_failed", error=kind, says=str(error))
    if kind != before:
        found.alerts.send("The risk worker cannot see the portfolio", f"{kind}: {error}\nIt goes on trying.", "critical")
    return kind
