"""Addresses of alert services, in Apprise's form: read and checked. They hold tokens, so only their schemes are ever named."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apprise import NotifyBase
    from pydantic import SecretStr

STATUS: Final = re.compile(r"error\s*=\s*(\d{3})")  # as Apprise logs a refusal
TALKATIVE: Final = ("apprise", "urllib3.connectionpool")
LONGEST_SCHEME: Final = 12  # what is longer may be a token
_thread = threading.local()
COMMON: Final = ("discord", "json", "jsons", "msteams", "ntfy", "ntfys", "pover", "slack", "tgram", "xml")  # for messages


def require_services(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """Refuse addresses that name no service of Apprise, or that their service cannot use; name the scheme alone."""
    for number, url in enumerate(value, start=1):
        if make_service(url) is None:
            raise ValueError(f"ALERTS__URLS: {_objection(url, number)}")
    return value


def scheme_of(url: SecretStr) -> str:
    """Return the scheme of an address, which holds no token; empty when it has none.

    >>> from pydantic import SecretStr
    >>> scheme_of(SecretStr("tgram://123456:token/chat"))
    'tgram'
    """
    scheme, found, _ = url.get_secret_value().strip().partition("://")
    return scheme.lower() if found and len(scheme) <= LONGEST_SCHEME and scheme.isalnum() else ""


def make_service(url: SecretStr, timeout_seconds: float = 4.0) -> NotifyBase | None:
    """Return the service behind an address, which writes no file; None when the address is not usable."""
    from apprise import Apprise, AppriseAsset, PersistentStoreMode

    asset = AppriseAsset(storage_mode=PersistentStoreMode.MEMORY, app_id="Reversion desk")
    with unlogged():
        service = Apprise.instantiate(url.get_secret_value().strip(), asset=asset)
    if service is not None:
        service.socket_connect_timeout = service.socket_read_timeout = timeout_seconds
    return service


@contextlib.contextmanager
def unlogged() -> Iterator[list[str]]:
    """Drop what Apprise and its HTTP client log in this thread, for it shows addresses, and so tokens.

    Yields the HTTP statuses of refusals, which alone are safe, as they come.
    """
    _install()
    before, statuses = getattr(_thread, "statuses", None), list[str]()
    _thread.statuses = statuses
    try:
        yield statuses
    finally:
        _thread.statuses = before


class _Drop(logging.Filter):
    """Drops records of threads that are at work on an address."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for such a thread's record, and note the HTTP status in it."""
        statuses: list[str] | None = getattr(_thread, "statuses", None)
        if statuses is None:
            return True
        statuses += STATUS.findall(record.getMessage())
        return False


@lru_cache(maxsize=1)
def _install() -> None:
    for name in TALKATIVE:
        logging.getLogger(name).addFilter(_Drop())


def _objection(url: SecretStr, number: int) -> str:
    from apprise import Apprise

    scheme, place = scheme_of(url), f"entry {number}"
    if not scheme:
        return f"expected addresses like slack://..., found one without a scheme ({place})"
    details = Apprise().details()["schemas"]
    known = {str(name) for each in details for kind in ("protocols", "secure_protocols") for name in each[kind] or ()}
    if scheme in known:
        return f"{place}, {scheme}://, is not complete: see Apprise's page of that service for its form"
    near = get_close_matches(scheme, sorted(known), n=1)
    hint = f"did you mean {near[0]}://" if near else f"known are {', '.join(COMMON)} and more"
    return f"expected a scheme of Apprise, found {scheme}:// in {place} ({hint})"
