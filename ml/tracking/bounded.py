"""Reads of MLflow that answer in time or say that they cannot, for pages that other people wait for.

MLflow's client tries for minutes, and has no way to be told to stop. Each read therefore runs in a thread of its own, which is
left to itself once it takes too long; the answer is shared by all who ask meanwhile, and remembered for a short time.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from core.errors import DeskError, RetryLater

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import pandas as pd

    from ml.tracking.registry import Registry
    from ml.tracking.version_list import ListedVersion

T = TypeVar("T")
log = structlog.get_logger()
ANSWERS_WITHIN_SECONDS: Final = 5.0
REMEMBERED_SECONDS: Final = 15.0
GIVEN_UP_AFTER: Final = 12  # times as long as is waited: then another read may be tried beside the one that hangs
MOST_READS: Final = 64


class MlflowDown(RetryLater):
    """MLflow does not answer, or not in time."""


@dataclass(frozen=True)
class _Read:
    """A read that was started: its answer to come, and when it began (monotonic seconds)."""

    began: float
    answer: Future[Any] = field(default_factory=Future)


class BoundedVersions:
    """The registered versions of a model, read in time or refused.

    Parameters
    ----------
    registry
        Opens the registry; it is called in the thread of a read, for opening takes long as well.
    seconds
        How long a caller waits.
    remembered_seconds
        How long an answer, or a failure, is given again without asking MLflow.
    """

    def __init__(
        self,
        registry: Callable[[], Registry],
        *,
        seconds: float = ANSWERS_WITHIN_SECONDS,
        remembered_seconds: float = REMEMBERED_SECONDS,
    ) -> None:
        self._registry = registry
        self._seconds, self._remembered_seconds = seconds, remembered_seconds
        self._reads: dict[Hashable, _Read] = {}
        self._lock = threading.Lock()

    def listed_versions(self, limit: int) -> list[ListedVersion]:
        """Return the newest versions; see `Registry.listed_versions`.

        Raises
        ------
        MlflowDown
            When MLflow does not answer in time.
        """
        return self._in_time(("versions", limit), lambda: self._registry().listed_versions(limit))

    def out_of_sample(self, run_id: str) -> pd.DataFrame:
        """Return the out-of-sample predictions of a run; see `Registry.out_of_sample`, and `listed_versions` for errors."""
        return self._in_time(("out_of_sample", run_id), lambda: self._registry().out_of_sample(run_id))

    def _in_time(self, key: Hashable, read: Callable[[], T]) -> T:
        now = time.monotonic()
        with self._lock:
            started = self._reads.get(key)
            if started is None or self._is_over(started, now):
                started = self._start(key, read, now)
        try:
            answer: T = started.answer.result(timeout=max(started.began + self._seconds - now, 0.0))
        except DeskError:
            raise
        except TimeoutError as error:
            raise MlflowDown(f"MLflow has not answered within {self._seconds:g} s.") from error
        except Exception as error:  # whatever its client throws, the remedy is the same
            raise MlflowDown(f"MLflow does not answer ({type(error).__name__}).") from error
        return answer

    def _is_over(self, started: _Read, now: float) -> bool:
        """Return True when a read's answer is no longer given again, or nobody waits for it any more."""
        age = now - started.began
        return age > self._remembered_seconds if started.answer.done() else age > GIVEN_UP_AFTER * self._seconds

    def _start(self, key: Hashable, read: Callable[[], T], now: float) -> _Read:
        self._reads.pop(key, None)
        while len(self._reads) >= MOST_READS:
            self._reads.pop(next(iter(self._reads)))
        self._reads[key] = started = _Read(now)
        threading.Thread(target=_answer, args=(started.answer, read), name="mlflow-read", daemon=True).start()
        return started


def _answer(future: Future[T], read: Callable[[], T]) -> None:
    try:
        future.set_result(read())
    except Exception as error:  # noqa: BLE001  # whoever waits raises it
        log.warning("mlflow_read_failed", error=type(error).__name__)
        future.set_exception(error)
