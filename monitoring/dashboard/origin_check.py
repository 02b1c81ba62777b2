"""Refuses requests that another site makes a browser send, and closes the page to the outside.

A page elsewhere may let its own name resolve to 127.0.0.1 (DNS rebinding) or open a websocket to it; both would read the desk.
So every request must name a host of ours, and every request with an `Origin` must come from that same host. The answer's
headers forbid other sites to frame a page, and a page to load anything from elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MISDIRECTED, FORBIDDEN = 421, 403
POLICY_VIOLATED = 1008  # of a websocket
SECURITY_HEADERS = {
    # Streamlit styles its parts inline and loads a component's script from a blob of its own page.
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class OriginCheck:
    """ASGI middleware around the whole application, its websocket included.

    Parameters
    ----------
    hosts
        Names beside those of loopback under which a browser may reach the dashboard, without ports.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self.app = app
        self._hosts = frozenset(name.lower().rstrip(".") for name in (*LOOPBACK, *hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope), is_socket=scope["type"] == "websocket")
        if refusal is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATED, "reason": refusal[1]})  # 403: not yet accepted
        else:
            await PlainTextResponse(refusal[1], refusal[0])(scope, receive, _with_headers(send))

    def _refusal(self, headers: Headers, *, is_socket: bool) -> tuple[int, str] | None:
        """Return status and sentence of a request that is refused; None for one that may pass."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or _name(f"//{hosts[0]}") not in self._hosts:
            return MISDIRECTED, "Expected a name of this dashboard in Host. Set DASHBOARD__HOSTS to allow another."
        if len(origins) > 1 or (origins and not _is_same(origins[0], hosts[0])) or (is_socket and not origins):
            return FORBIDDEN, "Expected a request from the dashboard's own page, found another Origin."
        if headers.get("sec-fetch-site") in {"cross-site", "same-site"} and headers.get("sec-fetch-mode") != "navigate":
            return FORBIDDEN, "Expected a request from the dashboard's own page, found one from another site."
        return None


def _name(address: str) -> str | None:
    """Return the host name of an address in lower case; None when it is no plain host with an optional port."""
    try:
        parts = urlsplit(address)
        _ = parts.port  # a number in range, or an error
    except ValueError:
        return None
    plain = not (parts.username or parts.password or parts.path or parts.query or parts.fragment)
    return parts.hostname.lower().rstrip(".") if plain and parts.hostname else None


def _is_same(origin: str, host: str) -> bool:
    """Return True when an origin is the host itself, its port included; `null` is nobody's."""
    parts = urlsplit(origin)
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
