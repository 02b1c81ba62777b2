"""Keeping one process running: started again whenever it ends, after pauses that grow. Owns the pauses; it says nothing itself.

For a service without which the desk goes on safely, such as the risk worker: while it is down nothing is opened, and taking
the others down with it would only stop exits as well.
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
class Pauses:
    """How long an ended process stays down: twice as long each time, anew after a run of `steady_seconds`."""

    first_seconds: float = 1.0
    longest_seconds: float = 60.0
    steady_seconds: float = 600.0

    def after(self, failures: int) -> float:
        """Pause before the next start.

        >>> [Pauses().after(failures) for failures in (1, 2, 3, 8)]
        [1.0, 2.0, 4.0, 60.0]
        """
        return float(min(self.longest_seconds, self.first_seconds * 2 ** (min(failures, 64) - 1)))


@dataclass(frozen=True)
class Ended:
    """A process that ended by itself: with which code, how often in a row by now, and when it is started again."""

    code: int
    failures: int
    pause_seconds: float


class Keeper:
    """Runs a command until it is told to stop.

    Parameters
    ----------
    log
        Where the command writes; emptied at the first start, continued at the others.
    on_end
        Told each time the command has ended by itself.
    """

    def __init__(  # noqa: PLR0917  # what a process is made of
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
        on_end: Callable[[Ended], None],
        pauses: Pauses = Pauses(),
    ) -> None:
        self._command, self._environment, self._folder, self._log = command, environment, folder, log
        self._on_end, self._pauses = on_end, pauses
        self._process: subprocess.Popen[bytes] | None = None
        self._over, self._turn = threading.Event(), threading.Lock()

    def start(self) -> None:
        """Start the command now, and watch it in a thread."""
        self._log.write_bytes(b"")
        self._process = process = self._begin()
        self._thread = threading.Thread(target=self._keep, args=[process], daemon=True)
        self._thread.start()

    def stop(self, patience_seconds: float = 15.0) -> None:
        """End the command, by force if it does not end when asked."""
        with self._turn:  # a start that has begun is over, and no other comes after it
            self._over.set()
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._thread.join(patience_seconds)

    def _keep(self, process: subprocess.Popen[bytes]) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            code = process.wait()
            failures = 1 if time.monotonic() - began >= self._pauses.steady_seconds else failures + 1
            if self._over.is_set():
                return
            pause = self._pauses.after(failures)
            self._on_end(Ended(code, failures, pause))
            self._over.wait(pause)
            with self._turn:
                if self._over.is_set():
                    return
                self._process = process = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        """Start it in a session of its own: Ctrl-C reaches the supervisor alone, which ends it in turn."""
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # our own command
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
