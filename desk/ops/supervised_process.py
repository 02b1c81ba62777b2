"""One supervised process: started again whenever it ends, after pauses that grow.

For a service whose end leaves the desk safe, such as the risk worker: while it is down nothing is opened, and to stop the other
services with it would only stop exits as well.
"""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class RestartPauses:
    """Pauses before an ended process is started again: doubled each time, reset after a run of `steady_seconds`."""

    first_seconds: float = 1.0
    longest_seconds: float = 60.0
    steady_seconds: float = 600.0

    def after(self, failures: int) -> float:
        """Return the pause before the next start.

        >>> [RestartPauses().after(failures) for failures in (1, 2, 3, 8)]
        [1.0, 2.0, 4.0, 60.0]
        """
        return float(min(self.longest_seconds, self.first_seconds * 2 ** (min(failures, 64) - 1)))


@dataclass(frozen=True)
class ProcessEnd:
    """The end of a process by itself: its code, the number of ends in a row, and the pause before it is started again."""

    code: int
    failures: int
    pause_seconds: float


class SupervisedProcess:
    """Runs a command, again after each end, until `stop`.

    Parameters
    ----------
    log
        File of the command's output; emptied at the first start, continued at the others.
    on_end
        Called each time the command has ended by itself.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        on_end: Callable[[ProcessEnd], None],
        pauses: RestartPauses = RestartPauses(),
    ) -> None:
        self._command, self._environment, self._log = command, environment, log
        self._on_end, self._pauses = on_end, pauses
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped, self._starting = threading.Event(), threading.Lock()

    def start(self) -> None:
        """Start the command now, and watch it in a thread."""
        self._log.write_bytes(b"")
        self._process = process = self._launch()
        self._thread = threading.Thread(target=self._supervise, args=[process], daemon=True)
        self._thread.start()

    def stop(self, patience_seconds: float = 15.0) -> None:
        """End the command; kill it when it does not end within `patience_seconds`."""
        with self._starting:  # after a start that has begun, and before any other
            self._stopped.set()
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._thread.join(patience_seconds)

    def _supervise(self, process: subprocess.Popen[bytes]) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            code = process.wait()
            failures = 1 if time.monotonic() - began >= self._pauses.steady_seconds else failures + 1
            if self._stopped.is_set():
                return
            pause = self._pauses.after(failures)
            self._on_end(ProcessEnd(code, failures, pause))
            self._stopped.wait(pause)
            with self._starting:
                if self._stopped.is_set():
                    return
                self._process = process = self._launch()

    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the command in a session of its own: Ctrl-C reaches the supervisor alone, which ends it."""
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # our own command
                self._command,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
