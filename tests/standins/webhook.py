"""A webhook on loopback that keeps what it is sent: one that takes it, one that refuses it, one that never answers."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Webhook:
    """A server whose answer a test chooses: an HTTP status, or None to hang until the end."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        self.received: list[dict[str, Any]] = []
        self.released = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                if hook.status is None:
                    hook.released.wait(60)
                    return
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def url(self, path: str = "desk") -> str:
        """Its address as Apprise takes it."""
        return f"json://127.0.0.1:{self.server.server_address[1]}/{path}"

    @property
    def titles(self) -> list[str]:
        """Titles of what was received."""
        return [str(each["title"]) for each in self.received]


@contextlib.contextmanager
def webhook(status: int | None = 200) -> Iterator[Webhook]:
    """Run a webhook while the block runs."""
    hook = Webhook(status)
    thread = threading.Thread(target=hook.server.serve_forever, daemon=True)
    thread.start()
    yield hook
    hook.released.set()
    hook.server.shutdown()
    hook.server.server_close()
    thread.join()
