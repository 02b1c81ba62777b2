"""Addresses of Alpaca that may be set: its host decides whether it is real money, whatever else the address says. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final, Literal
from urllib.parse import urlsplit

Purpose = Literal["trading", "stream", "data"]
LIVE_HOSTS: Final = frozenset({"api.alpaca.markets", "broker-api.alpaca.markets"})
_PAPER: Final = frozenset({"paper-api.alpaca.markets"})
_DATA: Final = frozenset({"data.alpaca.markets", "data.sandbox.alpaca.markets"})
_SCHEMES: Final = {"trading": ("https", "http"), "stream": ("wss", "ws"), "data": ("https", "http")}
_UNUSUAL: Final = re.compile(r"[\\@\s\x00-\x1f?#]|[^\x00-\x7f]")  # two readers may see two hosts in one address


def objection(address: str, purpose: Purpose, *, live: bool) -> str | None:
    """Return why an address must not be used, or None. It is not in the words: it may hold keys.

    Loopback is for tests and never for real money; any other host must be Alpaca's own, for the kind of money asked for.

    Examples
    --------
    >>> objection("https://paper-api.alpaca.markets", "trading", live=False)
    >>> objection("http://127.0.0.1:8080", "trading", live=False)
    >>> objection("https://API.alpaca.markets.", "trading", live=False)
    'it is the host of real money, which needs VENUE__KIND=alpaca and VENUE__LIVE=1'
    >>> objection("https://api.alpaca.markets.example.com", "trading", live=False)
    'expected loopback or paper-api.alpaca.markets'
    """
    own = _DATA if purpose == "data" else LIVE_HOSTS if live else _PAPER
    expected = " or ".join(([] if live and purpose != "data" else ["loopback"]) + sorted(own))
    scheme, host = _parts(address)
    if host in LIVE_HOSTS and not live:
        return "it is the host of real money, which needs VENUE__KIND=alpaca and VENUE__LIVE=1"
    if _UNUSUAL.search(address) or host is None:
        return f"expected {expected}, as scheme://host:port alone"
    secure, plain = _SCHEMES[purpose]
    if _is_loopback(host) and not live:
        return None if scheme in {secure, plain} else f"expected {plain}:// or {secure}://"
    if host not in own:
        return f"expected {expected}"
    return None if scheme == secure else f"expected {secure}://"


def _parts(address: str) -> tuple[str, str | None]:
    """Return the scheme and the host, in lower case and without its last dot; no host when there is none to read."""
    try:
        parts = urlsplit(address)
        port = parts.port  # raises on one that is no number
    except ValueError:
        return "", None
    del port
    return parts.scheme, (parts.hostname or "").rstrip(".") or None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
