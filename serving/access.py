"""Keys, scopes and rate limits of the API. Knows no route.

A key comes in `X-API-Key` or as a bearer token. A control key also reads. Without read keys in the settings this machine alone
may read (loopback); without control keys nobody may control: a page in a browser must not be able to.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.security import APIKeyHeader

from core.errors import DeskError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import SecretStr

    from core.settings import Settings

BURST_SECONDS = 2.0  # of reads that may be saved up
BURST_CONTROLS = 20
MAX_CALLERS = 10_000
key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="A read key, or a control key, which also reads.")


class Unauthorised(DeskError):
    """The request has no key, or an unknown one."""


class Forbidden(DeskError):
    """The caller is known or local, but may not do this."""


class TooManyRequests(DeskError):
    """More than the limit; `retry_after_seconds` says when the next one passes."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Keys:
    """Keys of one scope, kept as digests: all have one length, so comparing them reveals nothing about the keys."""

    def __init__(self, secrets: Iterable[SecretStr]) -> None:
        self._digests = [_digest(secret.get_secret_value()) for secret in secrets]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def holds(self, key: str) -> bool:
        """Return True when the key is one of these; takes the same time for every key."""
        given = _digest(key)
        return sum(hmac.compare_digest(given, stored) for stored in self._digests) > 0


class Limit:
    """A token bucket for each caller: `per_second` on average, `burst` at once."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._rate = per_second
        self._size = max(burst, 1.0)
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> None:
        """Count a request.

        Raises
        ------
        TooManyRequests
            When the caller has none left.
        """
        now = time.monotonic()
        left, since = self._buckets.pop(caller, (self._size, now))
        left = min(left + (now - since) * self._rate, self._size)
        spent = left - 1 if left >= 1 else left
        self._buckets[caller] = (spent, now)  # at the end: the first is the one that was quiet longest
        if len(self._buckets) > MAX_CALLERS:
            self._buckets.pop(next(iter(self._buckets)))
        if left < 1:
            wait = (1 - left) / self._rate
            raise TooManyRequests(f"At most {self._rate:g} requests a second; the next one passes in {wait:.1f} s.", wait)


class Access:
    """The rules of one application."""

    def __init__(self, settings: Settings) -> None:
        self._readers, self._controllers = Keys(settings.api_read_keys), Keys(settings.api_control_keys)
        per_second = settings.api_reads_per_second
        self._reads = Limit(per_second, per_second * BURST_SECONDS) if per_second else None
        self._controls = Limit(settings.api_controls_per_minute / 60, BURST_CONTROLS)

    def read(self, request: Request) -> None:
        """Let a reader pass.

        Raises
        ------
        Unauthorised, TooManyRequests
        """
        caller = _address(request)
        if self._readers:
            key = _key(request)
            if key is None or not (self._readers.holds(key) or self._controllers.holds(key)):
                self._turn_away(caller, "Expected a read key in X-API-Key, found " + ("none." if key is None else "another."))
            caller = _digest(str(key)).hex()
        elif not _is_loopback(caller):
            self._turn_away(caller, f"No read key is set, so only this machine may ask; this request came from {caller}.")
        if self._reads is not None:
            self._reads.take(caller)

    def control(self, request: Request, *, urgent: bool = False) -> None:
        """Let a controller pass; what is urgent is not limited, a wrong key always is.

        Raises
        ------
        Unauthorised, Forbidden, TooManyRequests
        """
        caller, key = _address(request), _key(request)
        if not self._controllers:
            raise Forbidden("No control key is set, so nothing is controlled through the API.")
        if key is not None and self._controllers.holds(key):
            if not urgent:
                self._controls.take(_digest(key).hex())
            return
        self._controls.take(caller)  # whoever tries keys is slowed down
        if key is not None and self._readers.holds(key):
            raise Forbidden("This key reads; expected a control key in X-API-Key.")
        raise Unauthorised("Expected a control key in X-API-Key, found " + ("none." if key is None else "another."))

    def _turn_away(self, caller: str, reason: str) -> None:
        self._controls.take(caller)
        raise Unauthorised(reason)


async def reader(request: Request) -> None:
    """Dependency of routes that read or predict."""
    request.app.state.access.read(request)


async def controller(request: Request) -> None:
    """Dependency of routes that change something."""
    request.app.state.access.control(request)


async def emergency(request: Request) -> None:
    """Dependency of the route that halts trading: no controller has to wait."""
    request.app.state.access.control(request, urgent=True)


def _key(request: Request) -> str | None:
    given = request.headers.get("x-api-key")
    if given is None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else None
    return given or None


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


@lru_cache(maxsize=1024)
def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def retry_after(error: TooManyRequests) -> str:
    """Return the header `Retry-After`: whole seconds."""
    return str(math.ceil(error.retry_after_seconds))
